//! Who is next.

use std::time::Duration;

use sqlx::{Postgres, Transaction};
use uplift_core::{Epoch, Lease, RequestId, WorkerId};
use uplift_platform::ledger::Bearer;
use uplift_tests::eventually;
use uuid::Uuid;

use super::desk::{ATTEMPT, Desk, released, source, with_desk};

/// A queued request for production: with no accepted test, since none of that matters to a claim.
async fn production(desk: &Desk, bearer: &Bearer, database: &str) -> RequestId {
    let request = desk.queued(bearer, database).await;
    desk.set(request, "purpose = 'production'").await;
    request
}

/// Claims until nothing is claimable; in the order of the claims.
async fn claim_all(desk: &Desk) -> Vec<RequestId> {
    let mut claimed = Vec::new();
    while let Some(next) = desk.claim(WorkerId::new()).await {
        claimed.push(next.lease.request());
    }
    claimed
}

#[tokio::test]
async fn nothing_to_claim_is_no_error() {
    with_desk(async |desk| {
        assert!(desk.claim(WorkerId::new()).await.is_none());
        let bearer = desk.customer("acme").await;
        desk.submitted(&bearer, "shop").await;
        assert!(desk.claim(WorkerId::new()).await.is_none());
    })
    .await;
}

#[tokio::test]
async fn production_goes_first_then_the_oldest() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        desk.ledger.set_max_running("acme", 10).await.unwrap();
        let mut order = Vec::new();
        for database in ["a", "b", "c"] {
            order.push(desk.queued(&bearer, database).await);
        }
        // Submitted first is not uploaded first, and the promise begins with the upload.
        let early = desk.submitted(&bearer, "d").await;
        order.push(desk.queued(&bearer, "e").await);
        desk.ledger.uploaded(early, &source(), "customer").await.unwrap();
        order.push(early);
        let first = production(desk, &bearer, "f").await;
        let second = production(desk, &bearer, "g").await;
        order.splice(0..0, [first, second]);
        assert_eq!(claim_all(desk).await, order);
    })
    .await;
}

#[tokio::test]
async fn accounts_take_turns() {
    with_desk(async |desk| {
        let (greedy, modest) = (desk.customer("greedy").await, desk.customer("modest").await);
        for account in ["greedy", "modest"] {
            desk.ledger.set_max_running(account, 10).await.unwrap();
        }
        let mut own = Vec::new();
        for number in 0..5 {
            own.push(desk.queued(&greedy, &format!("db {number}")).await);
        }
        let mut others = Vec::new();
        for number in 0..2 {
            others.push(desk.queued(&modest, &format!("db {number}")).await);
        }
        let expected = [own[0], others[0], own[1], others[1], own[2], own[3], own[4]];
        assert_eq!(claim_all(desk).await, expected);
        // Production is a promise to a customer's customers: it comes before turns.
        let urgent = production(desk, &greedy, "db 9").await;
        let waiting = desk.queued(&modest, "db 9").await;
        assert_eq!(claim_all(desk).await, [urgent, waiting]);
    })
    .await;
}

#[tokio::test]
async fn an_account_runs_no_more_than_it_may() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        for number in 0..4 {
            desk.queued(&bearer, &format!("db {number}")).await;
        }
        let first = desk.claimed().await;
        assert_eq!(claim_all(desk).await.len(), 1, "two by default");
        production(desk, &bearer, "urgent").await;
        assert!(claim_all(desk).await.is_empty(), "production counts, too");
        desk.deliver(&first.lease).await;
        assert_eq!(claim_all(desk).await.len(), 1);
        desk.ledger.set_max_running("acme", 4).await.unwrap();
        assert_eq!(claim_all(desk).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_database_runs_once_at_a_time() {
    with_desk(async |desk| {
        let (acme, other) = (desk.customer("acme").await, desk.customer("other").await);
        let first = desk.queued(&acme, "shop").await;
        let second = desk.queued(&acme, "shop").await;
        let namesake = desk.queued(&other, "shop").await;
        let claimed = desk.claimed().await;
        assert_eq!(claimed.lease.request(), first);
        assert_eq!(claim_all(desk).await, [namesake], "a name means a database of its account only");
        desk.deliver(&claimed.lease).await;
        assert_eq!(claim_all(desk).await, [second]);
    })
    .await;
}

#[tokio::test]
async fn what_waits_is_passed_over_until_its_time() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let waiting = desk.queued(&bearer, "a").await;
        let ready = desk.queued(&bearer, "b").await;
        desk.set(waiting, "not_before = now() + interval '1 hour'").await;
        assert_eq!(claim_all(desk).await, [ready]);
        desk.set(waiting, "not_before = now() - interval '1 microsecond'").await;
        assert_eq!(claim_all(desk).await, [waiting]);
    })
    .await;
}

