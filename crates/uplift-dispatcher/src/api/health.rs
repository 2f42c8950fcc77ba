//! Whether the dispatcher is alive, and whether it is of use.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;

use crate::Context;

/// How long a service may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

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
    let (ledger, objects) = tokio::join!(
        answers("the ledger", context.ledger.ping()),
        answers("the object store", context.objects.ping())
    );
    let ready = ledger && objects && !context.stopping.is_cancelled();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, ledger, objects, broker: context.hints.connected() }))
}

async fn answers<E: Into<anyhow::Error>>(what: &str, ping: impl Future<Output = Result<(), E>>) -> bool {
    match tokio::time::timeout(PATIENCE, ping).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(error = format!("{:#}", error.into()), "{what} is out of reach");
            false
        }
        Err(_) => {
            tracing::warn!("{what} did not answer within {} s", PATIENCE.as_secs());
            false
        }
    }
}
