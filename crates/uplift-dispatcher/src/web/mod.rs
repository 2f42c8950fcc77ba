//! The pages, for customers, engineers and operators: rendered here, and readable without a script. What may be done is the
//! ledger's to say, as for the API; a form's answer is a redirection, or the page again with what was typed.

mod fields;
mod fleet;
mod frame;
mod interventions;
mod login;
mod overrides;
mod requests;
mod sessions;
mod visitor;
mod words;

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use sha2::{Digest as _, Sha256};

use crate::Context;

const STYLE: &str = include_str!("../../templates/pages.css");
const SCRIPT: &str = include_str!("../../templates/pages.js");
const ICON: &str = include_str!("../../templates/icon.svg");

/// Where they are served, which changes with what they say: browsers keep them for good.
static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path(STYLE, "css"));
static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path(SCRIPT, "js"));
static ICON_PATH: LazyLock<String> = LazyLock::new(|| path(ICON, "svg"));

/// No script but ours, nothing from elsewhere, in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// All pages.
pub(crate) fn router() -> Router<Arc<Context>> {
    let pages = Router::new()
        .route("/", get(|| async { Redirect::to("/requests") }))
        .route("/login", get(login::show).post(login::enter))
        .route("/logout", post(login::leave))
        .route("/requests", get(requests::list))
        .route("/requests/{id}", get(requests::show))
        .route("/requests/{id}/log", get(requests::log))
        .route("/requests/{id}/state", get(requests::state))
        .route("/requests/{id}/result", get(requests::result))
        .route("/requests/{id}/report", get(requests::report))
        .route("/requests/{id}/{act}", post(requests::act))
        .route("/interventions", get(interventions::list))
        .route("/interventions/{id}", get(interventions::show))
        .route("/interventions/{id}/{act}", post(interventions::act))
        .route("/overrides/{id}", get(overrides::show))
        .route("/overrides/{id}/{act}", post(overrides::act))
        .route("/sessions/{id}", get(sessions::show))
        .route("/sessions/{id}/close", post(sessions::close))
        .route("/workers", get(fleet::workers))
        .route("/packs", get(fleet::packs))
        .route("/packs/{digest}/recall", post(fleet::recall))
        .route("/holds/{id}/release", post(fleet::release))
        .layer(middleware::from_fn(guarded));
    Router::new()
        .merge(pages)
        .route(&STYLE_PATH, get(|| async { asset("text/css; charset=utf-8", STYLE) }))
        .route(&SCRIPT_PATH, get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
        .route(&ICON_PATH, get(|| async { asset("image/svg+xml", ICON) }))
}

fn path(text: &str, ending: &str) -> String {
    let hash: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("/assets/{hash}.{ending}")
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}

/// What every page tells the browser not to do.
async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Forms of ours say where they come from, and nothing is told elsewhere.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Behind a form that did what it should.
fn seen(to: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, to.to_owned())]).into_response()
}
