//! Scripts adjusted for one database: whom they apply to, and what production does when they change.

use uplift_core::{
    Lease, Override, OverrideId, PackDigest, Purpose, RequestId,
    overrides::{Change, OwnScript},
    request::Held,
};
use uplift_platform::ledger::{Bearer, Conflict, LedgerError};

use super::{
    desk::{Desk, infrastructure, script_failed, source, wish, with_desk},
    production::tested,
};

fn fix(file: &str) -> Override {
    let script = OwnScript { file: file.into(), text: format!("-- {file}"), transaction: true };
    Override { hop: "1.0-2.0".into(), step: "one".into(), change: Change::Before(script) }
}

impl Desk {
    async fn adjust(&self, request: RequestId, file: &str) -> OverrideId {
        self.ledger.add_override(request, &fix(file), "two share a code", "eva").await.unwrap()
    }

    /// What an attempt runs with, by the files.
    async fn files(&self, lease: &Lease) -> Vec<String> {
        let layer = self.ledger.layer(lease).await.unwrap();
        layer.iter().map(|entry| entry.change.script().unwrap().file.clone()).collect()
    }

    /// The same for a new test of a database, which delivers and is accepted.
    async fn test_runs_with(
        &self,
        bearer: &Bearer,
        database: &str,
        pack: &PackDigest,
    ) -> (RequestId, Vec<String>) {
        let lease = self.running(bearer, database).await.lease;
        self.ledger.detected(&lease, "sample", &"1.0".parse().unwrap(), pack, Some("id")).await.unwrap();
        let files = self.files(&lease).await;
        self.deliver(&lease).await;
        self.ledger.accept(lease.request(), "customer").await.unwrap();
        (lease.request(), files)
    }

    /// A production of `shop` that is uploaded.
    async fn production(&self, bearer: &Bearer) -> RequestId {
        let request = self.new_request(bearer, &wish("shop", Purpose::Production)).await;
        self.ledger.uploaded(request, &source(), "customer").await.unwrap();
        request
    }

