//! What time does to requests.

use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use uplift_core::{
    Failure, RequestId,
    event::Stage,
    request::{State, StateCode},
};
use uplift_platform::ledger::Ledger;

use super::desk::{ATTEMPT, infrastructure, released, wish, with_desk};

const TTL: Duration = Duration::from_secs(600);

#[tokio::test]
async fn what_is_held_is_left_alone() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        desk.running(&bearer, "a").await;
        desk.queued(&bearer, "b").await;
        let before = desk.everything().await;
        assert!(desk.sweep().await.is_empty());
        assert_eq!(desk.everything().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_lost_lease_is_tried_again_at_once_but_not_at_the_same_place_twice() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let request = desk.queued(&bearer, "a").await;
        let mut states = Vec::new();
        for stage in [Stage::Restore, Stage::Dump, Stage::Restore] {
            let lease = desk.claimed().await.lease;
            desk.ledger.renew(&lease, stage, None).await.unwrap();
            desk.expire(request).await;
            let swept = desk.sweep().await;
            assert_eq!(swept.len(), 1);
            assert_eq!((swept[0].request, swept[0].epoch), (request, lease.epoch()));
            assert_eq!(swept[0].failure, Failure::LeaseLost { place: stage.as_str().into() });
            assert!(desk.sweep().await.is_empty(), "once is enough");
            let claimable = desk.value(request, "r.state = 'queued' AND r.not_before <= now()").await;
            states.push((swept[0].state, claimable == true));
            desk.set(request, "not_before = now() - interval '1 second'").await;
        }
        assert_eq!(
            states,
            [(StateCode::Queued, true), (StateCode::Queued, false), (StateCode::Intervention, false)],
            "the first costs no time, the second elsewhere waits, the same again is a person's business"
        );
        let State::Intervention { failure } = desk.ledger.request(None, request).await.unwrap().state else {
            panic!("it is in intervention")
        };
        assert_eq!(failure, Failure::LeaseLost { place: "restore".into() });
    })
    .await;
}

#[tokio::test]
async fn an_attempt_past_its_deadline_goes_to_a_person() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let lease = desk.running(&bearer, "a").await.lease;
        desk.set(lease.request(), "attempt_until = now() - interval '1 second'").await;
        let swept = desk.sweep().await;
        let late = Failure::attempt_too_long(ATTEMPT);
        assert_eq!((&swept[0].failure, swept[0].state), (&late, StateCode::Intervention));
    })
    .await;
}

/// While no dispatcher swept, both ran out: the worker died long before the deadline, and was not slow.
#[tokio::test]
async fn a_worker_that_died_was_not_slow() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let lease = desk.running(&bearer, "a").await.lease;
        desk.set(
            lease.request(),
            "lease_until = now() - interval '5 hours', attempt_until = now() - interval '2 hours'",
        )
        .await;
        let swept = desk.sweep().await;
        assert_eq!(swept[0].failure, Failure::LeaseLost { place: "fetch".into() });
        assert_eq!(swept[0].state, StateCode::Queued);
    })
    .await;
}

#[tokio::test]
async fn one_that_cannot_be_ended_holds_up_no_other() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let [broken, other] =
            [desk.running(&bearer, "a").await.lease, desk.running(&bearer, "b").await.lease];
        // Whatever may be wrong with a row: it cannot be moved.
        let refuse = format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN RAISE EXCEPTION 'this row is broken'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE OF state ON requests FOR EACH ROW
                 WHEN (OLD.id = '{}') EXECUTE FUNCTION refuse()",
            broken.request()
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(refuse)).execute(&desk.pool).await.unwrap();
        desk.set(broken.request(), "lease_until = now() - interval '2 seconds'").await;
        desk.expire(other.request()).await;
        let swept = desk.ledger.sweep_leases(ATTEMPT).await.unwrap();
        assert_eq!(swept.ended.iter().map(|swept| swept.request).collect::<Vec<_>>(), [other.request()]);
        assert_eq!(swept.failed.iter().map(|(request, _)| *request).collect::<Vec<_>>(), [broken.request()]);
        assert_eq!(desk.state(other.request()).await, StateCode::Queued);
        let ended = "SELECT count(*) FROM attempts WHERE request_id = r.id AND ended_at IS NOT NULL";
        assert_eq!(desk.value(broken.request(), ended).await, 0, "half of it was done");

        sqlx::raw_sql("DROP TRIGGER refuse ON requests").execute(&desk.pool).await.unwrap();
        assert_eq!(desk.sweep().await[0].request, broken.request());
    })
    .await;
}

#[tokio::test]
async fn what_broke_on_our_side_waits_longer_each_time() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let request = desk.queued(&bearer, "a").await;
        for (failures, place) in ["fetch", "restore", "dump", "prove"].into_iter().enumerate() {
            let lease = desk.claimed().await.lease;
            assert_eq!(desk.fail(&lease, infrastructure(place)).await, StateCode::Queued);
            let wait = "SELECT extract(epoch FROM r.not_before - max(ended_at))
                        FROM attempts WHERE request_id = r.id";
            let wait = desk.value(request, wait).await;
            assert_eq!(wait.as_f64().unwrap(), f64::from(10 << failures), "by the ledger's own clock");
            assert!(desk.claim(uplift_core::WorkerId::new()).await.is_none());
            desk.set(request, "not_before = now() - interval '1 second'").await;
        }
        let lease = desk.claimed().await.lease;
        assert_eq!(
            desk.fail(&lease, infrastructure("settle")).await,
            StateCode::Intervention,
            "often enough"
        );
    })
    .await;
}

