//! What the platform that runs this process asks it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// Answers `/healthz` (the process lives) and `/readyz` (ledger, object store and the sandboxes' host answer).
pub(crate) async fn serve(context: Arc<Context>, stop: CancellationToken) -> Result<()> {
    let listen = context.config.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    tracing::info!(listen = %listener.local_addr()?, "health");
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(context);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
        .context("serve health")
}

async fn ready(State(context): State<Arc<Context>>) -> (StatusCode, String) {
    let answers = [
        ("ledger", context.ledger.ping().await.map_err(|error| error.to_string())),
        ("objects", context.objects.ping().await.map_err(|error| error.to_string())),
        ("sandboxes", context.host.ping().await.map_err(|error| error.to_string())),
    ];
    let down: Vec<String> = answers
        .into_iter()
        .filter_map(|(name, answer)| answer.err().map(|error| format!("{name}: {error}\n")))
        .collect();
    if down.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, down.concat())
    }
}
