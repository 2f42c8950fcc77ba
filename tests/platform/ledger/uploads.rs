//! Uploads that nobody will complete: a customer's, and those of attempts that have ended.

use std::time::Duration;

use uplift_core::request::StateCode;
use uplift_platform::ledger::{CancelledUpload, ExpiredUpload};

use super::desk::{released, with_desk};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn an_upload_that_never_comes_ends_its_request() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let (stale, fresh) = (desk.submitted(&bearer, "a").await, desk.submitted(&bearer, "a").await);
        let queued = desk.queued(&bearer, "a").await;
        for request in [stale, queued] {
            desk.set(request, "created_at = now() - interval '25 hours'").await;
        }
        assert_eq!(desk.ledger.cancel_stale_uploads(DAY).await.unwrap(), 1);
        assert_eq!(desk.ledger.cancel_stale_uploads(DAY).await.unwrap(), 0);
        assert_eq!(desk.state(stale).await, StateCode::Cancelled);
        assert_eq!(desk.state(fresh).await, StateCode::AwaitingUpload);
        assert_eq!(desk.state(queued).await, StateCode::Queued);
        assert_eq!(desk.actions(stale).await, ["submit", "cancel"]);

        // Complete or not, it is there to be removed, and stays on record until it was.
        desk.ledger.cancel(queued, "customer").await.unwrap();
        let cancelled = |request| CancelledUpload { request, source: "upload".into(), scripts: None };
        for _ in 0..2 {
            let mut found = desk.ledger.cancelled_uploads().await.unwrap();
            found.sort_by_key(|upload| upload.request);
            assert_eq!(found, [cancelled(stale), cancelled(queued)]);
        }
        desk.ledger.upload_removed(stale).await.unwrap();
        assert_eq!(desk.ledger.cancelled_uploads().await.unwrap(), [cancelled(queued)]);
    })
    .await;
}

#[tokio::test]
async fn an_attempts_upload_is_on_record_until_it_has_ended() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let lease = desk.running(&bearer, "a").await.lease;
        for (key, upload) in [("result", "one"), ("result", "two"), ("report", "three")] {
            desk.ledger.upload_begun(&lease, key, upload).await.unwrap();
        }
        desk.ledger.upload_ended("report", "three").await.unwrap();
        assert!(desk.ledger.expired_uploads().await.unwrap().is_empty(), "its attempt may complete it");

        desk.fail(&lease, released()).await;
        let next = desk.claimed().await.lease;
        desk.ledger.upload_begun(&next, "result", "four").await.unwrap();
        let upload = |id: &str| ExpiredUpload { key: "result".into(), upload: id.into() };
        let mut expired = desk.ledger.expired_uploads().await.unwrap();
        expired.sort_by(|a, b| a.upload.cmp(&b.upload));
        assert_eq!(expired, [upload("one"), upload("two")]);
        desk.ledger.upload_ended("result", "one").await.unwrap();
        assert_eq!(desk.ledger.expired_uploads().await.unwrap(), [upload("two")]);
    })
    .await;
}
