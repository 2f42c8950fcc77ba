//! The pages, for customers, engineers and operators: rendered here, and readable without a script. What may be done is the
//! ledger's to say, as for the API; a form's answer is a redirection, or the page again with what was typed.

mod ansi;
mod databases;
mod fields;
mod fleet;
mod frame;
mod interventions;
mod list;
mod login;
mod overrides;
mod requests;
mod sessions;
mod uploads;
mod visitor;
mod words;

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use sha2::{Digest as _, Sha256};

pub(crate) use words::span;

use crate::{
    Context,
    api::{ApiError, Kind},
};
use frame::PageError;

const STYLE: &str = include_str!("../../templates/pages.css");
const SCRIPT: &str = include_str!("../../templates/pages.js");
const UPLOAD: &str = include_str!("../../templates/upload.js");
const ICON: &str = include_str!("../../templates/icon.svg");

/// Where they are served, which changes with what they say: browsers keep them for good.
static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path(STYLE, "css"));
static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path(SCRIPT, "js"));
static UPLOAD_PATH: LazyLock<String> = LazyLock::new(|| path(UPLOAD, "js"));
static ICON_PATH: LazyLock<String> = LazyLock::new(|| path(ICON, "svg"));

/// All pages.
pub(crate) fn router(context: &Context) -> Router<Arc<Context>> {
    let told = told(&context.upload_origin);
    let pages = Router::new()
        .route("/", get(databases::home))
        .route("/databases", get(databases::list))
        .route("/new", get(uploads::form))
        .route("/login", get(login::show).post(login::enter))
        .route("/logout", post(login::leave))
        .route("/requests", get(list::show).post(uploads::create))
        .route("/requests/{id}", get(requests::show))
        .route("/requests/{id}/log", get(requests::log))
        .route("/requests/{id}/state", get(requests::state))
        .route("/requests/{id}/upload", get(uploads::state).post(uploads::link))
        .route("/requests/{id}/upload/complete", post(uploads::complete))
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
        .fallback(nowhere)
        .layer(middleware::map_response(move |response: Response| {
            let mut response = readable(response);
            for (name, value) in &told {
                // A report has a policy of its own.
                response.headers_mut().entry(name).or_insert_with(|| value.clone());
            }
            async { response }
        }));
    Router::new()
        .merge(pages)
        .route(&STYLE_PATH, get(|| async { asset("text/css; charset=utf-8", STYLE) }))
        .route(&SCRIPT_PATH, get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
        .route(&UPLOAD_PATH, get(|| async { asset("text/javascript; charset=utf-8", UPLOAD) }))
        .route(&ICON_PATH, get(|| async { asset("image/svg+xml", ICON) }))
}

/// An address that is none of ours.
async fn nowhere(uri: Uri) -> Response {
    if uri.path().starts_with("/api/") {
        let detail = "there is nothing at this path: see /api/v1/openapi.json";
        return ApiError::new(Kind::NotFound, detail).into_response();
    }
    PageError::from(ApiError::new(Kind::NotFound, "there is no such page; its address may be cut off"))
        .into_response()
}

/// The framework refuses an id that is none with a line of text; people get a page.
fn readable(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let line = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !line || response.status() != StatusCode::BAD_REQUEST {
        return response;
    }
    PageError::from(ApiError::new(
        Kind::NotFound,
        "there is no such page: its address names nothing that is here",
    ))
    .into_response()
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

/// What every page tells the browser not to do. A dump's parts go to the object store; all else stays here.
fn told(upload_origin: &str) -> [(HeaderName, HeaderValue); 4] {
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self' {upload_origin}; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    // An origin is letters, digits and signs of a URL.
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // Forms of ours say where they come from, and nothing is told elsewhere.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}

/// Behind a form that did what it should.
fn seen(to: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, to.to_owned())]).into_response()
}
