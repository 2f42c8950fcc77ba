//! A customer who has nothing but a browser: hands a dump in, watches, reads, asks, accepts, and goes on to production.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use uplift_core::{RequestId, key, request::StateCode};
use uplift_platform::objects::UploadId;
use uplift_tests::{eventually, fleet::Fleet, fleet::Options, repository};

use super::driver::{Browser, LIMIT};
use crate::{dumps, pages::token};

/// Bytes of a part: no dump here is large enough for longer ones.
const PART: usize = 16 << 20;
/// Parts of the dump that is handed in.
const PARTS: u64 = 5;

#[tokio::test]
async fn a_customer_needs_nothing_but_a_browser() {
    // Nobody listens there: what matters is that the form asks for an address, and that it is kept.
    let mail = "mail = { url = \"smtp://127.0.0.1:9\", from = \"uplift@example.com\" }".to_owned();
    let fleet = Fleet::with(Options { workers: 1, dispatcher: mail, ..Options::default() }).await;
    let (_pack, pack) = pack();
    fleet.push_pack(&pack);
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", &long(&dumps::text(&fleet, &sample)));
    sample.remove().await;

    let browser = Browser::open(&fleet, 1280).await;
    browser.goes_to("/").await;
    browser.types("#token", fleet.token()).await;
    browser.clicks("button.main").await;
    browser.shows("h1", "Databases").await;
    browser.is_sound("databases-none").await;

    refused_without_a_test(&browser, &dump).await;
    let id = broken_off_and_gone_on_with(&fleet, &browser, &dump).await;
    watched_to_the_end(&browser).await;
    read(&fleet, &browser, id).await;
    reported_and_answered(&fleet, &browser, id).await;

    browser.clicks("form[action$=accept] button").await;
    browser.shows("h1 + p", "accepted").await;
    browser.goes_to("/databases").await;
    browser.shows(".card h2", "shop").await;
    browser.shows(".upgrades", "test to 2.0").await;
    browser.is_sound("databases").await;
    browser.clicks("p.buttons a[href*='purpose=production']").await;
    let form = "return ['database', 'target', 'purpose'].map((name) => document.getElementById(name).value)";
    assert_eq!(browser.asks(form).await, json!(["shop", "2.0", "production"]));
    browser.chooses("#file", &dump).await;
    browser.clicks("#upload button").await;
    browser.shows("h1 + p", "production").await;
    browser.goes_to("/databases").await;
    browser.shows("h2", "Upgrade in progress").await;
    browser.is_sound("databases-running").await;
    browser.shows(".upgrades li:first-child", "delivered").await;
    browser.shows(".upgrades li:first-child", "production to 2.0").await;
    booked_for_tomorrow(&fleet, &browser, &dump).await;
    browser.close().await;

    // On a phone, where there is less room.
    let phone = Browser::open(&fleet, 390).await;
    phone.goes_to("/new").await;
    phone.types("#token", fleet.token()).await;
    phone.clicks("button.main").await;
    phone.shows("h1", "New upgrade").await;
    phone.is_sound("phone-new").await;
    phone.goes_to("/databases").await;
    phone.is_sound("phone-databases").await;
    phone.close().await;
    fleet.stop().await;
}

/// The sample's pack, but for what one of its scripts says: in colour, and with what would be markup.
fn pack() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("sample");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(repository("deploy/packs/sample"))
        .arg(&pack)
        .status()
        .unwrap();
    assert!(copied.success());
    let script = pack.join("1.0-2.0/10-split-partners.sql");
    let mut text = std::fs::read_to_string(&script).unwrap();
    text.push_str(
        "\nDO $$ BEGIN\n    RAISE NOTICE E'\\x1b[1;32mgrün\\x1b[0m <b>not bold</b>';\n    \
         FOR line IN 1 .. 600 LOOP\n        RAISE NOTICE 'line %', line;\n        PERFORM pg_sleep(0.05);\n    \
         END LOOP;\nEND $$;\n",
    );
    std::fs::write(script, text).unwrap();
    (folder, pack)
}

/// A dump that has so many parts: what is added says nothing to a database.
fn long(dump: &str) -> Vec<u8> {
    let mut text = dump.as_bytes().to_vec();
    let line = [&[b'-'; 99][..], b"\n"].concat();
    while text.len() < PART * 4 + PART / 2 {
        text.extend_from_slice(&line);
    }
    text
}

