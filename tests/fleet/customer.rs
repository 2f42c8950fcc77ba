//! What a customer does while a request waits or runs: follow it, take it back; and what nobody else may do.

use std::process::Stdio;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use uplift_core::{Purpose, RequestId, request::StateCode};
use uplift_tests::{
    fleet::{Fleet, Options},
    repository,
};

use crate::{dumps, http};

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
    let wanted: Vec<_> = (1..=LINES).map(|line| format!("NOTICE: line {line} of 1200")).collect();
    assert_eq!(notices, wanted, "each line, once and in order");

    // Read whole, the log is the same.
    let whole = fleet.must(&["log", &request.to_string()]);
    let whole: Vec<&str> = whole.lines().map(|line| line.splitn(3, ' ').nth(2).unwrap()).collect();
    assert_eq!(lines, whole);
    assert_eq!(whole.last(), Some(&"cancelled by the customer"));
}

async fn another_account_sees_nothing(fleet: &Fleet, request: RequestId) {
    let stranger = fleet.token_of("globex");
    let id = request.to_string();
    for (method, path) in [
        (Method::GET, format!("requests/{id}")),
        (Method::GET, format!("requests/{id}/log")),
        (Method::GET, format!("requests/{id}/steps")),
        (Method::GET, format!("requests/{id}/result")),
        (Method::GET, format!("requests/{id}/report")),
        (Method::GET, format!("requests/{id}/upload")),
        (Method::POST, format!("requests/{id}/cancel")),
        (Method::POST, format!("requests/{id}/accept")),
    ] {
        let (own, said) = match method {
            // What changes something is asked by its owner elsewhere.
            Method::POST => (StatusCode::OK, String::new()),
            _ => http::call(fleet, fleet.token(), method.clone(), &path, "").await,
        };
        assert!(!said.contains("There is no such thing"), "{method} {path} does not exist: {own} {said}");
        let (status, said) = http::call(fleet, &stranger, method.clone(), &path, "{}").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}: {said}");
        assert!(!said.contains("shop"), "{said}");
    }
    let (_, list) = http::call(fleet, &stranger, Method::GET, "requests", "").await;
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["requests"], serde_json::json!([]));
    let status = fleet.uplift().env("UPLIFT_TOKEN", &stranger).args(["status", &id]).output().unwrap();
    assert_eq!(status.status.code(), Some(1));
    // A customer's token opens nothing of the operators'.
    for path in ["ops/requests", "ops/workers", "ops/packs"] {
        let (status, said) = http::call(fleet, &stranger, Method::GET, path, "").await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {said}");
    }
}
