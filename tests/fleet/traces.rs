//! Traces over OTLP: one an attempt, linked to the trace of its submission; log lines carry its ids.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uplift_core::{Purpose, RequestId};
use uplift_tests::{
    collector::{Collector, Span},
    fleet::{Fleet, Options},
    repository,
};

use crate::{dumps, http};

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_is_one_trace_linked_to_its_submission() {
    let collector = Collector::start().await;
    let fleet = Fleet::with(Options {
        workers: 1,
        worker: "prove_tests = true".into(),
        environment: collector.environment(),
        // Nothing but a hint wakes the worker.
        poll_seconds: 3600,
        ..Options::default()
    })
    .await;
    fleet.push_pack(&repository("deploy/packs/sample"));
    let source = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &source).as_bytes());
    source.remove().await;

    let delivered = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    fleet.delivered(delivered).await;
    let attempt = attempt_of(&collector, delivered).await;
    has_a_span_for_each_part(&fleet, &collector, delivered, &attempt).await;
    is_linked_to_its_submission(&collector, &attempt).await;
    log_lines_carry_the_ids(&fleet, delivered, &attempt);

    let text = dumps::file(&fleet, "text.sql", b"This is not a dump.\n");
    let rejected = fleet.submit(Purpose::Test, &text, "3.0", "text");
    fleet.rejected(rejected).await;
    says_what_went_wrong(&collector, &attempt_of(&collector, rejected).await);

    goes_on_with_the_clients_trace(&fleet, &collector).await;

    // The worker has looked for work more often than it found some; that is no news.
    let names: Vec<String> = collector.spans().into_iter().map(|span| span.name).collect();
    for name in ["attempt", "claim"] {
        assert_eq!(names.iter().filter(|other| *other == name).count(), 2, "{names:?}");
    }
    fleet.stop().await;
}

async fn attempt_of(collector: &Collector, request: RequestId) -> Span {
    let id = request.to_string();
    collector
        .span("attempt", |span| span.name == "attempt" && span.attributes.get("request.id") == Some(&id))
        .await
}

async fn has_a_span_for_each_part(fleet: &Fleet, collector: &Collector, request: RequestId, attempt: &Span) {
    let steps: Vec<String> =
        fleet.ledger.steps(request).await.unwrap().into_iter().map(|step| step.step).collect();
    assert_eq!(steps.len(), 19);
    let spans = collector.trace(&attempt.trace);
    let named = |name: &str| spans.iter().find(|span| span.name == name).expect(name);
    let (upgrade, dump) = (named("upgrade"), named("dump"));
    let parts = ["claim", "fetch", "restore", "upgrade", "dump", "prove", "report", "settle"];
    let expected: BTreeSet<(&str, &str)> = [("attempt", ""), ("upload", &dump.id)]
        .into_iter()
        .chain(parts.map(|part| (part, attempt.id.as_str())))
        .chain(steps.iter().map(|step| (step.as_str(), upgrade.id.as_str())))
        .collect();
    let found: Vec<(&str, &str)> =
        spans.iter().map(|span| (span.name.as_str(), span.parent.as_str())).collect();
    assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), expected);
    assert_eq!(found.len(), expected.len(), "none is there twice: {found:?}");

    for span in &spans {
        assert_eq!((span.service.as_str(), &span.error), ("uplift-worker", &None), "{span:?}");
        let parent = spans.iter().find(|other| other.id == span.parent).unwrap_or(attempt);
        assert!(parent.began <= span.began && span.ended <= parent.ended, "{span:?} in {parent:?}");
    }
    // Stages follow one another; a claim that took part of another stage's time would tell nothing.
    let ends = parts.map(|part| (named(part).began, named(part).ended));
    assert!(ends.is_sorted_by(|before, after| before.1 <= after.0), "{ends:?}");
    assert_eq!(named("claim").kind, SpanKind::Client);
    assert_eq!(named("claim").attributes["db.system.name"], "postgresql");
    assert_eq!(named("upload").attributes["rpc.system.name"], "aws-api");
    assert_ne!(named("1.0-2.0/split-partners").attributes["step.rows"], "0");
    assert_eq!(attempt.attributes["attempt.epoch"], "1");
}

