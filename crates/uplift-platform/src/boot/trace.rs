//! Trace contexts as they travel (W3C `traceparent`: in the ledger, with hints, in HTTP), and how a span ends.

use std::collections::HashMap;

use opentelemetry::{
    Context,
    propagation::TextMapPropagator as _,
    trace::{SpanContext, Status, TraceContextExt as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The error of work that was given up before it could tell how it ended.
const BROKEN_OFF: &str = "broken_off";

/// The current span's context; `None` where no trace is recorded.
#[must_use]
pub fn traceparent() -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.remove("traceparent")
}

/// Makes a span that was not entered yet part of the trace that a `traceparent` names. One that cannot be read is
/// ignored: it comes from outside.
pub fn continue_from(span: &Span, traceparent: &str) {
    let remote = remote(traceparent);
    if remote.is_valid() {
        // What fails here is a process that records no traces.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
}

/// Links a span to the trace that a `traceparent` names. One that cannot be read is ignored, too.
pub fn link(span: &Span, traceparent: &str) {
    let remote = remote(traceparent);
    if remote.is_valid() {
        span.add_link(remote);
    }
}

/// Makes a span that was not entered yet the child of another one, which begins to be recorded with that.
pub fn adopt(parent: &Span, child: &Span) {
    let _ = child.set_parent(parent.context());
}

/// Forgets a span that was not entered and has no child: nothing of it is sent.
pub fn discard(span: &Span) {
    let _ = span.set_parent(Context::new().with_telemetry_suppressed());
}

/// Marks a span as failed. Codes only: traces hold no row of a customer, as logs don't.
pub fn fail(span: &Span, code: &'static str) {
    span.set_attribute("error.type", code);
    span.set_status(Status::error(code));
}

/// The span of work that is going on. Dropped without a word it says that the work was broken off, so that no way
/// out of a function looks like success.
#[derive(Debug)]
#[must_use = "it fails when it is dropped"]
pub struct Work(Option<Span>);

impl Work {
    /// The work begins.
    pub const fn begin(span: Span) -> Self {
        Self(Some(span))
    }

    /// Its span, to instrument with.
    #[must_use]
    pub fn span(&self) -> Span {
        self.0.clone().unwrap_or_else(Span::none)
    }

    /// The work has ended: well, or with an error's code.
    pub fn end(mut self, code: Option<&'static str>) {
        if let Some(span) = self.0.take()
            && let Some(code) = code
        {
            fail(&span, code);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(span) = self.0.take() {
            fail(&span, BROKEN_OFF);
        }
    }
}

fn remote(traceparent: &str) -> SpanContext {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let remote = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    remote.span().span_context().clone()
}
