//! The API as a program uses it that is not ours.

use reqwest::{Method, Response, StatusCode};
use uplift_tests::fleet::Fleet;

/// Calls the API with somebody's token; gives the status and what was said.
pub(crate) async fn call(
    fleet: &Fleet,
    token: &str,
    method: Method,
    path: &str,
    body: &str,
) -> (StatusCode, String) {
    // The process has one provider of cryptography; another test may have named it first.
    let _named = rustls::crypto::ring::default_provider().install_default();
    let request = reqwest::Client::new()
        .request(method, format!("{}/api/v1/{path}", fleet.server()))
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(body.to_owned());
    let answer: Response = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}
