//! Where OpenTelemetry's exporters send to: the protocol's own types behind a server of this test's own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::header, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{self as proto, status::StatusCode},
};
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{SOON, eventually};

/// A collector that keeps what it gets. It ends when it is dropped.
pub struct Collector {
    spans: Spans,
    endpoint: String,
    server: JoinHandle<()>,
}

type Spans = Arc<Mutex<Vec<Span>>>;

/// A span as it was sent. Ids are in hexadecimal, as `traceparent` and log lines have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub service: String,
    pub name: String,
    pub kind: proto::span::SpanKind,
    pub trace: String,
    pub id: String,
    /// Empty where it has none.
    pub parent: String,
    /// Traces and spans that it is linked to.
    pub links: Vec<(String, String)>,
    pub attributes: HashMap<String, String>,
    /// What went wrong, if anything did.
    pub error: Option<String>,
    /// Nanoseconds since 1970.
    pub began: u64,
    pub ended: u64,
}

impl Collector {
    pub async fn start() -> Self {
        let spans = Spans::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(take)).with_state(spans.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { spans, endpoint, server }
    }

    /// What a process has to have in its environment to send here, and soon.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(&self.endpoint)
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    /// Waits for a span; the spans that ended before it in its process are here by then.
    pub async fn span(&self, what: &str, is: impl Fn(&Span) -> bool) -> Span {
        eventually(&format!("the span {what}"), SOON, async || self.spans().into_iter().find(&is)).await
    }

    /// The spans of a trace, in the order in which they began.
    pub fn trace(&self, id: &str) -> Vec<Span> {
        let mut spans = self.spans();
        spans.retain(|span| span.trace == id);
        spans.sort_by_key(|span| span.began);
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What a process has to have in its environment to send its traces somewhere, soon after they have ended.
pub fn environment(endpoint: &str) -> Vec<(String, String)> {
    let pairs = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "200")];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

async fn take(State(spans): State<Spans>, body: Bytes) -> ([(header::HeaderName, &'static str); 1], Vec<u8>) {
    let request = ExportTraceServiceRequest::decode(body).expect("what is sent is the protocol's");
    for resource in request.resource_spans {
        let of_resource =
            resource.resource.map(|resource| attributes(resource.attributes)).unwrap_or_default();
        let service = of_resource["service.name"].clone();
        let sent = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.lock().unwrap().extend(sent.map(|span| read(&service, span)));
    }
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    ([(header::CONTENT_TYPE, "application/x-protobuf")], answer)
}

fn read(service: &str, span: proto::Span) -> Span {
    let status = span.status.clone().unwrap_or_default();
    Span {
        service: service.to_owned(),
        kind: span.kind(),
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        attributes: attributes(span.attributes),
        error: (status.code() == StatusCode::Error).then_some(status.message),
        began: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
    }
}

fn attributes(pairs: Vec<KeyValue>) -> HashMap<String, String> {
    let text = |pair: KeyValue| {
        let value = match pair.value?.value? {
            Value::StringValue(text) => text,
            Value::IntValue(number) => number.to_string(),
            Value::BoolValue(is) => is.to_string(),
            Value::DoubleValue(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        Some((pair.key, value))
    };
    pairs.into_iter().filter_map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
