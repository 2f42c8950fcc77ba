//! The pages in a real browser: an engineer mends one database, and its customer accepts what came of it.

mod customer;
mod driver;

use serde_json::json;
use uplift_core::{Purpose, request::StateCode};
use uplift_tests::{
    data,
    fleet::{Fleet, Options},
    packs,
    postgres::Database,
    request::report,
};

use crate::pages::token;
use driver::Browser;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// Lines as an editor has them: typed keys would be, too, but some thousand take a while.
const FIX: &str = super::overrides::FIX;

#[tokio::test]
async fn an_engineer_mends_a_database_on_the_pages_and_its_customer_accepts_it() {
    let fleet = Fleet::with(Options { workers: 1, ..Options::default() }).await;
    let folder = fleet.file("pack");
    packs::odoo_duplicates(&folder);
    fleet.push_pack(&folder);
    let dump = data("odoo17-demo.sql.gz");
    let failed = fleet.hand_in(Purpose::Test, &dump, "17.1", "odoo").await;
    assert_eq!(failed.code, Some(11), "{failed:?}");
    let id = failed.id();

    let browser = Browser::open(&fleet, 1280).await;
    by_keyboard_alone(&browser, &token(&fleet, "us", "engineer", "eva")).await;
    browser.is_sound("requests").await;
    browser.types("#product", "odoo").await;
    browser.clicks("form.search button").await;
    browser.clicks("tbody a").await;
    browser.shows(".error", "failed at duplicates/names.sql:3").await;
    browser.clicks("#first-error").await;
    assert!(browser.address().await.contains("?line="), "{}", browser.address().await);
    browser.shows("li:target", "names").await;
    browser.is_sound("request-failed").await;
    browser.clicks("section[aria-labelledby=interventions] a").await;
    browser.shows("h1", "odoo: 17.0-17.1/names").await;
    browser.shows("pre", "CREATE UNIQUE INDEX").await;
    browser.clicks("form[action$=claim] button").await;
    browser.shows("dl.facts", "eva, until").await;
    browser.is_sound("intervention").await;

    adjust(&browser).await;
    browser.clicks("a.main").await;
    browser.clicks("form[action$=dry-run] button").await;
    browser.shows("[role=status]", "passed: 4 steps to the end of 17.0-17.1").await;
    browser.shows("ol.log", "adjusted for this database: before 17.0-17.1/names: unique-names.sql").await;
    browser.is_sound("dry-run").await;
    browser.clicks("a.main").await;
    browser.types("#comment", "two partners of one name: the first keeps it").await;
    browser.clicks("form[action$=comment] button").await;
    browser.shows(".history", "two partners of one name").await;
    browser.types("#retry", "adjusted").await;
    browser.clicks("form[action$=retry] button").await;

    // The request, live, until it is delivered.
    browser.shows("#log", "step 17.0-17.1/unique-names").await;
    browser.shows("h1 + p", "delivered").await;
    browser.shows("#log", "delivered: ").await;
    browser.shows("section[aria-labelledby=adjusted]", "before 17.0-17.1/names: unique-names.sql").await;
    browser.is_sound("request-delivered").await;
    fleet.delivered(id).await;
    for page in ["interventions", "workers", "packs"] {
        browser.goes_to(&format!("/{page}")).await;
        browser.is_sound(page).await;
    }
    browser.prefers("dark").await;
    browser.goes_to(&format!("/requests/{id}")).await;
    browser.is_sound("request-dark").await;
    browser.close().await;

    as_its_customer_on_a_phone(&fleet, id).await;

    // Freshly dumped, nobody is needed any more; and what was accepted on the page counts.
    let source = Database::create("odoo").await;
    source.restore(&dump);
    let fresh = fleet.file("fresh.sql.gz");
    source.dump(&fresh);
    source.remove().await;
    let test = fleet.submit(Purpose::Test, &fresh, "17.1", "odoo");
    fleet.delivered(test).await;
    let production = fleet.submit(Purpose::Production, &fresh, "17.1", "odoo");
    fleet.delivered(production).await;
    let made = report(&fleet.download(production));
    assert_eq!(made["overrides"][0]["says"], json!("before 17.0-17.1/names: unique-names.sql"));
    fleet.stop().await;
}

