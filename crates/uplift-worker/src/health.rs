//! What the platform that runs this process asks it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uplift_platform::boot::metrics;

use crate::context::Context;

/// Answers `/healthz` (the process lives), `/readyz` (ledger, object store and the sandboxes' host answer) and `/metrics`
/// (what this worker alone sees).
pub(crate) async fn serve(context: Arc<Context>, stop: CancellationToken) -> Result<()> {
    let listen = context.config.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    tracing::info!(listen = %listener.local_addr()?, "health");
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(own_metrics))
        .with_state(context);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
        .context("serve health")
}

async fn ready(State(context): State<Arc<Context>>) -> (StatusCode, String) {
    let down = down(&context).await;
    if down.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, down)
    }
}

async fn own_metrics(State(context): State<Arc<Context>>) -> Response {
    down(&context).await;
    metrics::page("uplift-worker", env!("CARGO_PKG_VERSION"))
}

/// What does not answer, a line each.
async fn down(context: &Context) -> String {
    let (ledger, objects, sandboxes) = tokio::join!(
        metrics::answers("ledger", context.ledger.ping()),
        metrics::answers("objects", context.objects.ping()),
        metrics::answers("sandboxes", context.host.ping())
    );
    [("ledger", ledger), ("objects", objects), ("sandboxes", sandboxes)]
        .into_iter()
        .filter_map(|(name, answer)| answer.err().map(|error| format!("{name}: {error}\n")))
        .collect()
}