/// Another test, for an hour when nobody works: by the clock of the browser.
async fn booked_for_tomorrow(fleet: &Fleet, browser: &Browser, dump: &Path) {
    browser.clicks("p.buttons a[href*='purpose=test']").await;
    browser.shows("h1", "New upgrade").await;
    let tomorrow = "const hour = new Date(Date.now() + 86400000); hour.setSeconds(0, 0); \
        const local = new Date(hour - hour.getTimezoneOffset() * 60000).toISOString().slice(0, 16); \
        document.getElementById('later').value = local; return hour.getTime() / 1000";
    let hour = browser.asks(tomorrow).await.as_f64().unwrap();
    browser.chooses("#file", dump).await;
    browser.clicks("#upload button").await;
    browser.shows(".note", "it is booked for").await;
    let booked = "SELECT extract(epoch FROM booked_for) FROM requests ORDER BY id DESC LIMIT 1";
    assert!((fleet.database.value(booked).await.parse::<f64>().unwrap() - hour).abs() < 1.0);
    browser.is_sound("booked").await;
    browser.clicks("details:has(form[action$=cancel]) summary").await;
    browser.clicks("form[action$=cancel] button").await;
    browser.shows("h1 + p", "cancelled").await;
}

/// Production is not begun without an accepted test, and what was filled in is still there.
async fn refused_without_a_test(browser: &Browser, dump: &Path) {
    browser.clicks("p.buttons a.main").await;
    browser.shows("h1", "New upgrade").await;
    browser.is_sound("new").await;
    let dropped = "const all = new DataTransfer(); all.items.add(new File(['two'], 'kasse-übung.sql.gz')); \
        const event = new DragEvent('drop', { dataTransfer: all, bubbles: true, cancelable: true }); \
        document.getElementById('file').dispatchEvent(event); \
        return document.getElementById('file').files.length === 1 && event.defaultPrevented";
    assert_eq!(browser.asks(dropped).await, json!(true));
    browser.shows("#said", "kasse-übung.sql.gz, 3 bytes").await;
    assert_eq!(browser.asks("return document.getElementById('database').value").await, json!("kasse-übung"));
    browser.types("#database", "").await;
    browser.chooses("#file", dump).await;
    browser.shows("#said", "shop.sql, 75.").await;
    assert_eq!(browser.asks("return document.getElementById('database').value").await, json!("shop"));
    browser.picks("#purpose", "production").await;
    browser.clicks("#upload button").await;
    browser.shows("#said[role=alert]", "there is no accepted test of database `shop`").await;
    browser.is_sound_but_for("new-refused", "409").await;
    assert_eq!(browser.asks("return document.getElementById('file').files.length").await, json!(1));
}

/// The page is left while parts are on their way, and what has arrived is not sent again.
async fn broken_off_and_gone_on_with(fleet: &Fleet, browser: &Browser, dump: &Path) -> RequestId {
    browser.shows("#target", "Sample ERP 4.0, expected 2027-03-01").await;
    browser.types("#email", "me@example.com").await;
    browser.uploads_at(4 << 20).await;
    browser.picks("#purpose", "test").await;
    browser.clicks("#upload button").await;
    let id: RequestId = eventually("the request is there", LIMIT, async || {
        browser.address().await.strip_prefix("/requests/")?.parse().ok()
    })
    .await;
    let there = async || {
        let upload = fleet.request(id).await.upload_id.map(UploadId)?;
        fleet.objects.uploaded_parts(&key::source(id), &upload).await.ok()
    };
    browser.shows("#said", "/s, ").await;
    browser.is_sound("uploading").await;
    eventually("some parts are there", LIMIT, async || there().await.filter(|parts| parts.len() >= 2)).await;
    // What leaves is on its way no more once the page is another one.
    browser.goes_to("/databases").await;
    browser.shows(".upgrades", "awaiting upload").await;
    browser.uploads_at(-1).await;
    let sent = there().await.unwrap().len() as u64;
    assert!(sent < PARTS, "all was sent before the page was left");

    browser.clicks(".upgrades a").await;
    browser.shows("#upload", "Choose shop.sql again").await;
    let other = fleet.file("other.sql");
    std::fs::write(&other, "x").unwrap();
    browser.chooses("#file", &other).await;
    browser.clicks("#upload button").await;
    browser.shows("#said[role=alert]", "the request waits for shop.sql").await;
    browser.is_sound("upload-broken-off").await;
    let counted = "const open = XMLHttpRequest.prototype.open; sessionStorage.puts = 0; \
        XMLHttpRequest.prototype.open = function (...all) { \
            if (all[0] === 'PUT') sessionStorage.puts = Number(sessionStorage.puts) + 1; return open.apply(this, all); }";
    browser.asks(counted).await;
    browser.chooses("#file", dump).await;
    browser.clicks("#upload button").await;
    browser.shows("h1 + p", "running").await;
    let puts = browser.asks("return Number(sessionStorage.puts)").await;
    assert_eq!(puts, json!(PARTS - sent), "only the rest is sent");
    let row = fleet.request(id).await;
    assert_eq!(row.source_bytes, Some(std::fs::metadata(dump).unwrap().len()));
    let email = format!("SELECT notify_email FROM requests WHERE id = '{id}'");
    assert_eq!(fleet.database.value(&email).await, "me@example.com");
    id
}