/// From the address of a page to that page, without a mouse.
async fn by_keyboard_alone(browser: &Browser, token: &str) {
    browser.goes_to("/requests?state=intervention").await;
    assert!(browser.address().await.starts_with("/login"), "{}", browser.address().await);
    browser.presses(&format!("wrong{ENTER}")).await;
    browser.shows("[role=alert]", "the token is unknown").await;
    browser.is_sound_but_for("login", "401").await;
    browser.presses(&format!("{token}{ENTER}")).await;
    browser.shows("h1", "Requests").await;
    assert_eq!(browser.address().await, "/requests?state=intervention");
    // The first stop is the way past the navigation, and it works.
    browser.presses(TAB).await;
    assert_eq!(browser.asks("return document.activeElement.textContent").await, json!("To the content"));
    browser.presses(&format!("{ENTER}{TAB}")).await;
    assert_eq!(browser.asks("return document.activeElement.id").await, json!("state"));
}

/// A script for this one database: refused at first, with nothing lost of what was typed.
async fn adjust(browser: &Browser) {
    browser.types("#step", "nmaes").await;
    browser.types("#file", "unique-names.sql").await;
    browser.types("#script", FIX).await;
    browser.types("#why", "two partners have one name").await;
    browser.clicks("form[action$=overrides] button").await;
    browser.shows("[role=alert]", "no step `17.0-17.1/nmaes`").await;
    let typed = browser.asks("return document.querySelector('#script').value").await;
    assert_eq!(typed, json!(FIX));
    browser.is_sound_but_for("intervention-refused", "422").await;
    browser.types("#step", "names").await;
    browser.clicks("form[action$=overrides] button").await;
    browser.shows("h1", "before 17.0-17.1/names: unique-names.sql").await;
    browser.shows("pre.diff .more", "-- The first keeps the name.").await;
    browser.is_sound("override").await;
}

/// The customer sees what is theirs, and accepts it.
async fn as_its_customer_on_a_phone(fleet: &Fleet, id: uplift_core::RequestId) {
    let browser = Browser::open(fleet, 390).await;
    browser.goes_to(&format!("/requests/{id}")).await;
    browser.types("#token", fleet.token()).await;
    browser.clicks("button.main").await;
    browser.shows("h1", "odoo").await;
    let pages = browser.text("nav").await;
    assert!(pages.contains("Requests") && !pages.contains("Interventions"), "{pages}");
    browser.is_sound("phone-request").await;
    browser.clicks("form[action$=accept] button").await;
    browser.shows("h1 + p", "accepted").await;
    assert!(fleet.request(id).await.accepted_at.is_some());
    browser.goes_to("/requests").await;
    browser.shows("tbody", "delivered").await;
    browser.is_sound("phone-requests").await;
    browser.clicks("form.leave button").await;
    browser.shows("h1", "Log in").await;
    assert_eq!(fleet.request(id).await.state.code(), StateCode::Delivered);
    browser.close().await;

    let browser = Browser::open(fleet, 390).await;
    browser.goes_to("/interventions").await;
    browser.types("#token", fleet.ops_token()).await;
    browser.clicks("button.main").await;
    browser.shows("h1", "Interventions").await;
    for page in ["interventions", "workers", "packs"] {
        browser.goes_to(&format!("/{page}")).await;
        browser.is_sound(&format!("phone-{page}")).await;
    }
    let list = fleet.must(&["--json", "ops", "interventions", "list", "--all"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    browser.goes_to(&format!("/interventions/{}", list[0]["id"].as_str().unwrap())).await;
    browser.shows("h1", "odoo").await;
    browser.is_sound("phone-intervention").await;
    browser.close().await;
}
