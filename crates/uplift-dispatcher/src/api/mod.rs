//! The HTTP API. Its words are those of [`uplift_core::api`]; its description is `openapi.json`.

mod auth;
mod clients;
mod health;
mod interventions;
mod logs;
mod openapi;
mod ops;
mod overrides;
mod problem;
mod products;
mod requests;
mod scripts;
mod sessions;
mod submit;
mod uploads;
pub(crate) mod view;
mod webhooks;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{self, get, post},
};
use tracing::Instrument as _;
use uplift_core::pack::MAX_ARCHIVE_BYTES;
use uplift_platform::boot::{
    metrics, spans,
    trace::{self, Work},
};

pub use openapi::description;
pub use ops::check_token;

// What the pages have in common with the API.
pub(crate) use auth::Caller;
pub(crate) use clients::Seen;
pub(crate) use health::metrics_router;
pub(crate) use interventions::words;
pub(crate) use logs::{LogQuery, Viewer, follow as view_log};
pub(crate) use overrides::{add_override, difference, promote_override};
pub(crate) use problem::{ApiError, Kind};
pub(crate) use products::{list as products, product};
pub(crate) use requests::{
    ReportQuery, accept, cancel, delete, explained, page_of, report, report_discrepancy, report_text, result,
};
pub(crate) use submit::submit;
pub(crate) use uploads::{complete as complete_upload, links as upload_links, state as upload_state};

use crate::{Context, web};

/// The largest body, in bytes: the tags of 10,000 parts fit in.
const LARGEST_BODY: usize = 2 << 20;
/// How long an answer may take to begin: longer than the object store is tried again.
const PATIENCE: Duration = Duration::from_secs(90);
/// The same where the object store assembles an upload or a body is large.
const LONG_PATIENCE: Duration = Duration::from_secs(600);

/// All paths.
pub fn router(context: Arc<Context>) -> Router {
    let slow = Router::new()
        .route("/requests/{id}/upload/complete", post(uploads::complete))
        .route(
            "/ops/packs",
            post(ops::push_pack).layer(DefaultBodyLimit::max(MAX_ARCHIVE_BYTES)).get(ops::packs),
        )
        .route_layer(middleware::from_fn(|request, next| answer_within(LONG_PATIENCE, request, next)));
    let quick = Router::new()
        .route("/openapi.json", get(openapi::show))
        .route("/webhooks", post(webhooks::add).get(webhooks::list))
        .route("/webhooks/{id}", routing::delete(webhooks::remove))
        .route("/webhooks/{id}/enable", post(webhooks::enable))
        .route("/webhooks/{id}/deliveries", get(webhooks::deliveries))
        .route("/deliveries/{id}/replay", post(webhooks::replay))
        .route("/products", get(products::list))
        .route("/products/{product}/way", get(products::way))
        .route("/requests", post(submit).get(requests::list))
        .route("/requests/{id}", get(requests::show))
        .route("/requests/{id}/explain", get(requests::explain))
        .route("/requests/{id}/cancel", post(cancel))
        .route("/requests/{id}/accept", post(accept))
        .route("/requests/{id}/delete", post(delete))
        .route("/requests/{id}/discrepancy", post(report_discrepancy))
        .route("/requests/{id}/source", get(requests::source))
        .route("/requests/{id}/steps", get(requests::steps))
        .route("/requests/{id}/log", get(logs::log))
        .route("/requests/{id}/upload", get(uploads::state))
        .route("/requests/{id}/upload/parts", post(uploads::links))
        .route("/requests/{id}/result", get(result))
        .route("/requests/{id}/report", get(report))
        .route("/ops/workers", get(ops::workers))
        .route("/ops/requests", get(ops::requests))
        .route("/ops/requests/{id}/retry", post(ops::retry))
        .route("/ops/interventions", get(interventions::list))
        .route("/ops/interventions/{id}", get(interventions::show))
        .route("/ops/interventions/{id}/claim", post(interventions::claim))
        .route("/ops/interventions/{id}/release", post(interventions::release))
        .route("/ops/interventions/{id}/assign", post(interventions::assign))
        .route("/ops/interventions/{id}/comment", post(interventions::comment))
        .route("/ops/interventions/{id}/note", post(interventions::note))
        .route("/ops/interventions/{id}/answer", post(interventions::answer))
        .route("/ops/interventions/{id}/reject", post(interventions::reject))
        .route("/ops/interventions/{id}/retry", post(interventions::retry))
        .route("/ops/interventions/{id}/dry-run", post(sessions::dry_run))
        .route("/ops/interventions/{id}/shell", get(sessions::shell))
        .route("/ops/interventions/{id}/sessions", get(sessions::list))
        .route("/ops/sessions/{id}", get(sessions::show))
        .route("/ops/sessions/{id}/close", post(sessions::close))
        .route("/sessions/{id}/worker", get(sessions::worker))
        .route("/ops/holds", get(interventions::holds))
        .route("/ops/holds/{id}/release", post(interventions::release_hold))
        .route("/ops/packs/{digest}/recall", post(interventions::recall_pack))
        .route("/ops/overrides", post(overrides::add).get(overrides::list))
        .route("/ops/overrides/{id}", get(overrides::show))
        .route("/ops/overrides/{id}/diff", get(overrides::diff))
        .route("/ops/overrides/{id}/remove", post(overrides::remove))
        .route("/ops/overrides/{id}/promote", post(overrides::promote))
        .route("/ops/requests/{id}/waive", post(overrides::waive))
        .route("/ops/tokens", post(ops::issue_token))
        .route("/ops/tokens/{id}", routing::delete(ops::revoke_token))
        .route_layer(middleware::from_fn(|request, next| answer_within(PATIENCE, request, next)));
    Router::new()
        .nest("/api/v1", slow.merge(quick).layer(middleware::from_fn(traced)))
        .route("/upgrade", get(clients::script))
        .route("/clients/{platform}", get(clients::program))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .layer(middleware::map_response(problem::translate))
        .merge(
            web::router(&context)
                .route_layer(middleware::from_fn(|request, next| answer_within(PATIENCE, request, next)))
                .layer(middleware::from_fn(traced)),
        )
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(context)
}

/// Gives up on an answer that takes too long to begin; what was begun in the ledger ends by itself.
async fn answer_within(patience: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!("a request to the API took longer than {} s", patience.as_secs());
            ApiError::new(Kind::Unavailable, "this took too long: try again in some seconds").into_response()
        }
    }
}

/// A span for each call of the API or look at a page, in the caller's trace where it has one, and a line at its end.
async fn traced(request: Request, next: Next) -> Response {
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(String::new, |path| path.as_str().to_owned());
    let method = request.method().clone();
    let work = Work::begin(spans::api_call(method.as_str(), &route, request.uri().path()));
    if let Some(remote) = request.headers().get("traceparent").and_then(|value| value.to_str().ok()) {
        trace::continue_from(&work.span(), remote);
    }
    let begun = Instant::now();
    let response = next.run(request).instrument(work.span()).await;
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    metrics::http(method.as_str(), &route, status, took);
    work.span().in_scope(|| tracing::debug!(millis = took.as_millis(), "answered"));
    spans::api_answered(&work.span(), status);
    work.end((status >= 500).then_some("server_error"));
    response
}
