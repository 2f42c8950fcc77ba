//! What a worker records while it holds a request.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uplift_core::{
    Epoch, WorkerId,
    event::{Stage, StepDone},
    request::{State, StateCode},
};
use uplift_platform::ledger::Settlement;

use super::desk::{delivered, infrastructure, released, with_desk};

fn time(value: &Value) -> DateTime<Utc> {
    serde_json::from_value(value.clone()).unwrap()
}

#[tokio::test]
async fn a_claim_gives_a_lease_and_the_request() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let request = desk.queued(&bearer, "shop").await;
        let worker = WorkerId::new();
        let claimed = desk.claim(worker).await.unwrap();
        assert_eq!((claimed.lease.request(), claimed.lease.worker()), (request, worker));
        assert_eq!(claimed.lease.epoch(), Epoch(1));
        assert_eq!((claimed.request.state, claimed.request.worker), (State::Running, Some(worker)));
        assert_eq!((claimed.request.epoch, claimed.request.stage), (Epoch(1), Some(Stage::Fetch)));
        let row = desk.row(request).await;
        let lease = time(&row["lease_until"]) - time(&row["started_at"]);
        let attempt = time(&row["attempt_until"]) - time(&row["started_at"]);
        assert_eq!((lease.num_seconds(), attempt.num_seconds()), (60, 3 * 3600));
    })
    .await;
}

#[tokio::test]
async fn a_renewal_extends_the_lease_and_tells_where_the_attempt_stands() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let lease = desk.running(&bearer, "shop").await.lease;
        desk.set(lease.request(), "lease_until = now() + interval '1 second'").await;
        let before = desk.row(lease.request()).await;
        desk.ledger.renew(&lease, Stage::Restore, Some((7, 1 << 40))).await.unwrap();
        let after = desk.row(lease.request()).await;
        let longer = time(&after["lease_until"]) - time(&before["lease_until"]);
        assert!((58..=70).contains(&longer.num_seconds()), "{longer}");
        assert_eq!(after["attempt_until"], before["attempt_until"], "a renewal gives no more time");
        let request = desk.ledger.request(None, lease.request()).await.unwrap();
        assert_eq!((request.stage, request.progress), (Some(Stage::Restore), Some((7, 1 << 40))));
    })
    .await;
}

#[tokio::test]
async fn a_databases_identity_is_recorded_once() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let pack = desk.push_pack("pack").await;
        let version = "1.0".parse().unwrap();
        let detect = async |database: &str, identity: Option<&str>| {
            let lease = desk.running(&bearer, database).await.lease;
            let known = desk.ledger.detected(&lease, "sample", &version, &pack, identity).await.unwrap();
            desk.deliver(&lease).await;
            let request = desk.ledger.request(None, lease.request()).await.unwrap();
            assert_eq!((request.product.as_deref(), request.pack), (Some("sample"), Some(pack.clone())));
            assert_eq!(request.source_version, Some(version.clone()));
            known
        };
        assert_eq!(detect("shop", None).await, None, "a pack may know no identity");
        assert_eq!(detect("shop", Some("ünïque")).await.as_deref(), Some("ünïque"));
        assert_eq!(detect("shop", Some("other")).await.as_deref(), Some("ünïque"), "another one is told");
        assert_eq!(detect("shop", None).await.as_deref(), Some("ünïque"));
        assert_eq!(detect("shop 2", Some("other")).await.as_deref(), Some("other"), "per database");
    })
    .await;
}

#[tokio::test]
async fn a_sources_hash_is_pinned_by_whoever_knows_it_first() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let lease = desk.running(&bearer, "shop").await.lease;
        assert_eq!(desk.ledger.pin_source(&lease, "first").await.unwrap(), "first");
        assert_eq!(desk.ledger.pin_source(&lease, "second").await.unwrap(), "first");
        desk.fail(&lease, released()).await;
        let lease = desk.claimed().await.lease;
        assert_eq!(desk.ledger.pin_source(&lease, "third").await.unwrap(), "first", "through attempts");
    })
    .await;
}

