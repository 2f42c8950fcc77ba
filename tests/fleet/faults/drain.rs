//! Workers that are told to stop.

use std::{process::ExitStatus, time::Duration};

use uplift_core::{Epoch, Purpose};
use uplift_tests::{
    eventually,
    fleet::{Fleet, Options},
};

use super::{Attempt, Extra, PAUSED, attempts, delivered_once, dump, push_pausing_pack};

/// A fleet whose workers have so many seconds to finish what they are at.
async fn fleet(grace: u32) -> Fleet {
    let worker = format!("grace_seconds = {grace}");
    let fleet = Fleet::with(Options { worker, ..Options::default() }).await;
    push_pausing_pack(&fleet);
    fleet
}

async fn ended(fleet: &mut Fleet, worker: usize, limit: Duration) -> ExitStatus {
    let worker = &mut fleet.workers[worker];
    eventually("the worker ends", limit, async || worker.ended()).await
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_finishes_within_its_grace() {
    let mut fleet = fleet(120).await;
    let dump = dump(&fleet, "shop", Extra { pause: 3, ..Extra::default() }).await;
    let request = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    fleet.reaches(request, PAUSED).await;
    let worker = fleet.worker_of(request).await;
    fleet.workers[worker].signal("TERM");
    // It takes nothing new, though it has yet to finish; the other one does.
    let second = fleet.submit(Purpose::Test, &dump, "3.0", "other");
    fleet.reaches(second, "state = 'running'").await;
    assert_ne!(fleet.worker_of(second).await, worker);

    assert!(ended(&mut fleet, worker, Duration::from_secs(120)).await.success());
    for request in [request, second] {
        assert_eq!(delivered_once(&fleet, request).await.epoch, Epoch(1));
    }
    fleet.stop().await;
}

#[tokio::test]
async fn a_worker_whose_grace_is_over_hands_back_and_another_one_delivers() {
    let mut fleet = fleet(1).await;
    let dump = dump(&fleet, "shop", Extra { pause: 12, ..Extra::default() }).await;
    let request = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    fleet.reaches(request, PAUSED).await;
    let worker = fleet.worker_of(request).await;
    fleet.workers[worker].signal("TERM");
    assert!(ended(&mut fleet, worker, Duration::from_secs(30)).await.success());

    assert_eq!(delivered_once(&fleet, request).await.epoch, Epoch(2));
    let first = Attempt { outcome: "released".into(), place: String::new(), counted: false };
    assert_eq!(attempts(&fleet, request).await[0], first);
    fleet.stop().await;
}
