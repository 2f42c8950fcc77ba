//! Submitting a request, completing its upload, finding it again.

use futures_util::future::join_all;
use uplift_core::{
    Format, Purpose, RequestId,
    request::{State, StateCode},
};
use uplift_platform::ledger::{Conflict, Filter, LedgerError, Source, Submission, Submitted};

use super::desk::{scripts, source, wish, with_desk};

fn keyed(database: &str, key: &str) -> Submission {
    Submission { idempotency_key: Some(key.into()), ..wish(database, Purpose::Test) }
}

#[tokio::test]
async fn a_new_request_awaits_its_upload() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let wish = wish("Größe 1", Purpose::Test);
        let Submitted::New(request) = desk.ledger.submit(&bearer, &wish).await.unwrap() else {
            panic!("it is new")
        };
        assert_eq!(request.id, wish.request);
        assert_eq!(request.state, State::AwaitingUpload);
        assert_eq!((request.account, request.account_name.as_str()), (bearer.account, "acme"));
        assert_eq!(request.database_name, "Größe 1");
        assert_eq!((request.purpose, request.target), (Purpose::Test, wish.target));
        assert_eq!((request.source_bytes, request.upload_id), (Some(4096), Some("upload".into())));
        assert_eq!(request.traceparent, wish.traceparent);
        assert_eq!((request.epoch.0, request.worker, request.uploaded_at), (0, None, None));
        assert_eq!(desk.actions(request.id).await, ["submit"]);
        assert!(
            desk.claim(uplift_core::WorkerId::new()).await.is_none(),
            "without a dump it is not claimable"
        );
    })
    .await;
}

#[tokio::test]
async fn an_idempotency_key_means_one_request_for_ever() {
    with_desk(async |desk| {
        let (acme, other) = (desk.customer("acme").await, desk.customer("other").await);
        let first = desk.new_request(&acme, &keyed("shop", "k")).await;
        desk.ledger.uploaded(first, &source(), "customer").await.unwrap();
        let before = desk.everything().await;
        match desk.ledger.submit(&acme, &keyed("shop", "k")).await.unwrap() {
            Submitted::Known(known) => assert_eq!((known.id, known.state), (first, State::Queued)),
            Submitted::New(request) => panic!("{} is a second request", request.id),
        }
        let others = [
            keyed("elsewhere", "k"),
            Submission { target: "2.0".parse().unwrap(), ..keyed("shop", "k") },
            Submission { source_bytes: 1, ..keyed("shop", "k") },
            Submission { result_format: Some(Format::Zip), ..keyed("shop", "k") },
            Submission { scripts: scripts("a"), ..keyed("shop", "k") },
            Submission { purpose: Purpose::Production, ..keyed("shop", "k") },
        ];
        for wish in others {
            let refused = desk.ledger.submit(&acme, &wish).await;
            assert!(
                matches!(refused, Err(LedgerError::Conflict(Conflict::KeyReused(id))) if id == first),
                "{wish:?}: {refused:?}"
            );
        }
        assert_eq!(desk.everything().await, before, "not even a database was added");

        assert_ne!(desk.new_request(&other, &keyed("shop", "k")).await, first, "a key is its account's");
        assert_ne!(desk.new_request(&acme, &keyed("shop", "l")).await, first);
        desk.submitted(&acme, "shop").await;
        desk.submitted(&acme, "shop").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_submission_many_times_at_once_is_one_request() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        for round in 0..10 {
            let key = format!("key {round}");
            let answers = join_all((0..8).map(|_| {
                let (ledger, bearer, wish) = (desk.ledger.clone(), bearer.clone(), keyed("shop", &key));
                tokio::spawn(async move { ledger.submit(&bearer, &wish).await.unwrap() })
            }))
            .await;
            let mut fresh = 0;
            let mut ids: Vec<RequestId> = answers
                .into_iter()
                .map(|answer| match answer.unwrap() {
                    Submitted::New(request) => {
                        fresh += 1;
                        request.id
                    }
                    Submitted::Known(request) => request.id,
                })
                .collect();
            ids.dedup();
            assert_eq!((fresh, ids.len()), (1, 1));
        }
    })
    .await;
}