#[tokio::test]
async fn what_somebody_has_in_hand_is_passed_over() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let locked = desk.queued(&bearer, "a").await;
        let free = desk.queued(&bearer, "b").await;
        let mut tx = desk.pool.begin().await.unwrap();
        sqlx::query("SELECT FROM requests WHERE id = $1 FOR UPDATE")
            .bind(locked.0)
            .execute(&mut *tx)
            .await
            .unwrap();
        assert_eq!(claim_all(desk).await, [free], "and nobody waits for it");
        tx.rollback().await.unwrap();
        assert_eq!(claim_all(desk).await, [locked]);
    })
    .await;
}

#[tokio::test]
async fn an_epoch_is_a_claim() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let request = desk.queued(&bearer, "a").await;
        for epoch in 1..=5 {
            let claimed = desk.claimed().await;
            assert_eq!((claimed.lease.request(), claimed.lease.epoch().0), (request, epoch));
            desk.fail(&claimed.lease, released()).await;
        }
    })
    .await;
}

/// A claim in a transaction that is still open, as when its commit takes a while.
async fn claim_in(tx: &mut Transaction<'static, Postgres>) -> RequestId {
    let worker = WorkerId::new();
    let claimed: Uuid = sqlx::query_scalar("SELECT id FROM claim_request($1, 60, 3600)")
        .bind(worker.0)
        .fetch_one(&mut **tx)
        .await
        .unwrap();
    RequestId(claimed)
}

#[tokio::test]
async fn a_claim_does_not_wait_for_another_one() {
    with_desk(async |desk| {
        let (acme, other) = (desk.customer("acme").await, desk.customer("other").await);
        let mut order = Vec::new();
        for database in ["a", "b"] {
            order.push(production(desk, &acme, database).await);
        }
        order.push(desk.queued(&other, "a").await);
        let mut open = Vec::new();
        for expected in order {
            let mut tx = desk.pool.begin().await.unwrap();
            assert_eq!(claim_in(&mut tx).await, expected, "as if the earlier claims were committed");
            open.push(tx);
        }
        desk.queued(&acme, "c").await;
        assert!(claim_all(desk).await.is_empty(), "claims that are not committed fill the account, too");
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_wants_the_same_lane_looks_again() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        desk.ledger.set_max_running("acme", 1).await.unwrap();
        let test = desk.queued(&bearer, "a").await;
        let mut tx = desk.pool.begin().await.unwrap();
        assert_eq!(claim_in(&mut tx).await, test);
        // What comes in now is first in line, and its account's only lane looks free.
        let urgent = production(desk, &bearer, "b").await;
        let ledger = desk.ledger.clone();
        let claim = tokio::spawn(async move { ledger.claim(WorkerId::new(), ATTEMPT).await.unwrap() });
        waits(desk).await;
        tx.commit().await.unwrap();
        assert!(claim.await.unwrap().is_none(), "the cap holds");

        let lease =
            Lease::claimed(test, Epoch(1), desk.ledger.request(None, test).await.unwrap().worker.unwrap());
        desk.deliver(&lease).await;
        assert_eq!(claim_all(desk).await, [urgent]);
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_wants_the_same_database_looks_again() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let first = desk.queued(&bearer, "shop").await;
        let (second, elsewhere) = (desk.queued(&bearer, "shop").await, desk.queued(&bearer, "store").await);
        let mut tx = desk.pool.begin().await.unwrap();
        assert_eq!(claim_in(&mut tx).await, first);
        let ledger = desk.ledger.clone();
        let claim = tokio::spawn(async move { ledger.claim(WorkerId::new(), ATTEMPT).await.unwrap() });
        waits(desk).await;
        tx.commit().await.unwrap();
        let claimed = claim.await.unwrap().expect("another database waits");
        assert_eq!(claimed.request.id, elsewhere, "not {second}");
    })
    .await;
}

/// Waits until a session waits for another one's transaction.
async fn waits(desk: &Desk) {
    eventually("a claim waits", Duration::from_secs(30), async || {
        let waiting = "SELECT count(*) > 0 FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting: bool = sqlx::query_scalar(waiting).fetch_one(&desk.pool).await.unwrap();
        waiting.then_some(())
    })
    .await;
}
