//! What a customer does while a request waits or runs: follow it, take it back; and what nobody else may do.

use std::process::Stdio;

use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use uplift_core::{Clock, Purpose, RequestId, request::StateCode};
use uplift_platform::ledger::Role;
use uplift_tests::{
    SOON,
    fleet::{Fleet, Options},
    repository,
};

use crate::{dumps, http, queue::body};

/// How many lines the pack's talking step says.
const LINES: usize = 1200;

#[tokio::test]
async fn a_request_is_followed_and_taken_back() {
    let mut fleet = Fleet::with(Options::default()).await;
    fleet.push_pack(&repository("tests/packs/troubled"));
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;

    // The step talks, and then waits for ever.
    let running = fleet.submit(Purpose::Test, &dump, "2.5", "shop");
    let follower = tokio::process::Command::from(fleet.uplift())
        .args(["--json", "log", "-f", &running.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let queued = fleet.submit(Purpose::Test, &dump, "2.5", "shop");
    fleet.reaches(running, &said(200)).await;
    // The follower loses its connection in the middle of it.
    fleet.restart_dispatcher().await;
    fleet.reaches(running, &said(LINES)).await;
    fleet.reaches(running, "stage = 'upgrade'").await;

    another_account_sees_nothing(&fleet, running).await;
    // One request of a database runs at a time, however many workers there are.
    assert_eq!(fleet.request(queued).await.state.code(), StateCode::Queued);
    fleet.must(&["cancel", &queued.to_string()]);
    assert_eq!(fleet.request(queued).await.state.code(), StateCode::Cancelled);
    assert_eq!(fleet.request(queued).await.epoch.0, 0, "it never ran");

    fleet.must(&["cancel", &running.to_string()]);
    assert_eq!(fleet.ended(running).await.code(), StateCode::Cancelled);
    fleet.must(&["cancel", &running.to_string()]);

    let followed = follower.wait_with_output().await.unwrap();
    assert_eq!(followed.status.code(), Some(1), "{}", String::from_utf8_lossy(&followed.stderr));
    every_line_came_once(&fleet, running, &String::from_utf8(followed.stdout).unwrap()).await;
    fleet.stop().await;
}

/// The ledger has so many lines of the request's log.
fn said(lines: usize) -> String {
    format!("log_lines >= {lines}")
}

async fn every_line_came_once(fleet: &Fleet, request: RequestId, followed: &str) {
    let lines: Vec<String> = followed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned())
        .collect();
    let notices: Vec<_> = lines.iter().filter(|line| line.contains("of 1200")).cloned().collect();
    let wanted: Vec<_> =
        (1..=LINES).map(|line| format!("NOTICE: line {line} of 1200: grüße, 你好")).collect();
    assert_eq!(notices, wanted, "each line, once and in order");

    // Read whole, the log is the same.
    let whole = fleet.must(&["log", &request.to_string()]);
    let whole: Vec<&str> = whole.lines().map(|line| line.splitn(3, ' ').nth(2).unwrap()).collect();
    assert_eq!(lines, whole);
    assert_eq!(whole.last(), Some(&"cancelled by the customer"));
}

/// A request that waits, and two that follow its log: the one whose token is revoked is told no more.
#[tokio::test]
async fn a_revoked_token_ends_what_it_follows() {
    let fleet = Fleet::with(Options { workers: 0, ..Options::default() }).await;
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;
    let request = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    let expires_at = Clock::System.now() + chrono::TimeDelta::days(1);
    let lost = fleet.ledger.issue_token("acme", Role::Customer, "lost", expires_at, "test").await.unwrap();

    let path = format!("requests/{request}/log");
    let follow = async |token: &str| {
        let headers = [("accept", "text/event-stream")];
        let answer = http::send(fleet.server(), token, Method::GET, &path, &headers, "").await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer
    };
    let revoked = follow(lost.secret.expose_secret()).await;
    let kept = follow(fleet.token()).await;
    fleet.ledger.revoke_token(lost.id, "test").await.unwrap();
    let ended = tokio::time::timeout(SOON, revoked.text()).await;
    assert!(!ended.expect("the stream ends").unwrap().contains("event:"), "it was told something");
    // The other stream has gone on, and ends when the request does.
    fleet.must(&["cancel", &request.to_string()]);
    let ended = tokio::time::timeout(SOON, kept.text()).await;
    assert!(ended.expect("the stream ends").unwrap().contains("event: end"));
    fleet.stop().await;
}

async fn another_account_sees_nothing(fleet: &Fleet, request: RequestId) {
    let stranger = fleet.token_of("globex");
    let id = request.to_string();
    for (method, path) in routes() {
        let (status, said) =
            http::call(fleet, &stranger, method.clone(), &path.replace("{id}", &id), body(&path)).await;
        if path.starts_with("ops/") {
            // A customer's token opens nothing of the operators'.
            assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}: {said}");
        } else if path.contains("{id}") {
            assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}: {said}");
            assert!(said.contains("there is no such"), "{method} {path}: {said}");
        }
    }
    let (_, list) = http::call(fleet, &stranger, Method::GET, "requests", "").await;
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["requests"], serde_json::json!([]));
    let status = fleet.uplift().env("UPLIFT_TOKEN", &stranger).args(["status", &id]).output().unwrap();
    assert_eq!(status.status.code(), Some(1));
}

/// Every route that the API describes: methods and paths behind the API's prefix.
fn routes() -> Vec<(Method, String)> {
    let description = std::fs::read(repository("crates/uplift-dispatcher/openapi.json")).unwrap();
    let description: Value = serde_json::from_slice(&description).unwrap();
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("/api/v1/") else { continue };
        for method in methods.as_object().unwrap().keys() {
            routes.push((method.to_uppercase().parse().unwrap(), path.to_owned()));
        }
    }
    assert!(routes.len() > 10, "{routes:?}");
    routes
}
