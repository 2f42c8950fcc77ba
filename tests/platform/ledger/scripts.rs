//! A customer's own scripts: on the request's record from the submission to the worker, and the same ones for production
//! as for its test.

use uplift_core::{Purpose, Scripts};
use uplift_platform::ledger::{CancelledUpload, Conflict, ExpiredUpload, Submission, Submitted};

use super::{
    desk::{scripts, source, wish, with_desk},
    production::{refused, tested},
};

fn with(digit: &str, purpose: Purpose) -> Submission {
    Submission { scripts: scripts(digit), ..wish("shop", purpose) }
}

fn named(digit: &str) -> Option<Scripts> {
    scripts(digit).map(|(scripts, _)| scripts)
}

#[tokio::test]
async fn a_worker_finds_the_scripts_that_were_submitted() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let keyed = || Submission { idempotency_key: Some("k".into()), ..with("a", Purpose::Test) };
        let request = desk.new_request(&bearer, &keyed()).await;
        match desk.ledger.submit(&bearer, &keyed()).await.unwrap() {
            Submitted::Known(known) => assert_eq!((known.id, known.scripts), (request, named("a"))),
            Submitted::New(request) => panic!("{} is a second request", request.id),
        }
        desk.ledger.uploaded(request, &source(), "customer").await.unwrap();
        let claimed = desk.claimed().await;
        assert_eq!((claimed.lease.request(), claimed.request.scripts), (request, named("a")));
        desk.deliver(&claimed.lease).await;

        desk.queued(&bearer, "shop").await;
        assert_eq!(desk.claimed().await.request.scripts, None);
    })
    .await;
}

#[tokio::test]
async fn production_runs_with_the_scripts_of_its_test_and_no_others() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let pack = desk.push_pack("pack").await;
        let production = |digit| with(digit, Purpose::Production);
        let bare = || wish("shop", Purpose::Production);

        let plain = tested(desk, &bearer, "shop", &pack).await;
        desk.ledger.accept(plain, "customer").await.unwrap();
        let untested = refused(desk, &bearer, &production("a")).await;
        let other = |test, tested, brought| Conflict::OtherScripts { test, tested, brought };
        assert_eq!(untested, other(plain, None, named("a")));
        let said = untested.to_string();
        assert!(
            said.contains("ran without scripts, and this request brings some (512 bytes, sha256 aaaa"),
            "{said}"
        );
        assert!(said.contains("leave out `--scripts`, or run and accept a new test"), "{said}");
        desk.new_request(&bearer, &bare()).await;

        // From here on, the test accepted last is one with scripts.
        let test = desk.new_request(&bearer, &with("a", Purpose::Test)).await;
        desk.ledger.uploaded(test, &source(), "customer").await.unwrap();
        let lease = desk.claimed().await.lease;
        desk.ledger.detected(&lease, "sample", &"1.0".parse().unwrap(), &pack, Some("id")).await.unwrap();
        desk.deliver(&lease).await;
        desk.ledger.accept(test, "customer").await.unwrap();

        let none = refused(desk, &bearer, &bare()).await;
        assert_eq!(none, other(test, named("a"), None));
        let said = none.to_string();
        assert!(said.contains("ran with scripts (512 bytes, sha256 aaaa"), "{said}");
        assert!(said.contains("and this request brings none: attach the very file of that test"), "{said}");
        let others = refused(desk, &bearer, &production("b")).await;
        assert_eq!(others, other(test, named("a"), named("b")));
        let said = others.to_string();
        assert!(said.contains("and this request brings others (512 bytes, sha256 bbbb"), "{said}");

        let request = desk.new_request(&bearer, &production("a")).await;
        let request = desk.ledger.request(None, request).await.unwrap();
        assert_eq!((request.scripts, request.pack), (named("a"), Some(pack)));
    })
    .await;
}

#[tokio::test]
async fn an_upload_of_scripts_is_on_record_until_it_is_removed() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let request = desk.new_request(&bearer, &with("a", Purpose::Test)).await;
        let upload = |id: &str| ExpiredUpload { key: "key".into(), upload: id.into() };
        let at_the_store = vec![upload("upload"), upload("scripts a"), upload("stranger")];
        let orphans = desk.ledger.unrecorded_uploads(at_the_store).await.unwrap();
        assert_eq!(orphans, [upload("stranger")]);

        desk.ledger.cancel(request, "customer").await.unwrap();
        let scripts = Some("scripts a".into());
        let cancelled = CancelledUpload { request, source: "upload".into(), scripts };
        assert_eq!(desk.ledger.cancelled_uploads().await.unwrap(), [cancelled]);
        desk.ledger.upload_removed(request).await.unwrap();
        assert!(desk.ledger.cancelled_uploads().await.unwrap().is_empty());
        let request = desk.ledger.request(None, request).await.unwrap();
        assert_eq!((request.upload_id, request.scripts_upload_id), (None, None));
        assert_eq!(request.scripts, named("a"), "what it was handed in with is known for ever");
    })
    .await;
}
