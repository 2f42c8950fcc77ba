//! The dispatcher: the HTTP API and the pages in front of the ledger, and the sweep behind it.
//!
//! It decides nothing about a request by itself: what may happen is the ledger's to say. It holds no state of its
//! own, so that any number of dispatchers may run at once, and no byte of a dump passes through it. The one thing that lives
//! in a process are engineers' shells, which end with it.

pub mod api;
mod catalog;
mod context;
mod explain;
mod notify;
mod orphans;
mod promote;
mod retention;
mod shells;
mod sweep;
mod web;

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use uplift_platform::Config;

pub use context::Context;

/// How long open connections have to end once the dispatcher is told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs a dispatcher until `stopping` is cancelled.
///
/// # Errors
/// The ledger cannot be reached or migrated, the object store is misconfigured, or the address is taken.
pub async fn serve(config: &Config, stopping: CancellationToken) -> Result<()> {
    let context = Context::open(config, stopping.clone()).await?;
    let listen = config.dispatcher.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    let listening = listener.local_addr()?;
    context.shells.reached_at(&config.dispatcher.address, listening);
    tracing::info!(listen = %listening, "the dispatcher is up");

    let own = config.dispatcher.metrics_listen;
    let own = TcpListener::bind(own).await.with_context(|| format!("listen on {own}"))?;
    tracing::info!(listen = %own.local_addr()?, "metrics");
    let metrics = axum::serve(own, api::metrics_router(context.clone()))
        .with_graceful_shutdown(stopping.clone().cancelled_owned())
        .into_future();
    tokio::spawn(metrics);

    let sweep = sweep::start(&context, config.objects.sets_cors);
    let server = axum::serve(listener, api::router(context))
        .with_graceful_shutdown(stopping.clone().cancelled_owned())
        .into_future();
    tokio::select! {
        served = server => served.context("serve HTTP")?,
        () = drained(&stopping) => tracing::warn!("some connections did not end in time and are cut"),
    }
    timeout(DRAIN, sweep.wait()).await.unwrap_or_else(|_| tracing::warn!("the sweep did not end in time"));
    tracing::info!("the dispatcher has stopped");
    Ok(())
}

/// Returns when draining has taken too long.
async fn drained(stopping: &CancellationToken) {
    stopping.cancelled().await;
    tokio::time::sleep(DRAIN).await;
}
