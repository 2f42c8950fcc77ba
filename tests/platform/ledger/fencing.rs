//! Whoever lost a lease changes nothing, by whatever method.

use uplift_core::{
    Epoch, Lease, PackDigest, WorkerId,
    event::{Level, Stage, StepDone},
    request::{Saved, StateCode},
};
use uplift_platform::ledger::{Ledger, LedgerError, LogLine, Settlement};

use super::desk::{Desk, delivered, infrastructure, rejected, released, with_desk};

const STEP: &str = "1.0-2.0/step";

/// Everything that an attempt can tell the ledger, each with what came of it.
async fn everything(
    desk: &Desk,
    lease: &Lease,
    pack: &PackDigest,
) -> Vec<(&'static str, Result<(), LedgerError>)> {
    let ledger: &Ledger = &desk.ledger;
    let version = "1.0".parse().unwrap();
    let line = LogLine { at: uplift_core::Clock::System.now(), level: Level::Info, text: "a line".into() };
    let done = StepDone { step: STEP.into(), rows: 1, notices: 0, millis: 5, timings: Vec::new() };
    let saved = Saved { step: STEP.into(), bytes: 1, sha256: "sha256".into(), postgres_major: 15 };
    vec![
        ("renew", ledger.renew(lease, Stage::Dump, Some((1, 2))).await.map(drop)),
        ("detected", ledger.detected(lease, "sample", &version, pack, Some("id")).await.map(drop)),
        ("pin_source", ledger.pin_source(lease, "sha256").await.map(drop)),
        ("stage_entered", ledger.stage_entered(lease, Stage::Dump).await),
        ("step_started", ledger.step_started(lease, "1.0-2.0/next", None).await),
        ("step_done", ledger.step_done(lease, &done).await),
        ("checkpoint_saved", ledger.checkpoint_saved(lease, &saved).await),
        ("append_log", ledger.append_log(lease, &[line]).await),
        ("upload_begun", ledger.upload_begun(lease, "key", "upload").await),
    ]
}

/// Every way to settle. The first that succeeds ends the attempt, so that it stands apart.
fn settlements(lease: &Lease) -> [Settlement; 4] {
    [
        delivered(lease),
        Settlement::Failed(infrastructure("dump")),
        Settlement::Failed(rejected()),
        Settlement::Failed(released()),
    ]
}

async fn changes_nothing(desk: &Desk, lease: &Lease, pack: &PackDigest) {
    let before = desk.everything().await;
    for (method, result) in everything(desk, lease, pack).await {
        assert!(is_lost(&result, lease), "{method}: {result:?}");
        assert_eq!(desk.everything().await, before, "{method}");
    }
    for settlement in settlements(lease) {
        let result = desk.settle(lease, &settlement).await.map(drop);
        assert!(is_lost(&result, lease), "settle {settlement:?}: {result:?}");
        assert_eq!(desk.everything().await, before, "settle {settlement:?}");
    }
}

fn is_lost(result: &Result<(), LedgerError>, lease: &Lease) -> bool {
    matches!(result, Err(LedgerError::LeaseLost(request)) if *request == lease.request())
}

/// A lease with a step begun, so that there is something to end.
async fn held(desk: &Desk) -> (Lease, PackDigest) {
    let bearer = desk.customer("acme").await;
    let pack = desk.push_pack("pack").await;
    let lease = desk.running(&bearer, "shop").await.lease;
    desk.ledger.step_started(&lease, STEP, None).await.unwrap();
    (lease, pack)
}

#[tokio::test]
async fn whoever_holds_the_lease_can_do_it_all() {
    with_desk(async |desk| {
        let (lease, pack) = held(desk).await;
        let before = desk.everything().await;
        for (method, result) in everything(desk, &lease, &pack).await {
            assert!(result.is_ok(), "{method}: {result:?}");
        }
        assert_ne!(desk.everything().await, before);
        desk.deliver(&lease).await;
    })
    .await;
}

#[tokio::test]
async fn a_swept_attempt_changes_nothing() {
    with_desk(async |desk| {
        let (lease, pack) = held(desk).await;
        desk.expire(lease.request()).await;
        assert_eq!(desk.sweep().await[0].state, StateCode::Queued);
        changes_nothing(desk, &lease, &pack).await;
    })
    .await;
}

#[tokio::test]
async fn an_attempt_whose_request_was_claimed_again_changes_nothing() {
    with_desk(async |desk| {
        let (lease, pack) = held(desk).await;
        desk.expire(lease.request()).await;
        desk.sweep().await;
        let next = desk.claimed().await.lease;
        assert_eq!((next.request(), next.epoch()), (lease.request(), Epoch(2)));
        // With the same step begun, so that the old attempt could end the new one's.
        desk.ledger.step_started(&next, STEP, None).await.unwrap();
        changes_nothing(desk, &lease, &pack).await;
        desk.deliver(&next).await;
        changes_nothing(desk, &lease, &pack).await;
    })
    .await;
}

#[tokio::test]
async fn the_same_worker_with_an_older_epoch_changes_nothing() {
    with_desk(async |desk| {
        let (lease, pack) = held(desk).await;
        desk.fail(&lease, released()).await;
        let next = desk.claim(lease.worker()).await.unwrap().lease;
        assert_eq!(next.request(), lease.request());
        desk.ledger.step_started(&next, STEP, None).await.unwrap();
        changes_nothing(desk, &lease, &pack).await;
        desk.deliver(&next).await;
    })
    .await;
}

#[tokio::test]
async fn another_worker_changes_nothing() {
    with_desk(async |desk| {
        let (lease, pack) = held(desk).await;
        let impostor = Lease::claimed(lease.request(), lease.epoch(), WorkerId::new());
        changes_nothing(desk, &impostor, &pack).await;
        let early = Lease::claimed(lease.request(), Epoch(2), lease.worker());
        changes_nothing(desk, &early, &pack).await;
        desk.deliver(&lease).await;
        changes_nothing(desk, &impostor, &pack).await;
    })
    .await;
}

/// The sweep and a worker that settles meet: one of the two ends the attempt, and the audit names it.
#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_and_a_sweep_at_once_end_an_attempt_once() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        for round in 0..20 {
            let lease = desk.running(&bearer, "shop").await.lease;
            desk.expire(lease.request()).await;
            let settlement = delivered(&lease);
            let (settled, swept) = tokio::join!(desk.settle(&lease, &settlement), desk.sweep());
            let mut expected = vec!["submit", "upload", "claim"];
            match settled {
                Ok(state) => {
                    assert_eq!((state, swept.len()), (StateCode::Delivered, 0), "round {round}");
                    expected.push("deliver");
                }
                Err(LedgerError::LeaseLost(_)) => {
                    assert_eq!(swept.len(), 1, "round {round}");
                    desk.deliver(&desk.claimed().await.lease).await;
                    expected.extend(["requeue", "claim", "deliver"]);
                }
                Err(error) => panic!("{error:?}"),
            }
            assert_eq!(desk.actions(lease.request()).await, expected);
        }
    })
    .await;
}
