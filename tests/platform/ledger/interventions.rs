//! Requests that wait for a person: the queue, whose they are, what becomes of them, and hops that are held.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use uplift_core::{
    Clock, Failure, InterventionId, Lease, PackDigest, RequestId,
    failure::ScriptFailure,
    request::{Held, State, StateCode},
    sla,
};
use uplift_platform::ledger::{
    Bearer, Conflict, HELD_AFTER_ACCOUNTS, Intervention, LedgerError, Role, Which,
};

use super::desk::{Desk, script_failed, with_desk};

impl Desk {
    /// Somebody with a role, who is called so.
    async fn person(&self, role: Role, name: &str) -> Bearer {
        let expires = Clock::System.now() + Duration::from_secs(3600);
        let issued = self.ledger.issue_token("us", role, name, expires, "tests").await.unwrap();
        self.ledger.bearer(&issued.secret).await.unwrap().expect("a fresh token is valid")
    }

    async fn engineer(&self, name: &str) -> Bearer {
        self.person(Role::Engineer, name).await
    }

    /// An attempt that knows its pack.
    async fn detected(&self, customer: &Bearer, database: &str, pack: &PackDigest) -> Lease {
        let lease = self.running(customer, database).await.lease;
        let version = "1.0".parse().unwrap();
        self.ledger.detected(&lease, "sample", &version, pack, None).await.unwrap();
        lease
    }

    /// A request whose script fails, and its intervention.
    async fn failed(&self, customer: &Bearer, database: &str, pack: &PackDigest) -> Intervention {
        let lease = self.detected(customer, database, pack).await;
        assert_eq!(self.fail(&lease, script_failed()).await, StateCode::Intervention);
        let which = Which { request: Some(lease.request()), ..Which::default() };
        self.ledger.interventions(&which).await.unwrap().pop().expect("an intervention")
    }

    async fn open(&self) -> Vec<InterventionId> {
        let open = self.ledger.interventions(&Which::default()).await.unwrap();
        open.into_iter().map(|found| found.id).collect()
    }

    /// A claim lapses.
    async fn go_home(&self, id: InterventionId) {
        let sql = "UPDATE interventions SET claimed_until = now() - interval '1 second' WHERE id = $1";
        sqlx::query(sql).bind(id.0).execute(&self.pool).await.unwrap();
    }

    /// What was told of since the last time.
    async fn topics(&self) -> Vec<String> {
        let events = self.ledger.take_events().await.unwrap();
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        self.ledger.events_told(&ids).await.unwrap();
        events.into_iter().map(|event| event.topic).collect()
    }
}

