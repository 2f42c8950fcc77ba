//! Every span that there is: its name, its kind and its attributes.
//!
//! They follow OpenTelemetry's semantic conventions for HTTP, messaging (RabbitMQ), databases and S3; what those do not
//! know is named as in the log: `request.id`, `attempt.epoch`, `worker.id`. A span's own attributes stand in every
//! line that is logged inside it.

use tracing::{Span, field::Empty, info_span};
use uplift_core::{Lease, Purpose, WorkerId, event::Stage};

/// The dispatcher answers a call. `route` is the path's pattern: a span's name has few values.
#[must_use]
pub fn api_call(method: &str, route: &str, path: &str) -> Span {
    info_span!(
        "api",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        url.path = path,
        http.response.status_code = Empty,
    )
}

/// The status of the answer to a call.
pub fn api_answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
}

/// A hint is published, in the trace of the request's submission.
#[must_use]
pub fn publish_hint(exchange: &str, purpose: Purpose) -> Span {
    info_span!(
        parent: None,
        "publish",
        otel.name = format!("publish {exchange}"),
        otel.kind = "producer",
        messaging.system = "rabbitmq",
        messaging.operation.name = "publish",
        messaging.operation.type = "send",
        messaging.destination.name = exchange,
        messaging.rabbitmq.destination.routing_key = purpose.as_str(),
    )
}

/// A worker works on a request, from the claim to the settlement: the root of a trace of its own. Whose request it
/// is, [`attempt_of`] says once the claim has come back.
#[must_use]
pub fn attempt(worker: WorkerId) -> Span {
    info_span!(
        parent: None,
        "attempt",
        request.id = Empty,
        request.purpose = Empty,
        attempt.epoch = Empty,
        worker.id = %worker,
    )
}

/// What an attempt's claim has brought.
pub fn attempt_of(span: &Span, lease: &Lease, purpose: Purpose) {
    span.record("request.id", tracing::field::display(lease.request()));
    span.record("request.purpose", purpose.as_str());
    span.record("attempt.epoch", lease.epoch().0);
}

/// A worker asks the ledger for a request. It has no parent before there is an attempt.
#[must_use]
pub fn claim() -> Span {
    info_span!(
        parent: None,
        "claim",
        otel.kind = "client",
        db.system.name = "postgresql",
        db.operation.name = "claim",
        messaging.system = Empty,
        messaging.operation.name = Empty,
        messaging.operation.type = Empty,
    )
}

/// A hint has led to the claim, rather than the worker's own turn to look.
pub fn claim_hinted(span: &Span) {
    span.record("messaging.system", "rabbitmq");
    span.record("messaging.operation.name", "receive");
    span.record("messaging.operation.type", "receive");
}

/// A stage of an attempt.
#[must_use]
pub fn stage(stage: Stage) -> Span {
    info_span!("stage", otel.name = stage.as_str(), attempt.stage = stage.as_str())
}

/// The report and the log are stored.
#[must_use]
pub fn report() -> Span {
    info_span!("report", attempt.stage = Stage::Settle.as_str())
}

/// The engine runs a step of a hop.
#[must_use]
pub fn step(id: &str) -> Span {
    info_span!(
        "step",
        otel.name = id,
        step.id = id,
        step.rows = Empty,
        step.notices = Empty,
        db.system.name = "postgresql",
    )
}

/// What a step has done.
pub fn step_done(span: &Span, rows: u64, notices: u64) {
    span.record("step.rows", rows);
    span.record("step.notices", notices);
}

/// An object of any size is written to the store, from its first byte to its last.
#[must_use]
pub fn upload(bucket: &str, key: &str, upload: &str) -> Span {
    info_span!(
        "upload",
        otel.kind = "client",
        rpc.system.name = "aws-api",
        aws.s3.bucket = bucket,
        aws.s3.key = key,
        aws.s3.upload_id = upload,
        upload.bytes = Empty,
    )
}

/// How long the object has become.
pub fn uploaded(span: &Span, bytes: u64) {
    span.record("upload.bytes", bytes);
}

/// The ledger is told how an attempt has ended.
#[must_use]
pub fn settle() -> Span {
    info_span!("settle", otel.kind = "client", db.system.name = "postgresql", db.operation.name = "settle",)
}
