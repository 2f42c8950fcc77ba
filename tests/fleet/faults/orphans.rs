//! A multipart upload whose worker dies before it can write it down.

use std::time::Duration;

use uplift_core::{Epoch, Purpose, key};
use uplift_tests::{
    eventually,
    fleet::{Fleet, Options},
    proxy::{Fault, Proxy, Rule, Way},
    services::Services,
};

use super::{Extra, delivered_once, dispatchers::submit, dump, push_pausing_pack};

const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_never_recorded_is_aborted_and_a_recorded_one_is_not() {
    let store = Proxy::tcp(Services::s3_address()).await;
    let services = Services { s3: store.url(), ..Services::real() };
    let dispatcher = "orphan_seconds = 4".to_owned();
    let mut fleet = Fleet::with(Options { services, workers: 1, dispatcher, ..Options::default() }).await;
    push_pausing_pack(&fleet);
    let dump = dump(&fleet, "shop", Extra::default()).await;

    // A customer who takes his time is on record.
    let waiting = submit(&fleet, fleet.server(), &dump, "slow").await;
    let request = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    // The store begins the upload, and the worker never hears of it.
    let begun = format!("{request}/attempts/1/result.sql?uploads");
    let held = store.add(Rule::after(Way::Answers, 0, Fault::Stall).on(begun));
    eventually("the worker begins to upload", LIMIT, async || (held.happened() > 0).then_some(())).await;
    fleet.workers[0].kill();
    let uploads = fleet.objects.list_uploads("").await.unwrap();
    let prefix = key::attempt_prefix(request, Epoch(1));
    assert!(uploads.iter().any(|upload| upload.key.starts_with(&prefix)), "there is no orphan: {uploads:?}");
    assert_eq!(fleet.database.value("SELECT count(*) FROM uploads").await, "0", "it is on record");

    eventually("the orphan is aborted", LIMIT, async || {
        let uploads = fleet.objects.list_uploads("").await.unwrap();
        (!uploads.iter().any(|upload| upload.key.starts_with(&prefix))).then_some(())
    })
    .await;
    let left = fleet.objects.list_uploads("").await.unwrap();
    assert_eq!(left.into_iter().map(|upload| upload.key).collect::<Vec<_>>(), [key::source(waiting)]);

    held.release();
    fleet.add_worker();
    assert_eq!(delivered_once(&fleet, request).await.epoch, Epoch(2));
    fleet.must(&["cancel", &waiting.to_string()]);
    fleet.stop().await;
}