#[track_caller]
fn conflict<T: std::fmt::Debug>(outcome: Result<T, LedgerError>) -> Conflict {
    match outcome {
        Err(LedgerError::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_failed_script_opens_one_and_what_breaks_next_is_first() {
    with_desk(async |desk| {
        let (pack, acme) = (desk.push_pack("one").await, desk.customer("acme").await);
        let found = desk.failed(&acme, "shop", &pack).await;
        let request = desk.ledger.request(None, found.request).await.unwrap();
        assert_eq!(found.due_at, request.uploaded_at.unwrap() + sla::TARGET);
        assert_eq!((found.hop.as_deref(), found.step.as_str()), (Some("1.0-2.0"), "split-partners"));
        assert_eq!((found.product.as_deref(), &found.pack), (Some("sample"), &Some(pack.clone())));
        assert_eq!((&found.failure, &found.account_name), (&script_failed(), &"acme".to_owned()));
        assert_eq!(found.pattern, "sample 1.0-2.0/split-partners script_failed: it failed");

        let other = desk.failed(&acme, "other", &pack).await;
        desk.set(other.request, "promised_from = promised_from - interval '1 hour'").await;
        let sql = "UPDATE interventions SET due_at = due_at - interval '1 hour' WHERE id = $1";
        sqlx::query(sql).bind(other.id.0).execute(&desk.pool).await.unwrap();
        assert_eq!(desk.open().await, [other.id, found.id]);
        assert_eq!(desk.topics().await, ["intervention.opened", "intervention.opened"]);

        // What the customer takes back is nobody's any more.
        desk.ledger.cancel(found.request, "acme").await.unwrap();
        assert_eq!(desk.open().await, [other.id]);
        let closed = desk.ledger.intervention(found.id).await.unwrap().closed.unwrap();
        assert_eq!((closed.outcome.as_str(), closed.by.as_str()), ("cancel", "acme"));
        assert_eq!(desk.topics().await, ["intervention.closed"]);
    })
    .await;
}

#[tokio::test]
async fn of_two_who_claim_at_once_one_gets_it() {
    with_desk(async |desk| {
        let (pack, acme) = (desk.push_pack("one").await, desk.customer("acme").await);
        let (eva, tom) = (desk.engineer("eva").await, desk.engineer("tom").await);
        for round in 0..10 {
            let found = desk.failed(&acme, &format!("shop {round}"), &pack).await;
            let id = found.id;
            let (one, other) = tokio::join!(
                desk.ledger.claim_intervention(id, &eva),
                desk.ledger.claim_intervention(id, &tom)
            );
            let (lost, winner) = match (one, other) {
                (Ok(_), Err(lost)) => (lost, "eva"),
                (Err(lost), Ok(_)) => (lost, "tom"),
                both => panic!("{both:?}"),
            };
            let conflict = conflict::<()>(Err(lost));
            assert!(
                matches!(&conflict, Conflict::ClaimedBy { by, .. } if by == winner),
                "{winner} has it: {conflict}"
            );
            desk.ledger
                .cancel(RequestId(desk.ledger.intervention(id).await.unwrap().request.0), "acme")
                .await
                .unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_claim_lapses_is_released_and_assigned() {
    with_desk(async |desk| {
        let (pack, acme) = (desk.push_pack("one").await, desk.customer("acme").await);
        let (eva, tom) = (desk.engineer("eva").await, desk.engineer("tom").await);
        let id = desk.failed(&acme, "shop", &pack).await.id;
        let engineer = async || {
            let found = desk.ledger.intervention(id).await.unwrap();
            found.engineer.map(|(_, name)| name)
        };
        let until = desk.ledger.claim_intervention(id, &eva).await.unwrap();
        assert!(until - Clock::System.now() > TimeDelta::minutes(50));
        assert_eq!(engineer().await.as_deref(), Some("eva"));
        let mine = Which { claimed_by: Some(tom.token), ..Which::default() };
        assert!(desk.ledger.interventions(&mine).await.unwrap().is_empty());

        desk.go_home(id).await;
        assert_eq!(engineer().await, None);
        assert!(matches!(
            conflict(desk.ledger.note(id, &eva, "?").await),
            Conflict::NotClaimed { by: None, .. }
        ));
        desk.ledger.claim_intervention(id, &tom).await.unwrap();
        assert_eq!(desk.ledger.interventions(&mine).await.unwrap().len(), 1);
        desk.ledger.release_intervention(id, &tom).await.unwrap();
        assert_eq!(engineer().await, None);

        desk.ledger.claim_intervention(id, &tom).await.unwrap();
        desk.ledger.assign_intervention(id, "eva", "an operator").await.unwrap();
        assert_eq!(engineer().await.as_deref(), Some("eva"));
        for (name, many) in [("nobody", false), ("twin", true)] {
            if many {
                desk.engineer(name).await;
                desk.engineer(name).await;
            }
            let refused = conflict(desk.ledger.assign_intervention(id, name, "an operator").await);
            assert_eq!(refused, Conflict::NoSuchEngineer { name: name.into(), many });
        }
        // A customer's token cannot be given anything, whatever its label.
        let refused = conflict(desk.ledger.assign_intervention(id, &acme.token.to_string(), "x").await);
        assert!(matches!(refused, Conflict::NoSuchEngineer { many: false, .. }));
    })
    .await;
}

#[tokio::test]
async fn who_has_claimed_it_acts_and_all_is_on_record() {
    with_desk(async |desk| {
        let (pack, acme) = (desk.push_pack("one").await, desk.customer("acme").await);
        let (eva, tom) = (desk.engineer("eva").await, desk.engineer("tom").await);
        let boss = desk.person(Role::Operator, "boss").await;
        let found = desk.failed(&acme, "shop", &pack).await;
        let id = found.id;
        assert!(matches!(
            conflict(desk.ledger.retry_intervention(id, &eva, "done").await),
            Conflict::NotClaimed { by: None, .. }
        ));
        desk.ledger.claim_intervention(id, &eva).await.unwrap();
        let refused = conflict(desk.ledger.reject(id, &tom, "no").await);
        assert!(matches!(&refused, Conflict::NotClaimed { by: Some(by), .. } if by == "eva"), "{refused}");
        desk.ledger.comment(id, &tom, "two partners share a code").await.unwrap();
        desk.ledger.note(id, &eva, "We are on it").await.unwrap();
        let request = desk.ledger.request(None, found.request).await.unwrap();
        assert_eq!(request.note.as_deref(), Some("We are on it"));
        desk.ledger.note(id, &boss, "Half an hour more").await.unwrap();
        desk.ledger.retry_intervention(id, &eva, "the pack is mended").await.unwrap();
        assert_eq!(desk.state(found.request).await, StateCode::Queued);
        assert!(desk.open().await.is_empty());
        assert!(matches!(conflict(desk.ledger.note(id, &eva, "late").await), Conflict::Closed(_)));

        let history = desk.ledger.history(id).await.unwrap();
        let said: Vec<_> = history.iter().map(|entry| (entry.what.as_str(), entry.text.as_deref())).collect();
        assert_eq!(
            said,
            [
                ("claim", Some("eva")),
                ("comment", Some("two partners share a code")),
                ("note", Some("We are on it")),
                ("note", Some("Half an hour more")),
                ("retry", Some("the pack is mended")),
            ]
        );
        assert!(history[3].by.starts_with("operator us (boss, "), "{:?}", history[3]);

        // Failed again, it goes back to its customer, who reads why.
        let lease = desk.claimed().await.lease;
        desk.fail(&lease, script_failed()).await;
        let again = desk.open().await[0];
        desk.ledger.claim_intervention(again, &tom).await.unwrap();
        desk.ledger.reject(again, &tom, "Remove the second main company first").await.unwrap();
        let request = desk.ledger.request(None, found.request).await.unwrap();
        let State::Rejected { failure } = request.state else { panic!("{:?}", request.state) };
        assert_eq!(failure.to_string(), "Remove the second main company first");
        let topics = desk.topics().await;
        assert_eq!(topics.last().map(String::as_str), Some("intervention.closed"), "{topics:?}");
        assert!(topics.contains(&"intervention.rejected".to_owned()), "{topics:?}");
    })
    .await;
}

#[tokio::test]
async fn fifty_that_failed_alike_are_one_group_which_one_fix_releases() {
    with_desk(async |desk| {
        let pack = desk.push_pack("one").await;
        let hops = ["1.0-2.0".to_owned()];
        let held = async |lease: &Lease| desk.ledger.held(lease, &pack, &hops).await.unwrap();
        let accounts = ["acme", "globex", "initech", "umbrella", "hooli"];
        for number in 0..50_usize {
            // Half of them are one account's: databases are many, accounts are what counts.
            let account = number.saturating_sub(24).min(3);
            let customer = desk.customer(accounts[account]).await;
            let lease = desk.detected(&customer, &format!("shop {number}"), &pack).await;
            assert_eq!(held(&lease).await.is_some(), number >= 27, "from the third account on: {number}");
            // Those that had begun before go on, and fail like the others.
            let failure = ScriptFailure {
                step: "1.0-2.0/split-partners".into(),
                message: format!("row {number} is in the way"),
                ..ScriptFailure::default()
            };
            desk.fail(&lease, Failure::ScriptFailed(failure)).await;
        }
        let open = desk.ledger.interventions(&Which::default()).await.unwrap();
        assert_eq!(open.len(), 50);
        assert!(open.iter().all(|found| found.fingerprint == open[0].fingerprint && found.alike == (50, 4)));
        let [hold] = &desk.ledger.held_hops().await.unwrap()[..] else { panic!("one hop is held") };
        assert_eq!((hold.hop.as_str(), hold.accounts, hold.waiting), ("1.0-2.0", HELD_AFTER_ACCOUNTS, 0));

        // New ones wait, and say so.
        let mut waiting = Vec::new();
        for account in ["acme", "hooli"] {
            let lease = desk.detected(&desk.customer(account).await, "new", &pack).await;
            let why = held(&lease).await.expect("it is held");
            assert_eq!(desk.fail(&lease, Failure::Held(why.clone())).await, StateCode::Queued);
            let request = desk.ledger.request(None, lease.request()).await.unwrap();
            assert_eq!(request.held.map(|(held, _)| held), Some(why));
            waiting.push(lease.request());
        }
        assert!(desk.claim(uplift_core::WorkerId::new()).await.is_none(), "what is held was claimed");
        assert_eq!(desk.ledger.held_hops().await.unwrap()[0].waiting, 2);
        // What waits can be taken back.
        desk.ledger.cancel(waiting[1], "hooli").await.unwrap();

        // A mended pack ends the hold, and one reason is a reason for all of them.
        let mended = desk.push_pack("two").await;
        assert!(desk.ledger.held_hops().await.unwrap().is_empty());
        assert_eq!(desk.row(waiting[0]).await["held"], json!(null));
        let eva = desk.engineer("eva").await;
        let tom = desk.engineer("tom").await;
        desk.ledger.claim_intervention(open[7].id, &tom).await.unwrap();
        let resolved =
            desk.ledger.retry_alike(&open[0].fingerprint, &eva, "mended in the pack").await.unwrap();
        assert_eq!(resolved.len(), 49, "all but the one that another engineer works on");
        desk.ledger.retry_intervention(open[7].id, &tom, "mended in the pack").await.unwrap();
        assert!(desk.open().await.is_empty());
        for account in accounts {
            desk.customer(account).await;
            desk.ledger.set_max_running(account, 100).await.unwrap();
        }
        let mut claimed = 0;
        while let Some(next) = desk.claim(uplift_core::WorkerId::new()).await {
            assert_eq!(next.request.pack, None, "a test takes the pack that is current");
            assert_eq!(desk.ledger.held(&next.lease, &mended, &hops).await.unwrap(), None);
            claimed += 1;
        }
        assert_eq!(claimed, 51);
    })
    .await;
}

#[tokio::test]
async fn a_hold_that_was_released_counts_from_there() {
    with_desk(async |desk| {
        let pack = desk.push_pack("one").await;
        for (number, account) in ["a", "b", "c"].into_iter().enumerate() {
            assert!(desk.ledger.held_hops().await.unwrap().is_empty(), "{number}");
            desk.failed(&desk.customer(account).await, "shop", &pack).await;
        }
        let hold = desk.ledger.held_hops().await.unwrap().remove(0);
        let lease = desk.detected(&desk.customer("d").await, "shop", &pack).await;
        // Released between the look and the word to the ledger: it does not wait for what is over.
        let why = Held::Hop { hold: hold.id, hop: hold.hop.clone() };
        assert_eq!(desk.ledger.release_hop(hold.id, "boss", "one customer, three names").await.unwrap(), 0);
        desk.fail(&lease, Failure::Held(why)).await;
        let request = desk.claimed().await.request;
        assert_eq!((request.id, request.held), (lease.request(), None));
        assert!(matches!(
            desk.ledger.release_hop(hold.id, "boss", "again").await,
            Err(LedgerError::NotFound("hold"))
        ));

        for account in ["e", "f"] {
            desk.failed(&desk.customer(account).await, "shop", &pack).await;
            assert!(desk.ledger.held_hops().await.unwrap().is_empty(), "two accounts since");
        }
        desk.failed(&desk.customer("g").await, "shop", &pack).await;
        assert_eq!(desk.ledger.held_hops().await.unwrap().len(), 1);
        let topics = desk.topics().await;
        let holds: Vec<_> = topics.iter().filter(|topic| topic.starts_with("hop.")).collect();
        assert_eq!(holds, ["hop.held", "hop.released", "hop.held"]);

        desk.ledger.recall_pack(&pack, "boss", "it loses rows").await.unwrap();
        assert!(desk.ledger.packs().await.unwrap()[0].recalled_at.is_some());
        let unknown = desk.ledger.recall_pack(&PackDigest("no".into()), "boss", "?").await;
        assert!(matches!(unknown, Err(LedgerError::NotFound("pack"))));
    })
    .await;
}

#[tokio::test]
async fn what_nobody_has_told_is_told_again() {
    with_desk(async |desk| {
        let (pack, acme) = (desk.push_pack("one").await, desk.customer("acme").await);
        let found = desk.failed(&acme, "shop", &pack).await;
        let events = desk.ledger.take_events().await.unwrap();
        assert_eq!(events.len(), 1);
        let body = &events[0].body;
        assert_eq!((&body["event"], &body["id"]), (&json!("intervention.opened"), &json!(events[0].id)));
        assert_eq!((&body["intervention"], &body["hop"]), (&json!(found.id), &json!("1.0-2.0")));
        // Another dispatcher does not get it, unless the one that has it never comes back.
        assert!(desk.ledger.take_events().await.unwrap().is_empty());
        sqlx::query("UPDATE events SET taken_until = now() - interval '1 second'")
            .execute(&desk.pool)
            .await
            .unwrap();
        assert_eq!(desk.topics().await, ["intervention.opened"]);
        sqlx::query("UPDATE events SET taken_until = NULL").execute(&desk.pool).await.unwrap();
        assert!(desk.ledger.take_events().await.unwrap().is_empty());
    })
    .await;
}
