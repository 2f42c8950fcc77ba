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
    let answer = send(fleet.server(), token, method, path, &[], body).await;
    (answer.status(), answer.text().await.unwrap())
}

/// Calls the API at a server of one's choice, with headers; gives the answer while it is still coming.
pub(crate) async fn send(
    server: &str,
    token: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response {
    // The process has one provider of cryptography; another test may have named it first.
    let _named = rustls::crypto::ring::default_provider().install_default();
    let mut request = reqwest::Client::new()
        .request(method, format!("{server}/api/v1/{path}"))
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}
