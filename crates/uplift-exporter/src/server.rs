//! What is answered over HTTP.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{families::families, source::Source, text};

/// Answers `/metrics`, `/healthz` and `/readyz`. It is ready as soon as it listens: with everything else down, that
/// it says so is what it is for.
pub(crate) async fn serve(listener: TcpListener, source: Source, shutdown: CancellationToken) -> Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(|| async { "ready\n" }))
        .with_state(Arc::new(source));
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await
        .context("serve metrics")
}

async fn metrics(State(source): State<Arc<Source>>) -> Response {
    match text::write(&families(&*source.figures().await)) {
        Ok(text) => ([(header::CONTENT_TYPE, text::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "write the metrics");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}
