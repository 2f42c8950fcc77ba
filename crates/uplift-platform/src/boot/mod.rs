//! What every process does first and last: telemetry, signals.

pub mod trace;

use anyhow::{Context as _, Result};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// What the log shows where `RUST_LOG` says nothing.
const DEFAULT_FILTER: &str = "info,lapin=warn,sqlx=warn,aws_config=warn,hyper=warn";

/// Keeps telemetry alive; dropping it sends what has not been sent yet.
#[must_use = "telemetry ends when this is dropped"]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(error = %error, "the last spans could not be sent");
        }
    }
}

/// Starts logging (JSON lines on stderr; text where that is a terminal) and, where
/// `OTEL_EXPORTER_OTLP_ENDPOINT` is set, sends traces there.
///
/// # Errors
/// The exporter cannot be built, or logging has been started before.
pub fn telemetry(service: &'static str) -> Result<Telemetry> {
    // One provider for every TLS client of the process; a second installation is what another part has done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let provider = match std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT") {
        None => None,
        Some(_) => {
            let exporter = opentelemetry_otlp::SpanExporter::builder()
                .with_http()
                .build()
                .context("build the OTLP exporter")?;
            let resource = Resource::builder().with_service_name(service).build();
            Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
        }
    };
    let spans = provider
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("uplift")));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        lines.boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    tracing_subscriber::registry()
        .with(filter)
        .with(spans)
        .with(lines)
        .try_init()
        .context("start logging")?;
    Ok(Telemetry { provider })
}

/// A token that is cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// The handlers cannot be installed.
pub fn shutdown() -> Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
        cancelled.cancel();
    });
    Ok(token)
}
