//! What every process does first and last: telemetry, signals.

mod lines;
pub mod metrics;
pub mod spans;
pub mod trace;

use anyhow::{Context as _, Result};
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};
use uplift_core::Clock;

use lines::Lines;

/// Where traces go, if anywhere. The exporter itself reads this and the other variables that OpenTelemetry has for it.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

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
    let provider = if is_set(ENDPOINT) { Some(exporter(service)?) } else { None };
    let spans = provider.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("uplift"));
        let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false);
        layer.with_target(false).with_filter(filter_fn(is_ours))
    });
    let lines = if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).boxed()
    } else {
        Lines::new(std::io::stderr, Clock::System).boxed()
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    // However little is logged, a line says which attempt it is about.
    let filter = filter.or(filter_fn(|metadata| metadata.is_span() && is_ours(metadata)));
    tracing_subscriber::registry()
        .with(spans)
        .with(lines.with_filter(filter))
        .try_init()
        .context("start logging")?;
    Ok(Telemetry { provider })
}

/// Sends traces in batches, from a thread of its own and out of a queue that drops what does not fit: a collector
/// that is slow or away slows nothing down.
fn exporter(service: &'static str) -> Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .build()
        .with_context(|| format!("build the exporter of traces to {ENDPOINT}"))?;
    let resource =
        Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let resource = if is_set("OTEL_SERVICE_NAME") { resource } else { resource.with_service_name(service) };
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

/// By OpenTelemetry's rule, a variable that is empty is not set.
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// What goes into traces: our own spans and lines, none of a library's.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("uplift") && *metadata.level() <= LevelFilter::INFO
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