    /// Why it waits, where it does.
    async fn why(&self, request: RequestId) -> Option<String> {
        match self.ledger.request(None, request).await.unwrap().held {
            Some((Held::Production { message }, _)) => Some(message),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    async fn topics_of_production(&self) -> Vec<String> {
        let sql = "SELECT topic FROM events WHERE topic LIKE 'production.%' ORDER BY id";
        sqlx::query_scalar(sql).fetch_all(&self.pool).await.unwrap()
    }
}

#[tokio::test]
async fn what_is_adjusted_runs_with_every_later_test_of_that_database() {
    with_desk(async |desk| {
        let (acme, other) = (desk.customer("acme").await, desk.customer("other").await);
        let pack = desk.push_pack("one").await;
        let early = desk.submitted(&acme, "shop").await;
        let unknown = desk.ledger.add_override(early, &fix("a.sql"), "?", "eva").await.unwrap_err();
        assert!(matches!(unknown, LedgerError::Conflict(Conflict::Unrecognised(_))), "{unknown:?}");

        let (first, files) = desk.test_runs_with(&acme, "shop", &pack).await;
        assert!(files.is_empty());
        let one = desk.adjust(first, "a.sql").await;
        desk.adjust(first, "b.sql").await;
        let (second, files) = desk.test_runs_with(&acme, "shop", &pack).await;
        assert_eq!(files, ["a.sql", "b.sql"], "in the order in which they were made");
        assert!(desk.test_runs_with(&acme, "shop 2", &pack).await.1.is_empty(), "another database");
        assert!(desk.test_runs_with(&other, "shop", &pack).await.1.is_empty(), "another account's");

        desk.ledger.remove_override(one, "the pack does it now", "tom").await.unwrap();
        desk.ledger.remove_override(one, "again", "tom").await.unwrap();
        assert_eq!(desk.test_runs_with(&acme, "shop", &pack).await.1, ["b.sql"]);
        let ended = desk.ledger.override_of(one).await.unwrap();
        let removed = ended.removed.unwrap();
        assert_eq!((removed.by.as_str(), removed.because.as_str()), ("tom", "the pack does it now"));
        assert_eq!((ended.pack.as_ref(), ended.sha256), (Some(&pack), fix("a.sql").sha256()));
        assert_eq!(desk.ledger.overrides(Some(second), false).await.unwrap().len(), 1);
        assert_eq!(desk.ledger.overrides(Some(second), true).await.unwrap().len(), 2);
        assert!(desk.actions(first).await.contains(&"add_override".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn production_inherits_and_waits_when_something_changes_until_a_new_test() {
    with_desk(async |desk| {
        let acme = desk.customer("acme").await;
        let pack = desk.push_pack("one").await;
        let (first, _) = desk.test_runs_with(&acme, "shop", &pack).await;
        let kept = desk.adjust(first, "kept.sql").await;
        let (test, files) = desk.test_runs_with(&acme, "shop", &pack).await;
        assert_eq!(files, ["kept.sql"]);

        // A merely newer pack changes nothing.
        desk.push_pack("two").await;
        let request = desk.production(&acme).await;
        assert_eq!(desk.why(request).await, None);
        // Changed while it waits for a worker, and changed back.
        let new = desk.adjust(test, "new.sql").await;
        desk.ledger.remove_override(kept, "no longer", "eva").await.unwrap();
        let differs = format!(
            "since the accepted test {test}, `before 1.0-2.0/one: kept.sql` was removed, \
             `before 1.0-2.0/one: new.sql` was added"
        );
        assert_eq!(desk.why(request).await, Some(differs.clone()));
        assert!(desk.claim(uplift_core::WorkerId::new()).await.is_none(), "what is held was claimed");
        // What comes later waits from the beginning.
        let later = desk.production(&acme).await;
        assert_eq!(desk.why(later).await, Some(differs));
        desk.ledger.cancel(later, "customer").await.unwrap();
        assert_eq!(desk.why(later).await, None);

        let (again, files) = desk.test_runs_with(&acme, "shop", &pack).await;
        assert_eq!(files, ["new.sql"]);
        assert_eq!(desk.why(request).await, None, "a new test was accepted");
        let claimed = desk.claimed().await;
        assert_eq!((claimed.lease.request(), &claimed.request.pack), (request, &Some(pack)));
        assert_eq!(desk.value(request, "r.accepted_test").await, again.to_string());
        desk.ledger.remove_override(new, "while it runs", "eva").await.unwrap();
        assert_eq!(desk.files(&claimed.lease).await, ["new.sql"], "as its accepted test ran");
        assert_eq!(
            desk.topics_of_production().await,
            ["production.held", "production.held", "production.held", "production.released"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_recalled_pack_or_a_waiver_decides_too() {
    with_desk(async |desk| {
        let acme = desk.customer("acme").await;
        let (bad, good) = (desk.push_pack("bad").await, desk.push_pack("good").await);
        let test = tested(desk, &acme, "shop", &bad).await;
        desk.ledger.accept(test, "customer").await.unwrap();
        let request = desk.production(&acme).await;
        desk.ledger.recall_pack(&bad, "boss", "it loses rows").await.unwrap();
        let recalled = format!("since the accepted test {test}, its pack {bad} was recalled");
        assert_eq!(desk.why(request).await, Some(recalled.clone()));

        // Taken back, the recall holds nothing; and what runs when it comes waits if it has to run again.
        desk.push_pack("bad").await;
        assert_eq!(desk.why(request).await, None);
        let lost = desk.claimed().await;
        assert_eq!(lost.lease.request(), request);
        desk.ledger.recall_pack(&bad, "boss", "it does lose rows").await.unwrap();
        desk.expire(request).await;
        desk.sweep().await;
        assert_eq!(desk.why(request).await, Some(recalled.clone()));
        // A failure that has to wait a while does not end the hold.
        desk.push_pack("bad").await;
        let lost = desk.claimed().await;
        desk.ledger.recall_pack(&bad, "boss", "it does").await.unwrap();
        desk.fail(&lost.lease, infrastructure("dump")).await;
        assert_eq!(desk.why(request).await, Some(recalled));
        desk.set(request, "held_at = held_at - interval '1 hour'").await;
        assert!(desk.claim(uplift_core::WorkerId::new()).await.is_none(), "what is held was claimed");

        let not = desk.ledger.waive(test, "?", "boss").await.unwrap_err();
        assert!(matches!(not, LedgerError::Conflict(Conflict::State { .. })), "{not:?}");
        desk.ledger.waive(request, "agreed by phone", "boss").await.unwrap();
        desk.adjust(test, "late.sql").await;
        assert_eq!(desk.why(request).await, None);
        let claimed = desk.claimed().await;
        assert_eq!(claimed.request.pack, None, "not the one that was recalled");
        desk.ledger
            .detected(&claimed.lease, "sample", &"1.0".parse().unwrap(), &good, Some("id"))
            .await
            .unwrap();
        assert_eq!(desk.files(&claimed.lease).await, ["late.sql"], "as things are now");
        assert!(desk.actions(request).await.contains(&"waive".to_owned()));

        // A retry looks as well: what an engineer adjusts for production has not been tested.
        desk.fail(&claimed.lease, script_failed()).await;
        let test = tested(desk, &acme, "shop", &good).await;
        desk.ledger.accept(test, "customer").await.unwrap();
        let second = desk.production(&acme).await;
        assert!(desk.why(second).await.is_some());
        desk.ledger.retry(request, "eva").await.unwrap();
        assert_eq!(desk.why(request).await, None, "it was waived");
    })
    .await;
}

/// A hop that is held for others is none of whoever has gone over it, or has scripts of their own for it.
#[tokio::test]
async fn a_held_hop_lets_pass_what_was_tested_or_adjusted() {
    with_desk(async |desk| {
        let acme = desk.customer("acme").await;
        let pack = desk.push_pack("one").await;
        let hops = ["1.0-2.0".to_owned()];
        let detected = async |lease: &Lease| {
            let version = "1.0".parse().unwrap();
            desk.ledger.detected(lease, "sample", &version, &pack, None).await.unwrap();
            desk.ledger.held(lease, &pack, &hops).await.unwrap()
        };
        let (test, _) = desk.test_runs_with(&acme, "shop", &pack).await;
        for account in ["a", "b", "c"] {
            let lease = desk.running(&desk.customer(account).await, "shop").await.lease;
            assert_eq!(detected(&lease).await, None);
            desk.fail(&lease, script_failed()).await;
        }
        let lease = desk.running(&acme, "other").await.lease;
        assert!(detected(&lease).await.is_some(), "a new request");
        desk.fail(&lease, infrastructure("dump")).await;

        let production = desk.production(&acme).await;
        let lease = desk.claimed().await.lease;
        assert_eq!((lease.request(), detected(&lease).await), (production, None));
        desk.deliver(&lease).await;
        desk.adjust(test, "fix.sql").await;
        let lease = desk.running(&acme, "shop").await.lease;
        assert_eq!(detected(&lease).await, None, "adjusted for this database");
    })
    .await;
}
