//! The pages as a program sees them: who may see and do what, and what every answer tells the browser.

use reqwest::{Client, Method, StatusCode, header, redirect};
use serde_json::Value;
use uplift_core::{Purpose, request::StateCode};
use uplift_tests::{
    SOON,
    fleet::{Fleet, Options},
    repository,
};
use uuid::Uuid;

use crate::dumps;

/// A token with a role.
pub(crate) fn token(fleet: &Fleet, account: &str, role: &str, label: &str) -> String {
    let arguments = ["ops", "tokens", "create", "--account", account, "--role", role, "--label", label];
    fleet.must(&arguments).trim().to_owned()
}

#[tokio::test]
async fn pages_are_for_those_whose_they_are_and_forms_come_from_them() {
    let fleet = Fleet::with(Options { workers: 1, ..Options::default() }).await;
    fleet.push_pack(&repository("tests/packs/troubled"));
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;
    let failed = fleet.hand_in(Purpose::Test, &dump, "2.1", "shop").await;
    let request = failed.id().to_string();
    let list = fleet.must(&["--json", "ops", "interventions", "list"]);
    let found: Value = serde_json::from_str(&list).unwrap();
    let intervention = found[0]["id"].as_str().unwrap().to_owned();

    let nobody = Visitor { http: client(), server: fleet.server().to_owned(), cookie: String::new() };
    let own = Visitor::log_in(&fleet, fleet.token()).await;
    let other = Visitor::log_in(&fleet, &token(&fleet, "globex", "customer", "theirs")).await;
    let engineer = Visitor::log_in(&fleet, &token(&fleet, "us", "engineer", "eva")).await;
    let operator = Visitor::log_in(&fleet, fleet.ops_token()).await;
    let (ok, away, no, none) =
        (StatusCode::OK, StatusCode::SEE_OTHER, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND);
    let (clash, wrong) = (StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY);

    // Page × role.
    for (path, expected) in [
        ("/databases".to_owned(), [away, ok, ok, ok, ok]),
        ("/new".to_owned(), [away, ok, ok, ok, ok]),
        ("/requests".to_owned(), [away, ok, ok, ok, ok]),
        (format!("/requests/{request}"), [away, ok, none, ok, ok]),
        (format!("/requests/{request}?line=1"), [away, ok, none, ok, ok]),
        (format!("/requests/{request}/log"), [away, ok, none, ok, ok]),
        (format!("/requests/{request}/state"), [away, ok, none, ok, ok]),
        (format!("/requests/{request}/upload"), [away, clash, none, none, clash]),
        (format!("/requests/{request}/report"), [away, clash, none, clash, clash]),
        (format!("/requests/{request}/result"), [away, clash, none, clash, clash]),
        ("/interventions".to_owned(), [away, no, no, ok, ok]),
        (format!("/interventions/{intervention}"), [away, no, no, ok, ok]),
        (format!("/overrides/{}", Uuid::now_v7()), [away, no, no, none, none]),
        (format!("/sessions/{}", Uuid::now_v7()), [away, no, no, none, none]),
        ("/workers".to_owned(), [away, no, no, ok, ok]),
        ("/packs".to_owned(), [away, no, no, ok, ok]),
    ] {
        for (visitor, expected) in [&nobody, &own, &other, &engineer, &operator].into_iter().zip(expected) {
            let answer = visitor.get(&path).await;
            assert_eq!(answer.status, expected, "{path}: {}", answer.text);
            answer.is_guarded(&path);
        }
    }
    // Nobody finds another account's requests by asking for that account.
    assert!(!other.get("/requests?account=acme").await.text.contains(&request));
    assert!(engineer.get("/requests?account=acme").await.text.contains(&request));
    assert!(!engineer.get("/requests?account=acme&state=delivered").await.text.contains(&request));
    assert!(engineer.get("/requests?days=zwei").await.text.contains("a number of days"));

    // Form × role, by those who come from a page of theirs; and none of them otherwise.
    let forms = [
        (format!("/requests/{request}/waive"), [no, no, no, StatusCode::CONFLICT]),
        (format!("/interventions/{intervention}/assign"), [no, no, no, StatusCode::CONFLICT]),
        (format!("/interventions/{intervention}/note"), [no, no, StatusCode::CONFLICT, away]),
        (format!("/interventions/{intervention}/dry-run"), [no, no, StatusCode::CONFLICT, away]),
        (
            format!("/interventions/{intervention}/reject"),
            [no, no, StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY],
        ),
        (format!("/interventions/{intervention}/nonsense"), [no, no, none, none]),
        (format!("/overrides/{}/promote", Uuid::now_v7()), [no, no, no, none]),
        (format!("/sessions/{}/close", Uuid::now_v7()), [no, no, none, none]),
        (format!("/packs/{}/recall", "0".repeat(64)), [no, no, no, none]),
        (format!("/holds/{}/release", Uuid::now_v7()), [no, no, no, none]),
        (format!("/requests/{request}/delete"), [StatusCode::CONFLICT, none, none, StatusCode::CONFLICT]),
        (format!("/requests/{request}/discrepancy"), [clash, none, none, clash]),
        (format!("/interventions/{intervention}/answer"), [no, no, clash, clash]),
        (format!("/requests/{request}/upload"), [clash, none, none, clash]),
        (format!("/requests/{request}/upload/complete"), [ok, none, none, ok]),
        ("/requests".to_owned(), [wrong, wrong, wrong, wrong]),
        (format!("/requests/{request}/accept"), [StatusCode::CONFLICT, none, none, StatusCode::CONFLICT]),
    ];
    for (path, expected) in &forms {
        let fields = [
            ("reason", if path.ends_with("reject") { "" } else { "because" }),
            ("text", "words"),
            ("to", "tom"),
            ("part", "1"),
        ];
        for visitor in [&own, &other, &engineer, &operator] {
            forged(visitor, &engineer, path).await;
        }
        assert_eq!(nobody.post(path, &fields, &[]).await.status, StatusCode::UNAUTHORIZED);
        for (visitor, expected) in [&own, &other, &engineer, &operator].into_iter().zip(expected) {
            let csrf = visitor.csrf().await;
            let fields = [&fields[..], &[("csrf", csrf.as_str())]].concat();
            let answer = visitor.post(path, &fields, &[("origin", fleet.server())]).await;
            let reject = path.ends_with("reject") && *expected == StatusCode::CONFLICT;
            let expected = if reject { StatusCode::UNPROCESSABLE_ENTITY } else { *expected };
            assert_eq!(answer.status, expected, "{path}: {}", answer.text);
            answer.is_guarded(path);
        }
    }
    // What would succeed for some is tried by those alone who may not.
    let acts = ["claim", "release", "comment", "retry", "overrides"];
    let acts = acts.map(|act| (format!("/interventions/{intervention}/{act}"), [&own, &other], no));
    let removal = (format!("/overrides/{}/remove", Uuid::now_v7()), [&own, &other], no);
    let cancel = (format!("/requests/{request}/cancel"), [&other, &engineer], none);
    for (path, visitors, expected) in acts.into_iter().chain([removal, cancel]) {
        for visitor in visitors {
            forged(visitor, &operator, &path).await;
            let csrf = visitor.csrf().await;
            let fields = [("csrf", csrf.as_str()), ("reason", "because"), ("text", "words")];
            let answer = visitor.post(&path, &fields, &[("origin", fleet.server())]).await;
            assert_eq!(answer.status, expected, "{path}: {}", answer.text);
        }
    }
    // But for what the operator did, who may: a note, and a dry run.
    let acts =
        "SELECT string_agg(DISTINCT action, ' ' ORDER BY action) FROM audit WHERE action LIKE 'intervention%'
        AND action NOT LIKE '%ended'";
    assert_eq!(fleet.database.value(acts).await, "intervention_dry_run intervention_note");
    let state = fleet.request(failed.id()).await.state.code();
    assert_eq!(state, StateCode::Intervention, "somebody has done something to it");

    every_route_is_closed_to(&other, &request, &intervention).await;

    // What was typed is there again.
    let csrf = operator.csrf().await;
    let fields = [("csrf", csrf.as_str()), ("to", "nobody <b>"), ("reason", "x")];
    let answer = operator.post(&format!("/interventions/{intervention}/assign"), &fields, &[]).await;
    assert!(
        answer.text.contains("nobody &#60;b&#62;") && answer.text.contains("no valid token"),
        "{}",
        answer.text
    );

    let digest = fleet.database.value("SELECT digest FROM packs LIMIT 1").await;
    let long = "because ".repeat(1000);
    let fields = [("csrf", csrf.as_str()), ("reason", long.as_str())];
    let answer = operator.post(&format!("/packs/{digest}/recall"), &fields, &[]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text.contains(&long) && answer.text.contains("in at most"), "{}", answer.text);
    for path in ["/nowhere", "/requests/not-an-id", "/overrides/x"] {
        let answer = operator.get(path).await;
        assert_eq!(answer.status, none, "{path}");
        assert!(answer.text.contains("there is no such page"), "{path}: {}", answer.text);
        answer.is_guarded(path);
    }

    // A login ends with its token, and with whoever leaves.
    let list = token(&fleet, "us", "engineer", "tom");
    let tom = Visitor::log_in(&fleet, &list).await;
    let id = fleet.database.value("SELECT id FROM tokens WHERE label = 'tom'").await;
    fleet.must(&["ops", "tokens", "revoke", &id]);
    assert_eq!(tom.get("/workers").await.status, away);
    let csrf = engineer.csrf().await;
    let answer = engineer.post("/logout", &[("csrf", csrf.as_str())], &[]).await;
    assert_eq!((answer.status, answer.location.as_str()), (away, "/login"));
    assert_eq!(engineer.get("/workers").await.status, away);
    assert_eq!(
        fleet.database.value("SELECT count(*) FROM web_sessions WHERE octet_length(hash) <> 32").await,
        "0"
    );
    a_log_is_followed_no_longer_than_the_login_lasts(&fleet, &request).await;
    fleet.must(&["cancel", &request]);
    fleet.stop().await;
}

