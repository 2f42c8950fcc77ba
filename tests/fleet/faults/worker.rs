//! Workers that are killed, or stopped for longer than a lease, at named points of their work.
//!
//! One fleet for all points: each costs the minute that a lease lasts, and this way it is the same minute.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use uplift_core::{Epoch, Purpose, RequestId, request::State};
use uplift_tests::{
    SOON, eventually,
    fleet::{Fleet, Options},
    proxy::{Fault, Proxy, Rule, Way},
    services::Services,
};

use super::{Extra, PAUSED, RUNS, assert_delivered_once, delivered_once, dump, outcomes, push_pausing_pack};

/// How long a worker's lease lasts after it is struck, and how long somebody who is free needs to notice.
const LEASE: Duration = Duration::from_secs(60);
const NOTICED: Duration = Duration::from_secs(15);

/// What is done to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Kill,
    /// It is stopped, for as long as the others need to deliver, and then goes on.
    Freeze,
    /// It is killed, and then the customer wants the request back.
    KillAndCancel,
}

/// A request, and the point of its first attempt at which its worker is struck.
struct Point {
    request: RequestId,
    /// The stage that the ledger has.
    stage: &'static str,
    /// The point in that stage, as an SQL condition.
    at: &'static str,
    /// What keeps the worker at that point, where the work itself does not last.
    held: Option<Arc<Rule>>,
    blow: Blow,
}

