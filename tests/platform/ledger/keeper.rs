//! A worker's keeper on a real ledger: a lease is renewed whatever else the worker does.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Builder, task::block_in_place};
use uplift_core::lease::RENEWAL;
use uplift_platform::config::StageSeconds;
use uplift_tests::eventually;
use uplift_worker::keeper::{Keeper, Limits};

use super::desk::{ATTEMPT, with_desk};

/// The threads of the worker's runtime.
const THREADS: usize = 2;

/// A renewal is this late at most, on a busy machine.
const LATE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_while_every_thread_of_the_worker_is_blocked() {
    with_desk(async |desk| {
        let bearer = desk.customer("acme").await;
        let claimed_at = Instant::now();
        let lease = desk.running(&bearer, "a").await.lease;
        let request = lease.request();
        let worker = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap();
        let limits = Limits { attempt: ATTEMPT, stages: StageSeconds::default() };
        let url = desk.url.clone().into();
        let holding = worker.spawn(async move {
            let keeper = Keeper::start(&url).await.unwrap();
            let hold = keeper.hold(lease, claimed_at, limits);
            (keeper, hold)
        });
        let (_keeper, hold) = holding.await.unwrap();

        let (blocked, over) = (Arc::new(Barrier::new(THREADS + 1)), Arc::new(Barrier::new(THREADS + 1)));
        for _ in 0..THREADS {
            let (blocked, over) = (Arc::clone(&blocked), Arc::clone(&over));
            worker.spawn(async move {
                blocked.wait();
                over.wait();
            });
        }
        block_in_place(|| blocked.wait());
        let moved = Arc::new(AtomicBool::new(false));
        let other_work = Arc::clone(&moved);
        worker.spawn(async move { other_work.store(true, Ordering::SeqCst) });
        let mut until = desk.value(request, "r.lease_until").await;
        for renewal in 1..=3 {
            until = eventually(&format!("renewal {renewal}"), RENEWAL + LATE, async || {
                let now = desk.value(request, "r.lease_until").await;
                (now != until).then_some(now)
            })
            .await;
        }
        assert!(!moved.load(Ordering::SeqCst), "the worker was not blocked");
        block_in_place(|| over.wait());
        eventually("the worker goes on", LATE, async || moved.load(Ordering::SeqCst).then_some(())).await;
        hold.end();
        // A runtime may not be dropped where nothing may block.
        worker.shutdown_background();
    })
    .await;
}