/// The log goes on by itself, in colour and never as markup, and stands still while somebody reads further up.
async fn watched_to_the_end(browser: &Browser) {
    browser.shows("#log .c2.b", "grün").await;
    browser.shows("#log", "<b>not bold</b>").await;
    browser.shows(".stages [aria-current=step]", "upgrade").await;
    browser.shows("h1", "shop: sample 1.0 → 2.0").await;
    browser.shows("#log", "line 50").await;
    browser.asks("document.getElementById('log').scrollTop = 0").await;
    eventually("the log is not followed", LIMIT, async || {
        let hidden = browser.asks("return document.getElementById('follow').hidden").await;
        (hidden == json!(false)).then_some(())
    })
    .await;
    let lines = "return document.getElementById('log').children.length";
    let before = browser.asks(lines).await.as_u64().unwrap();
    eventually("the log goes on", LIMIT, async || {
        (browser.asks(lines).await.as_u64()? > before + 20).then_some(())
    })
    .await;
    assert_eq!(browser.asks("return document.getElementById('log').scrollTop").await, json!(0));
    browser.is_sound("log-paused").await;
    browser.clicks("#follow").await;
    let end = "const log = document.getElementById('log'); return log.scrollTop + log.clientHeight >= log.scrollHeight - 40";
    eventually("the end is followed", LIMIT, async || (browser.asks(end).await == json!(true)).then_some(()))
        .await;
    // It is loaded anew when it is delivered.
    browser.shows("h1 + p", "delivered").await;
    let numbers =
        "return [...document.querySelectorAll('#log > li')].map((line) => Number(line.id.slice(1)))";
    let Value::Array(numbers) = browser.asks(numbers).await else { panic!("no numbers") };
    let numbers: Vec<u64> = numbers.iter().filter_map(Value::as_u64).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
}

/// The report opens as a page. No script runs in it, not even one that looks at it: what it is like is looked at in a copy.
async fn read(fleet: &Fleet, browser: &Browser, id: RequestId) {
    browser.clicks(&format!("a[href='/requests/{id}/report']")).await;
    let heading = "return location.pathname.endsWith('/report') && document.querySelector('h1').textContent";
    eventually("the report is shown", LIMIT, async || {
        browser.asks(heading).await.as_str().is_some_and(|text| text.contains("→ 2.0")).then_some(())
    })
    .await;
    browser.goes_to_file(&fleet.download(id).join("shop-2.0.report.html")).await;
    browser.shows("h1", "2.0").await;
    browser.is_sound("report").await;
    browser.goes_to(&format!("/requests/{id}")).await;
}

/// What the customer finds wrong goes to an engineer, and the answer is on the customer's page.
async fn reported_and_answered(fleet: &Fleet, browser: &Browser, id: RequestId) {
    let asked = "The bank journal begins with 0 <i>";
    browser.clicks("details:has(#discrepancy) summary").await;
    browser.types("#discrepancy", asked).await;
    browser.clicks("form[action$=discrepancy] button").await;
    browser.shows(".note", asked).await;
    browser.is_sound("reported").await;

    let engineer = Browser::open(fleet, 1280).await;
    engineer.goes_to("/interventions").await;
    engineer.types("#token", &token(fleet, "us", "engineer", "eva")).await;
    engineer.clicks("button.main").await;
    engineer.clicks("tbody th a").await;
    engineer.shows(".error", asked).await;
    engineer.shows("ol.log", "delivered").await;
    engineer.clicks("form[action$=claim] button").await;
    engineer.is_sound("discrepancy").await;
    // What belongs to failures is not there, and is refused by other ways.
    assert_eq!(
        engineer
            .asks("return document.querySelectorAll('form[action$=retry], form[action$=reject]').length")
            .await,
        json!(0)
    );
    let list: Value = serde_json::from_str(&fleet.must(&["--json", "ops", "interventions", "list"])).unwrap();
    let intervention = list[0]["id"].as_str().unwrap();
    for verb in ["retry", "reject"] {
        let refused = fleet.run(&["ops", "interventions", verb, intervention, "--reason", "x"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("answer its customer"), "{verb}: {said}");
    }
    engineer.types("#answer", "Its bank statements begin in March: import those from before").await;
    engineer.clicks("form[action$=answer] button").await;
    engineer.shows(".note", "Closed: answer").await;
    engineer.close().await;

    browser.goes_to(&format!("/requests/{id}")).await;
    browser.shows(".note", "import those from before").await;
    let request = fleet.request(id).await;
    assert_eq!((request.state.code(), request.discrepancy), (StateCode::Delivered, None));
}