#[tokio::test]
async fn steps_are_those_of_the_newest_attempt() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let first = desk.running(&bearer, "shop").await.lease;
        desk.ledger.step_started(&first, "only of the first attempt", None).await.unwrap();
        desk.fail(&first, released()).await;
        let lease = desk.claimed().await.lease;
        assert!(desk.ledger.steps(lease.request()).await.unwrap().is_empty());

        // Not in the order of their names.
        for step in ["b", "a"] {
            desk.ledger.step_started(&lease, step, None).await.unwrap();
        }
        let done = StepDone { step: "b".into(), rows: 3, notices: 1, millis: 1234, timings: Vec::new() };
        desk.ledger.step_done(&lease, &done).await.unwrap();
        let steps = desk.ledger.steps(lease.request()).await.unwrap();
        let steps: Vec<_> = steps.iter().map(|step| (step.step.as_str(), step.millis)).collect();
        assert_eq!(steps, [("b", Some(1234)), ("a", None)]);
        let row = "SELECT s FROM steps s WHERE s.request_id = r.id AND s.step = 'b'";
        let row = desk.value(lease.request(), row).await;
        assert_eq!((&row["rows"], &row["notices"], &row["epoch"]), (&json!(3), &json!(1), &json!(2)));
    })
    .await;
}

#[tokio::test]
async fn a_delivery_is_final_and_may_be_told_again_by_its_attempt_only() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let first = desk.running(&bearer, "shop").await.lease;
        desk.fail(&first, released()).await;
        let lease = desk.claimed().await.lease;
        desk.deliver(&lease).await;
        let request = desk.ledger.request(None, lease.request()).await.unwrap();
        let Settlement::Delivered(delivery) = delivered(&lease) else { unreachable!() };
        assert_eq!(request.state, State::Delivered(delivery));
        assert_eq!((request.worker, request.finished_at.is_some()), (None, true));

        let ended = desk.everything().await;
        desk.deliver(&lease).await;
        for (lease, settlement) in
            [(&first, delivered(&first)), (&lease, Settlement::Failed(infrastructure("settle")))]
        {
            desk.settle(lease, &settlement).await.unwrap_err();
        }
        assert_eq!(desk.everything().await, ended);
    })
    .await;
}

/// A statement or a message that is quoted from a hostile dump may hold what Postgres cannot.
#[tokio::test]
async fn a_failure_with_a_nul_is_recorded() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let lease = desk.running(&bearer, "shop").await.lease;
        let failure = uplift_core::Failure::rejected("line 1 holds \0, \\u0000 and ü");
        assert_eq!(desk.fail(&lease, failure).await, StateCode::Rejected);
        let State::Rejected { failure } = desk.ledger.request(None, lease.request()).await.unwrap().state
        else {
            panic!("it was rejected")
        };
        assert_eq!(failure.to_string(), "line 1 holds \u{fffd}, \\u0000 and ü");
    })
    .await;
}

#[tokio::test]
async fn a_reaper_is_told_which_attempts_live() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        desk.ledger.set_max_running("acme", 3).await.unwrap();
        let old = desk.running(&bearer, "a").await.lease;
        desk.fail(&old, released()).await;
        let live = desk.claimed().await.lease;
        let silent = desk.running(&bearer, "b").await.lease;
        desk.expire(silent.request()).await;
        let ended = desk.running(&bearer, "c").await.lease;
        desk.deliver(&ended).await;
        let asked = [&old, &live, &silent, &ended].map(|lease| (lease.request(), lease.epoch()));
        assert_eq!(desk.ledger.live(&asked).await.unwrap(), [(live.request(), Epoch(2))]);
        assert!(desk.ledger.live(&[]).await.unwrap().is_empty());
    })
    .await;
}