/// Its lines come as the page has them.
async fn a_log_is_followed_no_longer_than_the_login_lasts(fleet: &Fleet, request: &str) {
    let visitor = Visitor::log_in(fleet, fleet.token()).await;
    let following = visitor.http.get(format!("{}/requests/{request}/log", visitor.server));
    let following = following.header(header::COOKIE, &visitor.cookie).header("accept", "text/event-stream");
    let following = following.send().await.unwrap();
    assert_eq!(following.status(), StatusCode::OK);
    let csrf = visitor.csrf().await;
    assert_eq!(visitor.post("/logout", &[("csrf", csrf.as_str())], &[]).await.status, StatusCode::SEE_OTHER);
    let told = tokio::time::timeout(SOON, following.text()).await;
    let told = told.expect("the stream ends with the login").unwrap();
    assert!(told.contains("data: <li id=\"L1\"") && !told.contains("event: end"), "{told}");
}

/// Whatever has a name in its address, as the routes have it, is closed to a customer of another account: it is not there, or is
/// not for customers.
async fn every_route_is_closed_to(other: &Visitor, request: &str, intervention: &str) {
    let source = std::fs::read_to_string(repository("crates/uplift-dispatcher/src/web/mod.rs")).unwrap();
    let (csrf, mut seen) = (other.csrf().await, 0);
    for route in source.split(".route(\"").skip(1) {
        let (path, handlers) = route.split_once("\", ").unwrap();
        let handlers = handlers.split_once('\n').unwrap().0;
        if !path.contains('{') {
            continue;
        }
        let id = match path.split('/').nth(1).unwrap() {
            "requests" => request.to_owned(),
            "interventions" => intervention.to_owned(),
            _ => Uuid::now_v7().to_string(),
        };
        let acts = ["accept", "cancel", "delete", "discrepancy", "waive", "claim", "promote", "nonsense"];
        let path = path.replace("{id}", &id).replace("{digest}", &"0".repeat(64));
        for act in if path.contains("{act}") { &acts[..] } else { &acts[..1] } {
            let path = path.replace("{act}", act);
            let mut answers = Vec::new();
            if handlers.contains("get(") {
                answers.push(other.get(&path).await);
            }
            if handlers.contains("post(") {
                let fields = [("csrf", csrf.as_str()), ("reason", "x"), ("text", "x"), ("part", "1")];
                answers.push(other.post(&path, &fields, &[]).await);
            }
            assert!(!answers.is_empty(), "{path}: {handlers}");
            for answer in answers {
                // What no customer may do is refused whatever it is about.
                let never = !path.starts_with("/requests/") || act == &"waive" && path.ends_with("/waive");
                let closed = if never { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND };
                let closed = answer.status == closed;
                assert!(closed, "{path}: {} {}", answer.status, answer.text);
                assert!(!answer.text.contains("shop"), "{path}: {}", answer.text);
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "only {seen} routes were found");
}

/// A form that does not come from a page of the visitor's own.
async fn forged(visitor: &Visitor, another: &Visitor, path: &str) {
    let (own, foreign) = (
        visitor.csrf().await,
        if visitor.cookie == another.cookie { "x".to_owned() } else { another.csrf().await },
    );
    for (csrf, headers) in [
        ("", &[][..]),
        (&foreign, &[][..]),
        (&own, &[("origin", "https://evil.example.com")]),
        (&own, &[("origin", "null")]),
        (&own, &[("sec-fetch-site", "cross-site")]),
    ] {
        let answer = visitor.post(path, &[("csrf", csrf), ("reason", "x"), ("text", "x")], headers).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {headers:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_login_takes_a_token_and_gives_a_cookie_that_scripts_do_not_see() {
    let fleet = Fleet::with(Options { workers: 0, ..Options::default() }).await;
    let nobody = Visitor { http: client(), server: fleet.server().to_owned(), cookie: String::new() };
    let answer = nobody.get("/interventions?x=1&y=2").await;
    assert_eq!(answer.location, "/login?next=%2Finterventions%3Fx%3D1%26y%3D2");
    let page = nobody.get("/login?next=%22%3E%3Cscript%3E").await;
    assert!(page.status == StatusCode::OK && !page.text.contains("\"><script>"), "{}", page.text);
    page.is_guarded("/login");
    let wrong = format!("uplift_{}", "0".repeat(64));
    let answer = nobody.post("/login", &[("token", wrong.as_str())], &[]).await;
    assert!(answer.status == StatusCode::UNAUTHORIZED && answer.cookie.is_empty(), "{}", answer.text);
    let away = [("origin", "https://evil.example.com")];
    assert_eq!(nobody.post("/login", &[("token", fleet.token())], &away).await.status, StatusCode::FORBIDDEN);
    for (next, to) in [("/packs", "/packs"), ("https://evil.example.com", "/"), ("//evil", "/")] {
        let fields = [("token", fleet.ops_token()), ("next", next)];
        let answer = nobody.post("/login", &fields, &[("x-forwarded-proto", "HTTPS, http")]).await;
        assert_eq!((answer.status, answer.location.as_str()), (StatusCode::SEE_OTHER, to));
        for words in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200", "Secure"] {
            assert!(answer.cookie.contains(words), "{}", answer.cookie);
        }
    }
    // Idle for too long.
    let idle = Visitor::log_in(&fleet, fleet.ops_token()).await;
    assert_eq!(idle.get("/packs").await.status, StatusCode::OK);
    let seen = "SELECT seen_at FROM web_sessions ORDER BY seen_at DESC LIMIT 1";
    let before = fleet.database.value(seen).await;
    idle.get(&format!("/requests/{}/state", Uuid::now_v7())).await;
    assert_eq!(idle.get("/databases?again").await.status, StatusCode::OK);
    assert_eq!(fleet.database.value(seen).await, before, "a page that is open is not somebody at work");
    fleet.database.psql_command("UPDATE web_sessions SET seen_at = now() - interval '121 minutes'");
    assert_eq!(idle.get("/packs").await.status, StatusCode::SEE_OTHER);

    // What belongs to the pages is kept for good, under a name that changes with it.
    let page = nobody.get("/login").await.text;
    for (before, kind) in [
        ("rel=\"stylesheet\" href=\"", "text/css"),
        ("rel=\"icon\" href=\"", "image/svg+xml"),
        ("<script src=\"", "text/javascript"),
    ] {
        let path = page.split_once(before).unwrap().1.split_once('"').unwrap().0;
        let answer = client().get(format!("{}{path}", fleet.server())).send().await.unwrap();
        let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
        assert!(header(header::CONTENT_TYPE).starts_with(kind), "{path}");
        assert!(header(header::CACHE_CONTROL).contains("immutable"), "{path}");
    }
    fleet.stop().await;
}

/// Somebody at a browser of their own.
struct Visitor {
    http: Client,
    server: String,
    cookie: String,
}

struct Answer {
    status: StatusCode,
    headers: header::HeaderMap,
    location: String,
    cookie: String,
    text: String,
}

fn client() -> Client {
    let _named = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(redirect::Policy::none()).build().unwrap()
}

impl Visitor {
    async fn log_in(fleet: &Fleet, token: &str) -> Self {
        let mut visitor = Self { http: client(), server: fleet.server().to_owned(), cookie: String::new() };
        let answer = visitor.post("/login", &[("token", token)], &[]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        visitor.cookie = answer.cookie.split(';').next().unwrap().to_owned();
        visitor
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.http.request(Method::GET, format!("{}{path}", self.server))).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut request = self.http.request(Method::POST, format!("{}{path}", self.server)).body(body);
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.header(header::COOKIE, &self.cookie).send().await.unwrap();
        let text = |name: header::HeaderName| {
            answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        Answer {
            status: answer.status(),
            location: text(header::LOCATION),
            cookie: text(header::SET_COOKIE),
            headers: answer.headers().clone(),
            text: answer.text().await.unwrap(),
        }
    }

    /// What the forms of this visitor's pages carry.
    async fn csrf(&self) -> String {
        let page = self.get("/requests").await.text;
        let (_, value) = page.split_once("name=\"csrf\" value=\"").expect("a form");
        value.split_once('"').unwrap().0.to_owned()
    }
}

impl Answer {
    /// What every page tells the browser, and that it has nothing inline.
    #[track_caller]
    fn is_guarded(&self, path: &str) {
        let header =
            |name: &str| self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        if header("content-type").starts_with("text/html") {
            assert!(!self.text.contains("<script>") && !self.text.contains(" style="), "{path}");
            assert!(!self.text.contains(" onclick") && self.text.contains("<html lang=\"en\">"), "{path}");
        }
    }
}