#[tokio::test]
async fn giving_a_request_back_costs_it_nothing() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let request = desk.queued(&bearer, "a").await;
        for _ in 0..8 {
            let lease = desk.claimed().await.lease;
            assert_eq!(desk.fail(&lease, released()).await, StateCode::Queued);
        }
        let counted = "SELECT count(*) FROM attempts WHERE request_id = r.id AND counted";
        assert_eq!(desk.value(request, counted).await, 0);
        let lease = desk.claimed().await.lease;
        assert_eq!(
            desk.fail(&lease, infrastructure("dump")).await,
            StateCode::Queued,
            "the first that counts"
        );
    })
    .await;
}

#[tokio::test]
async fn a_claimable_request_is_hinted_at_once_until_its_hint_has_ended() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        desk.submitted(&bearer, "z").await;
        let request = desk.queued(&bearer, "a").await;
        let hints = async || {
            let hinted = desk.ledger.take_hintable(TTL).await.unwrap();
            hinted.into_iter().map(|hint| hint.request).collect::<Vec<_>>()
        };
        desk.set(request, "not_before = now() + interval '1 hour'").await;
        assert!(hints().await.is_empty(), "it is not claimable yet");
        desk.set(request, "not_before = now()").await;
        let hinted = desk.ledger.take_hintable(TTL).await.unwrap();
        assert_eq!(hinted[0].traceparent, wish("", uplift_core::Purpose::Test).traceparent);
        assert!(hints().await.is_empty(), "one hint is outstanding");
        desk.set(request, "hinted_at = now() - interval '601 seconds'").await;
        assert_eq!(hints().await, [request], "the broker has dropped it by now");
        desk.ledger.hint_failed(request).await.unwrap();
        assert_eq!(hints().await, [request], "it was not sent");
        let lease = desk.claimed().await.lease;
        assert!(hints().await.is_empty());
        desk.fail(&lease, released()).await;
        assert_eq!(hints().await, [request], "queued again, it needs another one");
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_another_request_is_hinted_at_when_that_has_ended() {
    with_desk(async |desk| {
        let (acme, other) = (desk.customer("acme").await, desk.customer("other").await);
        desk.ledger.set_max_running("other", 1).await.unwrap();
        let hints = async || {
            let hinted = desk.ledger.take_hintable(TTL).await.unwrap();
            hinted.into_iter().map(|hint| hint.request).collect::<Vec<_>>()
        };
        let of_database = desk.running(&acme, "a").await.lease;
        let of_account = desk.running(&other, "b").await.lease;
        let same_database = desk.queued(&acme, "a").await;
        let same_account = desk.queued(&other, "c").await;
        assert!(hints().await.is_empty());
        desk.deliver(&of_database).await;
        assert_eq!(hints().await, [same_database]);
        desk.deliver(&of_account).await;
        assert_eq!(hints().await, [same_account]);
    })
    .await;
}

/// Runs a sweep in four dispatchers at once until none has anything left; gives all that they handled.
async fn four_at_once<F>(ledger: &Ledger, round: impl Fn(Ledger) -> F) -> Vec<RequestId>
where
    F: Future<Output = Vec<RequestId>> + Send + 'static,
{
    let mut handled = Vec::new();
    loop {
        let rounds = join_all((0..4).map(|_| tokio::spawn(round(ledger.clone())))).await;
        let before = handled.len();
        handled.extend(rounds.into_iter().flat_map(Result::unwrap));
        if handled.len() == before {
            return handled;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_dispatchers_handle_everything_once() {
    const REQUESTS: usize = 250;
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        desk.ledger.set_max_running("acme", 1000).await.unwrap();
        for number in 0..REQUESTS {
            desk.queued(&bearer, &format!("db {number}")).await;
        }
        let once = |handled: Vec<RequestId>| {
            assert_eq!(handled.len(), REQUESTS);
            assert_eq!(handled.into_iter().collect::<HashSet<_>>().len(), REQUESTS);
        };
        once(
            four_at_once(&desk.ledger, |ledger: Ledger| async move {
                let hinted = ledger.take_hintable(TTL).await.unwrap();
                hinted.into_iter().map(|hint| hint.request).collect()
            })
            .await,
        );
        for _ in 0..REQUESTS {
            desk.claimed().await;
        }
        sqlx::query("UPDATE requests SET lease_until = now() - interval '1 second'")
            .execute(&desk.pool)
            .await
            .unwrap();
        once(
            four_at_once(&desk.ledger, |ledger: Ledger| async move {
                let swept = ledger.sweep_leases(ATTEMPT).await.unwrap();
                assert!(swept.failed.is_empty(), "{:?}", swept.failed);
                swept.ended.into_iter().map(|swept| swept.request).collect()
            })
            .await,
        );
        let requeued: i64 = sqlx::query_scalar("SELECT count(*) FROM audit WHERE action = 'requeue'")
            .fetch_one(&desk.pool)
            .await
            .unwrap();
        assert_eq!(requeued as usize, REQUESTS);
    })
    .await;
}