#[tokio::test]
async fn an_upload_is_completed_once_and_may_be_told_again() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let request = desk.submitted(&bearer, "shop").await;
        let pinned = Source { sha256: Some("cd".repeat(32)), ..source() };
        desk.ledger.uploaded(request, &pinned, "customer").await.unwrap();
        let queued = desk.ledger.request(None, request).await.unwrap();
        assert_eq!(queued.state, State::Queued);
        assert_eq!((queued.source_etag, queued.source_sha256), (Some("\"etag\"".into()), pinned.sha256));
        assert!(queued.uploaded_at.is_some_and(|at| at >= queued.created_at));

        let another = Source { bytes: 1, etag: "another".into(), sha256: None };
        let repeat = async || {
            let before = desk.everything().await;
            desk.ledger.uploaded(request, &another, "customer").await.unwrap();
            assert_eq!(desk.everything().await, before);
        };
        repeat().await;
        let claimed = desk.claimed().await;
        repeat().await;
        desk.deliver(&claimed.lease).await;
        repeat().await;
        assert_eq!(desk.actions(request).await, ["submit", "upload", "claim", "deliver"]);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_request_takes_no_upload() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let request = desk.submitted(&bearer, "shop").await;
        desk.ledger.cancel(request, "customer").await.unwrap();
        let before = desk.everything().await;
        let refused = desk.ledger.uploaded(request, &source(), "customer").await.unwrap_err();
        assert!(
            matches!(refused, LedgerError::Conflict(Conflict::State { state: StateCode::Cancelled, .. })),
            "{refused:?}"
        );
        assert_eq!(desk.everything().await, before);
        let unknown = desk.ledger.uploaded(RequestId::new(), &source(), "customer").await;
        assert!(matches!(unknown, Err(LedgerError::NotFound("request"))));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_and_a_cancel_at_once_end_cancelled() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        for _ in 0..20 {
            let request = desk.submitted(&bearer, "shop").await;
            let source = source();
            let (uploaded, cancelled) = tokio::join!(
                desk.ledger.uploaded(request, &source, "customer"),
                desk.ledger.cancel(request, "customer"),
            );
            cancelled.unwrap();
            assert_eq!(desk.state(request).await, StateCode::Cancelled);
            let actions = desk.actions(request).await;
            match uploaded {
                Ok(()) => assert_eq!(actions, ["submit", "upload", "cancel"]),
                Err(LedgerError::Conflict(_)) => assert_eq!(actions, ["submit", "cancel"]),
                Err(error) => panic!("{error:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_account_sees_its_own_requests() {
    with_desk(async |desk| {
        let (acme, other) = (desk.customer("acme").await, desk.customer("other").await);
        let mut own = Vec::new();
        for number in 0..103 {
            own.push(desk.submitted(&acme, if number % 2 == 0 { "even" } else { "odd" }).await);
        }
        let foreign = desk.submitted(&other, "even").await;
        own.reverse();

        let hidden = desk.ledger.request(Some(acme.account), foreign).await;
        assert!(matches!(hidden, Err(LedgerError::NotFound("request"))));
        assert_eq!(desk.ledger.request(Some(other.account), foreign).await.unwrap().id, foreign);

        let list = async |filter: Filter| {
            let found = desk.ledger.requests(&filter).await.unwrap();
            found.into_iter().map(|request| request.id).collect::<Vec<_>>()
        };
        let of_acme = Filter { account: Some(acme.account), ..Filter::default() };
        assert_eq!(list(of_acme.clone()).await, own[..100], "a page of the newest");
        assert_eq!(list(Filter { before: Some(own[99]), ..of_acme.clone() }).await, own[100..]);
        assert_eq!(list(Filter { database: Some("odd".into()), ..of_acme.clone() }).await.len(), 51);
        assert_eq!(list(Filter::default()).await[0], foreign, "an operator sees all");
        desk.ledger.cancel(own[7], "customer").await.unwrap();
        assert_eq!(list(Filter { state: Some(StateCode::Cancelled), ..of_acme }).await, [own[7]]);
    })
    .await;
}
