//! Production stands on an accepted test, and runs on that test's pack.

use uplift_core::{PackDigest, Purpose, RequestId, request::StateCode};
use uplift_platform::ledger::{Bearer, Conflict, LedgerError, Submission};

use super::desk::{Desk, script_failed, source, wish, with_desk};

/// A delivered test of a database that ran on a pack.
pub(super) async fn tested(desk: &Desk, bearer: &Bearer, database: &str, pack: &PackDigest) -> RequestId {
    let lease = desk.running(bearer, database).await.lease;
    desk.ledger.detected(&lease, "sample", &"1.0".parse().unwrap(), pack, Some("id")).await.unwrap();
    desk.deliver(&lease).await;
    lease.request()
}

pub(super) async fn refused(desk: &Desk, bearer: &Bearer, wish: &Submission) -> Conflict {
    let before = desk.everything().await;
    match desk.ledger.submit(bearer, wish).await {
        Err(LedgerError::Conflict(conflict)) => {
            assert_eq!(desk.everything().await, before, "what is refused leaves nothing");
            conflict
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn production_needs_an_accepted_test_of_the_same_database_and_target() {
    with_desk(async |desk| {
        let (acme, other) = (desk.customer("acme").await, desk.customer("other").await);
        let pack = desk.push_pack("pack").await;
        let production = || wish("shop", Purpose::Production);
        let missing = || Conflict::NoAcceptedTest { database: "shop".into(), target: "3.0".parse().unwrap() };
        assert_eq!(refused(desk, &acme, &production()).await, missing());

        let test = tested(desk, &acme, "shop", &pack).await;
        assert_eq!(refused(desk, &acme, &production()).await, missing(), "delivered is not accepted");
        let accepted_at = desk.ledger.accept(test, "customer").await.unwrap();
        assert_eq!(desk.ledger.accept(test, "customer").await.unwrap(), accepted_at, "once is for ever");

        assert_eq!(refused(desk, &other, &production()).await, missing(), "another account's database");
        let elsewhere = Submission { database: "shop 2".into(), ..production() };
        assert!(matches!(refused(desk, &acme, &elsewhere).await, Conflict::NoAcceptedTest { .. }));
        let further = Submission { target: "4.0".parse().unwrap(), ..production() };
        assert!(matches!(refused(desk, &acme, &further).await, Conflict::NoAcceptedTest { .. }));

        let request = desk.new_request(&acme, &production()).await;
        let request = desk.ledger.request(None, request).await.unwrap();
        assert_eq!(request.pack, Some(pack));
        assert_eq!(desk.value(request.id, "r.accepted_test").await, test.to_string());
        // 3 and 3.0 are one version.
        desk.new_request(&acme, &Submission { target: "3".parse().unwrap(), ..production() }).await;
    })
    .await;
}

#[tokio::test]
async fn production_runs_on_the_pack_of_the_test_accepted_last() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let (old, new) = (desk.push_pack("old").await, desk.push_pack("new").await);
        for pack in [&new, &old] {
            let test = tested(desk, &bearer, "shop", pack).await;
            desk.ledger.accept(test, "customer").await.unwrap();
        }
        let wish = wish("shop", Purpose::Production);
        let request = desk.new_request(&bearer, &wish).await;
        assert_eq!(desk.ledger.request(None, request).await.unwrap().pack, Some(old), "not the current one");
    })
    .await;
}

#[tokio::test]
async fn only_a_delivered_test_is_accepted() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let pack = desk.push_pack("pack").await;
        let refuse = async |request, expected: StateCode| {
            let before = desk.everything().await;
            let refused = desk.ledger.accept(request, "customer").await.unwrap_err();
            assert!(
                matches!(refused, LedgerError::Conflict(Conflict::State { state, .. }) if state == expected),
                "{refused:?}"
            );
            assert_eq!(desk.everything().await, before);
        };
        let request = desk.submitted(&bearer, "other").await;
        refuse(request, StateCode::AwaitingUpload).await;
        desk.ledger.cancel(request, "customer").await.unwrap();
        refuse(request, StateCode::Cancelled).await;
        let lease = desk.running(&bearer, "other").await.lease;
        refuse(lease.request(), StateCode::Running).await;
        desk.fail(&lease, script_failed()).await;
        refuse(lease.request(), StateCode::Intervention).await;

        let test = tested(desk, &bearer, "shop", &pack).await;
        desk.ledger.accept(test, "customer").await.unwrap();
        let production = desk.new_request(&bearer, &wish("shop", Purpose::Production)).await;
        desk.ledger.uploaded(production, &source(), "customer").await.unwrap();
        desk.deliver(&desk.claimed().await.lease).await;
        let refused = desk.ledger.accept(production, "customer").await.unwrap_err();
        assert!(matches!(refused, LedgerError::Conflict(Conflict::NotATest(id)) if id == production));
        assert_eq!(desk.actions(production).await, ["submit", "upload", "claim", "deliver"]);
    })
    .await;
}