/// Both the call that made the request and the hint that was sent for it are in the submission's trace; the attempt and its
/// claim are linked to them.
async fn is_linked_to_its_submission(collector: &Collector, attempt: &Span) {
    let submission = collector.span("of the submission", |span| span.name == "POST /api/v1/requests").await;
    assert_eq!(attempt.links, [(submission.trace.clone(), submission.id.clone())]);
    assert_ne!(attempt.trace, submission.trace);
    assert_eq!((submission.service.as_str(), submission.kind), ("uplift-dispatcher", SpanKind::Server));
    assert_eq!(submission.attributes["http.response.status_code"], "201");
    let publish = |span: &Span| span.name.starts_with("publish ") && span.trace == submission.trace;
    let hint = collector.span("of the hint", publish).await;
    assert_eq!((&hint.parent, hint.kind), (&submission.id, SpanKind::Producer));
    assert_eq!(hint.attributes["messaging.system"], "rabbitmq");
    // What came over the broker leads back to who published it.
    let claim = |span: &Span| span.name == "claim" && span.parent == attempt.id;
    let claim = collector.span("of the claim", claim).await;
    assert_eq!(claim.links, [(hint.trace.clone(), hint.id.clone())]);
    assert_eq!(claim.attributes["messaging.system"], "rabbitmq");
    assert_eq!(claim.attributes["messaging.operation.name"], "receive");
}

fn log_lines_carry_the_ids(fleet: &Fleet, request: RequestId, attempt: &Span) {
    let log = fleet.workers[0].log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let id = json!(request.to_string());
    let of_attempt: Vec<&Value> = lines.iter().filter(|line| line["request.id"] == id).collect();
    let messages: Vec<&str> = of_attempt.iter().filter_map(|line| line["message"].as_str()).collect();
    assert!(messages.contains(&"claimed") && messages.contains(&"settled"), "{messages:?}");
    for line in of_attempt {
        assert_eq!(line["trace_id"], attempt.trace, "{line}");
        assert_eq!(line["worker.id"], attempt.attributes["worker.id"], "{line}");
        assert_eq!(line["attempt.epoch"], 1, "{line}");
        assert_eq!(line["span_id"].as_str().map(str::len), Some(16), "{line}");
    }
    let ready = lines.iter().find(|line| line["message"] == "ready").unwrap();
    assert!(ready.get("trace_id").is_none(), "{ready}");
}

fn says_what_went_wrong(collector: &Collector, attempt: &Span) {
    let ends: Vec<(String, Option<String>)> = collector
        .trace(&attempt.trace)
        .into_iter()
        .map(|span| {
            assert_eq!(span.attributes.get("error.type"), span.error.as_ref(), "{span:?}");
            (span.name, span.error)
        })
        .collect();
    let rejected = || Some("input_rejected".to_owned());
    let expected = [("attempt", rejected()), ("claim", None), ("fetch", rejected()), ("settle", None)];
    assert_eq!(ends, expected.map(|(name, error)| (name.to_owned(), error)));
}

async fn goes_on_with_the_clients_trace(fleet: &Fleet, collector: &Collector) {
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let headers = [("traceparent", format!("00-{trace}-{parent}-01"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let wish = json!({
        "database": "client", "purpose": "test", "target": "3.0", "file_name": "x.sql", "bytes": 1,
    });
    let answer =
        http::send(fleet.server(), fleet.token(), Method::POST, "requests", &headers, &wish.to_string())
            .await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let call = collector.span("in the client's trace", |span| span.trace == trace).await;
    assert_eq!((call.name.as_str(), call.parent.as_str()), ("POST /api/v1/requests", parent));
    let kept =
        "SELECT traceparent FROM requests JOIN databases d ON d.id = database_id WHERE d.name = 'client'";
    assert_eq!(fleet.database.value(kept).await, format!("00-{trace}-{}-01", call.id));
}
