//! The log for machines: one flat JSON object a line, with the fields of every span around it and, where a trace is
//! recorded, its ids.
//!
//! `tracing-subscriber`'s own JSON nests spans and knows no trace; whoever looks for a request or for a trace should
//! need one key only.

use std::{fmt::Debug, io::Write as _};

use chrono::SecondsFormat;
use opentelemetry::{Context as TraceContext, trace::TraceContextExt as _};
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    fmt::MakeWriter,
    layer::Context,
    registry::{LookupSpan, Scope},
};
use uplift_core::Clock;

/// Writes the lines.
pub(super) struct Lines<W> {
    writer: W,
    clock: Clock,
}

impl<W> Lines<W> {
    pub(super) const fn new(writer: W, clock: Clock) -> Self {
        Self { writer, clock }
    }
}

/// A line. Fields of inner spans win over those of outer ones, and the event's own over both.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Value>,
    target: &'a str,
    #[serde(flatten)]
    fields: Map<String, Value>,
    #[serde(flatten)]
    trace: Option<Trace>,
}

/// The ids by which OpenTelemetry's log data model joins a line with its trace.
#[derive(Serialize)]
struct Trace {
    trace_id: String,
    span_id: String,
}

impl Trace {
    /// Of the span that is entered, if it is recorded.
    fn current() -> Option<Self> {
        TraceContext::map_current(|context| {
            let span = context.span();
            let ids = span.span_context();
            let recorded = ids.is_valid() && ids.is_sampled();
            recorded
                .then(|| Self { trace_id: ids.trace_id().to_string(), span_id: ids.span_id().to_string() })
        })
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.0.extend(of_span.0.clone());
            }
        }
        event.record(&mut fields);
        let line = Line {
            timestamp: self.clock.now().to_rfc3339_opts(SecondsFormat::Micros, true),
            level: event.metadata().level().as_str(),
            message: fields.0.remove("message"),
            target: event.metadata().target(),
            fields: fields.0,
            trace: Trace::current(),
        };
        // In one piece, so that lines of several threads do not mix. A log that cannot be written has nobody to
        // tell.
        if let Ok(mut text) = serde_json::to_vec(&line) {
            text.push(b'\n');
            let _ = self.writer.make_writer_for(event.metadata()).write_all(&text);
        }
    }
}

/// The fields of a span or of an event.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        // What tells OpenTelemetry how to show a span tells a reader of the log nothing.
        if !field.name().starts_with("otel.") {
            self.0.insert(field.name().to_owned(), value.into());
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use chrono::DateTime;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use serde_json::json;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(work: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let clock = Clock::Fixed(DateTime::UNIX_EPOCH);
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let subscriber = tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(tracer))
            .with(Lines::new(move || writer.clone(), clock));
        tracing::subscriber::with_default(subscriber, work);
        let written = written.0.lock().unwrap();
        let text = str::from_utf8(&written).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_flat_and_has_the_fields_of_its_spans() {
        let found = lines(|| {
            let attempt = tracing::info_span!("attempt", request.id = tracing::field::Empty, otel.kind = "x");
            attempt.record("request.id", tracing::field::display("r1"));
            let _attempt = attempt.entered();
            let _step = tracing::info_span!("step", step = "one").entered();
            tracing::info!(step = "two", rows = 3_u64, ok = true, error = %"no \"x\"\n", "done {}", 1);
        });
        let [line] = found.as_slice() else { panic!("one line: {found:?}") };
        let mut line = line.clone();
        let ids = ["trace_id", "span_id"].map(|id| line.as_object_mut().unwrap().remove(id).unwrap());
        assert_eq!(ids.map(|id| id.as_str().unwrap().len()), [32, 16]);
        assert_eq!(
            line,
            json!({
                "timestamp": "1970-01-01T00:00:00.000000Z", "level": "INFO", "message": "done 1",
                "target": module_path!(), "request.id": "r1", "step": "two", "rows": 3, "ok": true,
                "error": "no \"x\"\n",
            })
        );
    }

    #[test]
    fn a_line_outside_of_every_span_has_no_ids() {
        let found = lines(|| tracing::warn!("alone"));
        assert_eq!(found[0]["message"], "alone");
        assert!(found[0].get("trace_id").is_none() && found[0].get("span_id").is_none());
    }
}
