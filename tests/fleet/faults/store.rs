//! An object store that breaks off, and one that goes away.

use std::time::Duration;

use uplift_core::{Epoch, Purpose};
use uplift_tests::{
    fleet::{Fleet, Options},
    proxy::{Fault, Proxy, Rule, Way},
    services::Services,
};

use super::{Attempt, Extra, PAUSED, attempts, delivered_once, dump, push_pausing_pack};

const MIB: u64 = 1024 * 1024;

/// A fleet that reaches the store over a proxy, and puts up with its absence for so long.
async fn fleet(store: &Proxy, patience_seconds: u32) -> Fleet {
    let objects = format!("patience_seconds = {patience_seconds}");
    let services = Services { s3: store.url(), ..Services::real() };
    let worker = "prove_tests = true".into();
    let fleet = Fleet::with(Options { services, worker, objects, ..Options::default() }).await;
    push_pausing_pack(&fleet);
    fleet
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_are_cut_mid_stream_are_resumed() {
    let store = Proxy::tcp(Services::s3_address()).await;
    let fleet = fleet(&store, 60).await;
    let dump = dump(&fleet, "shop", Extra { ballast: 40, ..Extra::default() }).await;
    let cuts = store.add(Rule::every(Way::Answers, 5 * MIB, Fault::Cut));
    let request = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    // The dump is read at restore, and as much again when the result is proven.
    assert_eq!(delivered_once(&fleet, request).await.epoch, Epoch(1));
    assert!(cuts.happened() >= 12, "only {} cuts", cuts.happened());
    fleet.stop().await;
}

/// Down while a step runs and when its result is to be stored; up again before patience ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_goes_away_for_a_while_costs_nothing() {
    let store = Proxy::tcp(Services::s3_address()).await;
    let fleet = fleet(&store, 60).await;
    let dump = dump(&fleet, "shop", Extra { pause: 3, ..Extra::default() }).await;
    let request = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    fleet.reaches(request, PAUSED).await;
    store.set_down(true);
    fleet.reaches(request, "stage = 'dump'").await;
    // The fault is that it stays away while the worker wants it.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(fleet.request(request).await.epoch, Epoch(1), "the worker gave up at once");
    store.set_down(false);
    assert_eq!(delivered_once(&fleet, request).await.epoch, Epoch(1));
    fleet.stop().await;
}

/// Away for longer than patience lasts: the request is given back, nobody takes it meanwhile, and no attempt counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_away_costs_no_attempt() {
    let store = Proxy::tcp(Services::s3_address()).await;
    let fleet = fleet(&store, 2).await;
    let dump = dump(&fleet, "shop", Extra { pause: 3, ..Extra::default() }).await;
    let request = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    fleet.reaches(request, PAUSED).await;
    store.set_down(true);
    fleet.reaches(request, "state = 'queued'").await;
    // Both workers look every five seconds, and would take it.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(fleet.request(request).await.epoch, Epoch(1), "it was claimed though the store is away");
    store.set_down(false);
    assert_eq!(delivered_once(&fleet, request).await.epoch, Epoch(2));
    let first = Attempt { outcome: "released".into(), place: String::new(), counted: false };
    assert_eq!(attempts(&fleet, request).await[0], first);
    fleet.stop().await;
}
