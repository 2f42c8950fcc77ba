//! What only this process sees, for Prometheus: its calls, and what answers them. What the ledger knows is the exporter's.

use std::{future::Future, sync::LazyLock, time::Duration};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use prometheus::{
    GaugeVec, HistogramVec, TextEncoder, core::Collector, register_gauge_vec, register_histogram_vec,
};

/// Upper ends of the buckets, in seconds: from an answer out of memory to one that somebody gave up on.
const EDGES: [f64; 10] = [0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0];

/// How long a service may take to answer before it counts as down. Prometheus itself gives up after ten seconds.
const PATIENCE: Duration = Duration::from_secs(3);

static PROCESS: LazyLock<GaugeVec> = LazyLock::new(|| {
    gauges("uplift_process_info", "The process's service and version; always 1.", &["service", "version"])
});
static UP: LazyLock<GaugeVec> = LazyLock::new(|| {
    gauges(
        "uplift_dependency_up",
        "Whether a service answered this process just now: 1 or 0.",
        &["dependency"],
    )
});
static HTTP: LazyLock<HistogramVec> = LazyLock::new(|| {
    let help = "Calls of the API and looks at pages, by route, until the answer began.";
    durations("uplift_http_request_duration_seconds", help, &["method", "route", "status"])
});
static STORE: LazyLock<HistogramVec> = LazyLock::new(|| {
    let help = "Calls of the object store with their retries, until the answer began, by how they ended: ok, absent, \
                refused, or failed (there was no answer).";
    durations("uplift_object_store_request_duration_seconds", help, &["operation", "outcome"])
});
static SANDBOXES: LazyLock<HistogramVec> = LazyLock::new(|| {
    let help = "Opening a sandbox, until its Postgres was ready, by how it ended: ok or failed.";
    durations("uplift_sandbox_open_duration_seconds", help, &["outcome"])
});

/// The names of all of them, and which are histograms.
pub fn names() -> Vec<(String, bool)> {
    let all: [(&dyn Collector, bool); 5] =
        [(&*PROCESS, false), (&*UP, false), (&*HTTP, true), (&*STORE, true), (&*SANDBOXES, true)];
    all.iter()
        .flat_map(|(metric, wide)| metric.desc().into_iter().map(|desc| (desc.fq_name.clone(), *wide)))
        .collect()
}

/// A call was answered. The route is its pattern, never an address; a method that nobody has heard of is no label either.
pub fn http(method: &str, route: &str, status: u16, took: Duration) {
    let method =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"].into_iter().find(|known| *known == method);
    let method = method.unwrap_or("other");
    let status = format!("{}xx", status / 100);
    HTTP.with_label_values(&[method, route, &status]).observe(took.as_secs_f64());
}

/// A call of the object store has ended.
pub(crate) fn object_store(operation: &str, outcome: &str, took: Duration) {
    STORE.with_label_values(&[operation, outcome]).observe(took.as_secs_f64());
}

/// A sandbox was opened, or could not be.
pub fn sandbox_opened(well: bool, took: Duration) {
    SANDBOXES.with_label_values(&[if well { "ok" } else { "failed" }]).observe(took.as_secs_f64());
}

/// Whether a service answers within three seconds; noted, and said in the log where it does not.
pub async fn answers<E: Into<anyhow::Error>>(
    dependency: &str,
    ping: impl Future<Output = Result<(), E>>,
) -> Result<(), String> {
    let answer = match tokio::time::timeout(PATIENCE, ping).await {
        Ok(answer) => answer.map_err(|error| format!("{:#}", error.into())),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    if let Err(error) = &answer {
        tracing::warn!(%error, dependency, "a dependency is out of reach");
    }
    up(dependency, answer.is_ok());
    answer
}

/// Whether a service is in reach.
pub fn up(dependency: &str, is: bool) {
    UP.with_label_values(&[dependency]).set(f64::from(u8::from(is)));
}

/// Everything that was noted in this process, as `/metrics` answers it.
pub fn page(service: &str, version: &str) -> Response {
    PROCESS.with_label_values(&[service, version]).set(1.0);
    match TextEncoder::new().encode_to_string(&prometheus::gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "write the metrics");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    register_gauge_vec!(name, help, labels).expect("every name is registered once")
}

fn durations(name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    register_histogram_vec!(name, help, labels, EDGES.to_vec()).expect("every name is registered once")
}
