//! Taking a request back in each state, and trying it again.

use uplift_core::{Failure, RequestId, request::StateCode};
use uplift_platform::ledger::{Conflict, LedgerError};

use super::desk::{Desk, infrastructure, rejected, released, script_failed, source, with_desk};
use uplift_core::event::Stage;

#[tokio::test]
async fn what_does_not_run_is_cancelled_at_once_and_for_ever() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let awaiting = desk.submitted(&bearer, "a").await;
        let stopped = desk.running(&bearer, "c").await.lease;
        desk.fail(&stopped, script_failed()).await;
        let queued = desk.queued(&bearer, "b").await;
        for request in [awaiting, queued, stopped.request()] {
            desk.ledger.cancel(request, "customer").await.unwrap();
            assert_eq!(desk.state(request).await, StateCode::Cancelled);
            let ended = desk.everything().await;
            desk.ledger.cancel(request, "customer").await.unwrap();
            assert_eq!(desk.everything().await, ended, "once more changes nothing");
            assert!(desk.ledger.request(None, request).await.unwrap().finished_at.is_some());
        }
        assert_eq!(desk.actions(awaiting).await, ["submit", "cancel"]);
        assert_eq!(desk.actions(queued).await, ["submit", "upload", "cancel"]);
        assert!(desk.claim(uplift_core::WorkerId::new()).await.is_none());
    })
    .await;
}

#[tokio::test]
async fn what_has_ended_is_not_cancelled() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let delivered = desk.running(&bearer, "a").await.lease;
        desk.deliver(&delivered).await;
        let refused = desk.running(&bearer, "b").await.lease;
        assert_eq!(desk.fail(&refused, rejected()).await, StateCode::Rejected);
        for (request, expected) in
            [(delivered.request(), StateCode::Delivered), (refused.request(), StateCode::Rejected)]
        {
            let before = desk.everything().await;
            let error = desk.ledger.cancel(request, "customer").await.unwrap_err();
            assert!(
                matches!(error, LedgerError::Conflict(Conflict::State { state, .. }) if state == expected),
                "{error:?}"
            );
            assert_eq!(desk.everything().await, before);
        }
        let unknown = desk.ledger.cancel(RequestId::new(), "customer").await;
        assert!(matches!(unknown, Err(LedgerError::NotFound("request"))));
    })
    .await;
}

#[tokio::test]
async fn a_running_request_is_cancelled_by_its_worker() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let lease = desk.running(&bearer, "a").await.lease;
        assert!(!desk.ledger.renew(&lease, Stage::Restore, None).await.unwrap().cancel);
        desk.ledger.cancel(lease.request(), "customer").await.unwrap();
        assert_eq!(desk.state(lease.request()).await, StateCode::Running, "its worker has to end it first");
        assert!(desk.ledger.renew(&lease, Stage::Restore, None).await.unwrap().cancel);
        assert_eq!(desk.fail(&lease, Failure::Cancelled).await, StateCode::Cancelled);
        assert_eq!(
            desk.actions(lease.request()).await,
            ["submit", "upload", "claim", "ask_to_cancel", "cancel"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_result_that_was_ready_first_is_delivered() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let lease = desk.running(&bearer, "a").await.lease;
        desk.ledger.cancel(lease.request(), "customer").await.unwrap();
        desk.deliver(&lease).await;
    })
    .await;
}

/// However the attempt ends without a result: what was taken back is neither tried again nor shown to a person.
#[tokio::test]
async fn a_request_that_was_taken_back_while_it_ran_does_not_come_back() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        for failure in [released(), infrastructure("dump"), script_failed()] {
            let lease = asked_back(desk, &bearer).await;
            assert_eq!(desk.fail(&lease, failure.clone()).await, StateCode::Cancelled, "{failure:?}");
            let outcome = desk.value(lease.request(), "SELECT outcome FROM attempts WHERE request_id = r.id");
            assert_eq!(outcome.await, failure.code(), "the attempt keeps what happened");
        }
        let lease = asked_back(desk, &bearer).await;
        desk.expire(lease.request()).await;
        let swept = desk.sweep().await;
        assert_eq!(swept.len(), 1);
        assert_eq!(swept[0].state, StateCode::Cancelled);
        // The customer's own mistake is told in any case.
        let lease = asked_back(desk, &bearer).await;
        assert_eq!(desk.fail(&lease, rejected()).await, StateCode::Rejected);
    })
    .await;
}

async fn asked_back(desk: &Desk, bearer: &uplift_platform::ledger::Bearer) -> uplift_core::Lease {
    let lease = desk.running(bearer, "a").await.lease;
    desk.ledger.cancel(lease.request(), "customer").await.unwrap();
    lease
}

#[tokio::test]
async fn only_an_intervention_is_tried_again() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let refuse = async |request, expected: StateCode| {
            let before = desk.everything().await;
            let error = desk.ledger.retry(request, "operator").await.unwrap_err();
            assert!(
                matches!(error, LedgerError::Conflict(Conflict::State { state, .. }) if state == expected),
                "{error:?}"
            );
            assert_eq!(desk.everything().await, before);
        };
        let request = desk.submitted(&bearer, "a").await;
        refuse(request, StateCode::AwaitingUpload).await;
        desk.ledger.uploaded(request, &source(), "customer").await.unwrap();
        refuse(request, StateCode::Queued).await;
        let lease = desk.claimed().await.lease;
        refuse(request, StateCode::Running).await;
        desk.deliver(&lease).await;
        refuse(request, StateCode::Delivered).await;
        let lease = desk.running(&bearer, "a").await.lease;
        desk.fail(&lease, rejected()).await;
        refuse(lease.request(), StateCode::Rejected).await;
        let request = desk.submitted(&bearer, "a").await;
        desk.ledger.cancel(request, "customer").await.unwrap();
        refuse(request, StateCode::Cancelled).await;
    })
    .await;
}

#[tokio::test]
async fn a_retry_forgives_what_failed_before() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let request = desk.queued(&bearer, "a").await;
        for round in 0..2 {
            let lease = desk.claimed().await.lease;
            assert_eq!(desk.fail(&lease, infrastructure("dump")).await, StateCode::Queued, "round {round}");
            desk.set(request, "not_before = now() - interval '1 second'").await;
            let lease = desk.claimed().await.lease;
            assert_eq!(desk.fail(&lease, infrastructure("dump")).await, StateCode::Intervention);
            assert!(desk.claim(uplift_core::WorkerId::new()).await.is_none());
            desk.ledger.retry(request, "operator").await.unwrap();
        }
        let lease = desk.claimed().await.lease;
        assert_eq!(lease.epoch().0, 5, "epochs rise through a retry");
        desk.deliver(&lease).await;
    })
    .await;
}
