//! The exporter: what the ledger and the broker know, for Prometheus.
//!
//! It writes nothing and keeps nothing but the last figures, for a moment. No figure tells a customer, a request
//! or a database.

#[cfg(test)]
mod dashboards;
pub mod families;
mod server;
mod source;
mod text;

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uplift_platform::{Config, Publisher, ledger::Kept};

/// Answers until told to stop, whether or not ledger and broker are there.
///
/// # Errors
/// The address is taken.
pub async fn run(config: &Config, shutdown: CancellationToken) -> Result<()> {
    let listen = config.exporter.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    tracing::info!(listen = %listener.local_addr()?, "ready");
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let retention = &config.dispatcher;
    let kept = Kept { source: days(retention.source_days), result: days(retention.result_days) };
    let source =
        source::Source::open(config.ledger.url.clone(), kept, Publisher::start(config.hints.clone()));
    server::serve(listener, source, shutdown).await?;
    tracing::info!("stopped");
    Ok(())
}
