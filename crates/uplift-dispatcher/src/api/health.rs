//! Whether the dispatcher is alive, and whether it is of use.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use serde::Serialize;
use uplift_platform::boot::metrics;

use crate::Context;

/// Whether the services that the dispatcher needs are in reach.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Readiness {
    /// Whether requests should come here.
    ready: bool,
    /// The ledger answers.
    ledger: bool,
    /// The object store answers.
    objects: bool,
    /// The broker is connected. Without it requests are taken all the same, and start a little later.
    broker: bool,
}

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = String)))]
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// The ledger and the object store answer.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Readiness))
)]
pub(super) async fn ready(State(context): State<Arc<Context>>) -> (StatusCode, Json<Readiness>) {
    let (ledger, objects, broker) = dependencies(&context).await;
    let ready = ledger && objects && !context.stopping.is_cancelled();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, ledger, objects, broker }))
}

/// Whether the ledger, the object store and the broker answer.
async fn dependencies(context: &Context) -> (bool, bool, bool) {
    let (ledger, objects) = tokio::join!(
        metrics::answers("ledger", context.ledger.ping()),
        metrics::answers("objects", context.objects.ping())
    );
    let broker = context.hints.connected();
    metrics::up("broker", broker);
    (ledger.is_ok(), objects.is_ok(), broker)
}

/// What Prometheus asks, on an address of its own: what this dispatcher alone sees.
pub(crate) fn metrics_router(context: Arc<Context>) -> Router {
    let answer = async |State(context): State<Arc<Context>>| {
        dependencies(&context).await;
        metrics::page("uplift-dispatcher", env!("CARGO_PKG_VERSION"))
    };
    Router::new().route("/metrics", get(answer)).with_state(context)
}
