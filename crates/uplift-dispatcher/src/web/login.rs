//! In and out, with a token.

use std::sync::Arc;

use askama::Template;
use axum::{
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, header},
    response::Response,
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::{
    fields::Fields,
    frame::{Frame, Result, page, page_with},
    seen,
    visitor::{COOKIE, Sent, cookie, from_here},
    words,
};
use crate::{Context, api::Kind};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Next {
    next: String,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    next: String,
}

fn login(next: &str, error: Option<String>) -> LoginPage {
    let frame = Frame { title: "Log in".into(), place: "login", visitor: None, error, again: None };
    LoginPage { frame, next: next.to_owned() }
}

pub(super) async fn show(Query(next): Query<Next>) -> Response {
    page(&login(&next.next, None))
}

pub(super) async fn enter(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    from_here(&headers)?;
    let fields = Fields::read(&body);
    let next = fields.get("next");
    let token = fields.get("token").trim().to_owned().into();
    let Some(cookie) = context.ledger.log_in(&token).await? else {
        let message = "the token is unknown, has expired or was revoked: ask your operator for a new one";
        return Ok(page_with(Kind::Unauthenticated, &login(next, Some(message.into()))));
    };
    let mut response = seen(local(next));
    set_cookie(&mut response, &headers, cookie.expose_secret(), 12 * 3600);
    Ok(response)
}

pub(super) async fn leave(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
    _: Sent,
) -> Result<Response> {
    if let Some(cookie) = cookie(&headers) {
        context.ledger.log_out(&cookie).await?;
    }
    let mut response = seen("/login");
    set_cookie(&mut response, &headers, "", 0);
    Ok(response)
}

/// A script does not see it and other sites do not send it along with a form; over https it goes nowhere else. A link
/// from a mail or a chat brings it, so that whoever is logged in stays so.
fn set_cookie(response: &mut Response, headers: &HeaderMap, value: &str, seconds: u32) {
    // Several proxies make a list; the first of them is the browser's.
    let proto = headers.get("x-forwarded-proto").and_then(|proto| proto.to_str().ok()?.split(',').next());
    let proxied = proto.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"));
    let secure = if proxied { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age={seconds}{secure}");
    // A secret of hexadecimal digits is always a header's value.
    if let Ok(text) = text.parse() {
        response.headers_mut().insert(header::SET_COOKIE, text);
    }
}

/// Where to go on: a page of ours, whatever the address says.
fn local(next: &str) -> &str {
    // Browsers leave control characters out of an address, and take a backslash for a slash.
    let plain = !next.contains(|c: char| c.is_control() || c == '\\');
    let ours = plain && next.starts_with('/') && !next.starts_with("//");
    if ours { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn a_login_leads_nowhere_else() {
        assert_eq!(local("/requests/1?line=3"), "/requests/1?line=3");
        for elsewhere in [
            "",
            "/\t/evil.example.com",
            "https://evil.example.com",
            "//evil.example.com",
            "/\\evil.example.com",
            "/a\nb",
        ] {
            assert_eq!(local(elsewhere), "/");
        }
    }
}