/// A point whose worker has been struck.
struct Struck {
    point: Point,
    worker: usize,
    at: Instant,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_killed_or_frozen_and_another_one_delivers() {
    let store = Proxy::tcp(Services::s3_address()).await;
    let services = Services { s3: store.url(), ..Services::real() };
    let worker = "prove_tests = true".into();
    let options = Options { services, workers: 10, worker, ..Options::default() };
    let mut fleet = Fleet::with(options).await;
    push_pausing_pack(&fleet);
    fleet.ledger.set_max_running("acme", 100).await.unwrap();
    let (points, survivor) = points(&fleet, &store).await;

    let mut struck = Vec::new();
    for point in futures(points.into_iter().map(|point| strike(&fleet, point))).await {
        struck.push(point);
    }
    for _ in 0..2 {
        fleet.add_worker_with(&[("SLOTS", "4")]);
    }
    let free = Instant::now();
    futures(struck.iter().map(|struck| claimed_again(&fleet, struck, free))).await;
    for Struck { point, worker, .. } in &struck {
        finished(&fleet, point).await;
        if point.blow == Blow::Freeze {
            thaw(&fleet, point, *worker).await;
            removed(&fleet, point.request).await;
        }
    }
    // Its worker shared the Docker host with all that were struck, and with those who tidied up after them.
    let delivery = delivered_once(&fleet, survivor).await;
    assert_eq!(delivery.epoch, Epoch(1), "a worker that was not struck was disturbed");

    for Struck { point, worker, .. } in &struck {
        if point.blow == Blow::Freeze {
            assert_delivered_once(&fleet, point.request).await;
            fleet.workers[*worker].signal("TERM");
            let worker = &mut fleet.workers[*worker];
            let ended = eventually("a worker that was frozen ends", SOON, async || worker.ended()).await;
            assert!(ended.success(), "{ended}");
        }
    }
    fleet.stop().await;
}

/// Submits a request for each point, and one whose worker is left alone.
async fn points(fleet: &Fleet, store: &Proxy) -> (Vec<Point>, RequestId) {
    let slow = dump(fleet, "slow", Extra { slow_index: 2, ..Extra::default() }).await;
    let pausing = dump(fleet, "pausing", Extra { pause: 8, ..Extra::default() }).await;
    let running = dump(fleet, "running", Extra { run_pause: 12, ..Extra::default() }).await;
    let large = dump(fleet, "large", Extra { ballast: 24, ..Extra::default() }).await;
    let plain = dump(fleet, "plain", Extra::default()).await;
    let patient = dump(fleet, "patient", Extra { pause: 90, ..Extra::default() }).await;
    // The hop to 3.0 has the steps that pause; the others are struck outside of their hops, and one is enough.
    let submit = |name, dump| fleet.submit(Purpose::Test, dump, "2.0", name);
    let pauses = |name, dump| fleet.submit(Purpose::Test, dump, "3.0", name);
    let hold = |on: String| Some(store.add(Rule::after(Way::Requests, 0, Fault::Stall).on(on)));
    let part = |request| hold(format!("{request}/attempts/1/result.sql?x-id=UploadPart&partNumber=2&"));
    // The log is the last of what is stored: all that is left is to settle.
    let log = |request| hold(format!("{request}/attempts/1/upgrade.log"));

    let survivor = pauses("survivor", &patient);
    let mut points = Vec::new();
    let mut add = |request, stage, at, held, blow| points.push(Point { request, stage, at, held, blow });
    let uploading = "EXISTS (SELECT FROM uploads u WHERE u.request_id = r.id)";
    let stored = "NOT EXISTS (SELECT FROM uploads u WHERE u.request_id = r.id)";
    add(submit("restore", &slow), "restore", "progress_done > 0", None, Blow::Kill);
    add(submit("prove", &slow), "prove", "progress_done > 0", None, Blow::Kill);
    add(pauses("step", &pausing), "upgrade", PAUSED, None, Blow::Kill);
    add(pauses("run", &running), "upgrade", RUNS, None, Blow::Kill);
    add(pauses("cancel", &pausing), "upgrade", PAUSED, None, Blow::KillAndCancel);
    for (name, blow) in [("dump", Blow::Kill), ("dump-frozen", Blow::Freeze)] {
        let request = submit(name, &large);
        add(request, "dump", uploading, part(request), blow);
    }
    for (name, blow) in [("settle", Blow::Kill), ("settle-frozen", Blow::Freeze)] {
        let request = submit(name, &plain);
        add(request, "settle", stored, log(request), blow);
    }
    (points, survivor)
}

/// Waits until the attempt is where it should be, and strikes its worker.
async fn strike(fleet: &Fleet, point: Point) -> Struck {
    fleet.reaches(point.request, &format!("epoch = 1 AND stage = '{}' AND {}", point.stage, point.at)).await;
    if let Some(held) = &point.held {
        eventually("the worker is held", SOON, async || (held.happened() > 0).then_some(())).await;
    }
    let worker = fleet.worker_of(point.request).await;
    fleet.workers[worker].signal(if point.blow == Blow::Freeze { "STOP" } else { "KILL" });
    let at = Instant::now();
    if point.blow == Blow::KillAndCancel {
        fleet.must(&["cancel", &point.request.to_string()]);
    }
    Struck { point, worker, at }
}

/// Waits until another worker has the request, or the customer has it back; the ledger says where it was lost. Workers are
/// `free` once the last one is struck: until then nobody could have it.
async fn claimed_again(fleet: &Fleet, struck: &Struck, free: Instant) {
    let Struck { point: Point { request, stage, blow, .. }, at, .. } = struck;
    let what = format!("{blow:?} at {stage}: the request goes on");
    let took = eventually(&what, LEASE + SOON, async || {
        let request = fleet.request(*request).await;
        (request.epoch > Epoch(1) || request.state == State::Cancelled).then(|| at.elapsed())
    })
    .await;
    println!("{what} after {:.1} s", took.as_secs_f64());
    let soon = LEASE.max(free.saturating_duration_since(*at)) + NOTICED;
    assert!(took <= soon, "{what} after {took:?} instead of {soon:?}");
    assert_eq!(outcomes(fleet, *request).await[0], ("lease_lost".into(), (*stage).into()));
    // A worker that is frozen while it reads a job's output holds the container: Docker waits for it.
    if (*blow, *stage) != (Blow::Freeze, "dump") {
        removed(fleet, *request).await;
    }
}

/// Waits until nothing is left of a request's first attempt.
async fn removed(fleet: &Fleet, request: RequestId) {
    eventually("a reaper removes what the struck worker left", SOON, async || {
        let left = fleet.host.leftovers().await.unwrap();
        left.iter().all(|label| (label.request, label.epoch) != (request, Epoch(1))).then_some(())
    })
    .await;
}

/// Waits for the end that a point has.
async fn finished(fleet: &Fleet, point: &Point) {
    if point.blow == Blow::KillAndCancel {
        assert_eq!(fleet.ended(point.request).await, State::Cancelled);
        return;
    }
    let delivery = delivered_once(fleet, point.request).await;
    assert_eq!(delivery.epoch, Epoch(2), "{:?}", outcomes(fleet, point.request).await);
}

/// Lets a frozen worker go on, long after its request was delivered by another one: nothing changes.
async fn thaw(fleet: &Fleet, point: &Point, worker: usize) {
    let id = point.request;
    let before = fleet.request(id).await;
    // Docker waits for a worker that is frozen while it reads a job's output.
    if point.stage != "dump" {
        let left = fleet.host.leftovers().await.unwrap();
        assert!(
            left.iter().all(|label| label.request != id),
            "the sandbox of a frozen worker was left alone"
        );
    }
    if let Some(held) = &point.held {
        held.release();
    }
    let worker = &fleet.workers[worker];
    worker.signal("CONT");
    let id = id.to_string();
    eventually("the worker notices that its lease is lost", SOON, async || {
        let log = worker.log();
        log.lines().any(|line| line.contains(&id) && line.contains("lease is lost")).then_some(())
    })
    .await;
    let after = fleet.request(point.request).await;
    assert_eq!((before.state, before.log_lines), (after.state, after.log_lines), "a frozen worker wrote");
}

/// All of them at once.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures_util::future::join_all(all).await
}
