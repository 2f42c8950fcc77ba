//! `claim`: no-op requests a second from submit to settle, and how long a complete upload waits for its claim.
//!
//! The ledger is a server of its own that loses nothing, unlike the one of the tests.

use std::{
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{task::JoinSet, time};
use uplift_core::{
    Clock, Lease, Purpose, RequestId, WorkerId,
    event::{Digest, Stage},
    lease::RENEWAL,
    request::Delivery,
};
use uplift_platform::{
    Listener,
    hints::HintsConfig,
    ledger::{Bearer, Claimed, Ledger, Role, Settlement, Source, Submission, WorkerState},
};
use uplift_tests::{
    fleet::{Fleet, Options},
    postgres::Database,
    services::Services,
};

use crate::{
    cluster::Cluster,
    figure::{Figure, quantile},
};

/// The command that runs this benchmark once its ledger is there.
pub(crate) const INSIDE: &str = "claim-inside";

/// How many submit, claim and settle at once.
const CLIENTS: usize = 16;
const ACCOUNTS: usize = 50;
/// How long throughput is measured each time.
const PERIOD: Duration = Duration::from_secs(5);
/// Requests that have ended before.
const HISTORY: i32 = 100_000;
/// How many workers renew a lease in the second half of the latencies.
const RENEWING: usize = 1000;
/// How many workers wait for a hint.
const IDLE: usize = 8;
/// How many requests each time's latencies are of, and by how many customers.
const REQUESTS: usize = 200;
const CUSTOMERS: usize = 4;
const ATTEMPT: Duration = Duration::from_secs(3600);

/// Starts the ledger's server, and the benchmark with it.
pub(crate) fn run(runs: usize) {
    let cluster = Cluster::ledger();
    let status = Command::new(std::env::current_exe().unwrap())
        .args([INSIDE, &runs.to_string()])
        .env("UPLIFT_TEST_LEDGER_URL", cluster.url("postgres"))
        .status()
        .unwrap();
    assert!(status.success(), "the benchmark of claims failed");
}

pub(crate) async fn inside(runs: usize) {
    for waiting in [0, 1000] {
        throughput(runs, waiting).await;
    }
    latencies(runs).await;
}

async fn throughput(runs: usize, waiting: i32) {
    let database = Database::create("bench_claim").await;
    // Two pools, as the dispatcher and a worker have.
    let [desk, floor] = [connect(&database).await, connect(&database).await];
    let customers = customers(&desk).await;
    database.psql_command(&history(waiting));
    database.psql_command("VACUUM ANALYZE");
    let mut samples = Vec::new();
    for _ in 0..runs {
        let settled = AtomicUsize::new(0);
        let began = Instant::now();
        join_all((0..CLIENTS).map(async |client| {
            let worker = WorkerId::new();
            for turn in 0.. {
                if began.elapsed() > PERIOD {
                    break;
                }
                let customer = &customers[(client + turn * 7) % ACCOUNTS];
                queue(&desk, customer, &format!("database {client}")).await;
                if let Some(claimed) = floor.claim(worker, ATTEMPT).await.unwrap() {
                    settle(&floor, &claimed.lease).await;
                    settled.fetch_add(1, Ordering::Relaxed);
                }
            }
        }))
        .await;
        samples.push(settled.into_inner() as f64 / began.elapsed().as_secs_f64());
    }
    let what = format!("submit to settle, {HISTORY} requests in the past, {waiting} waiting");
    Figure::new("claim", what, "/s").of(samples).print();
    database.remove().await;
}

async fn latencies(runs: usize) {
    let fleet = Fleet::with(Options { workers: 0, ..Options::default() }).await;
    fleet.ledger.set_max_running("acme", 1000).await.unwrap();
    let latencies = Arc::<Mutex<Vec<f64>>>::default();
    let mut workers = JoinSet::new();
    for _ in 0..IDLE {
        workers.spawn(work(fleet_listener(&fleet), fleet.ledger.clone(), latencies.clone()));
    }
    measure(&fleet, runs, &latencies, &format!("{IDLE} idle workers")).await;

    let mut crowd = JoinSet::new();
    let pools = join_all((0..4).map(|_| connect(&fleet.database))).await;
    workers.abort_all();
    for (number, claimed) in busy(&fleet.ledger).await.into_iter().enumerate() {
        crowd.spawn(renew(pools[number % pools.len()].clone(), claimed, number));
    }
    let mut workers = JoinSet::new();
    for _ in 0..IDLE {
        workers.spawn(work(fleet_listener(&fleet), fleet.ledger.clone(), latencies.clone()));
    }
    let what = format!("{IDLE} idle workers, {RENEWING} that renew");
    measure(&fleet, runs, &latencies, &what).await;
    workers.abort_all();
    // Every simulated worker ends what it holds, so that the fleet leaves nothing.
    crowd.abort_all();
    let held = "SELECT count(*) FROM requests WHERE state = 'running'";
    assert_eq!(fleet.database.value(held).await, RENEWING.to_string(), "a lease was lost meanwhile");
    fleet.database.psql_command("UPDATE requests SET state = 'cancelled', worker_id = NULL, lease_until = NULL WHERE state = 'running'");
    fleet.stop().await;
}

/// Hands in requests by the command line, and prints how long each waited for its claim.
async fn measure(fleet: &Fleet, runs: usize, latencies: &Mutex<Vec<f64>>, what: &str) {
    let dump = fleet.file("empty.sql");
    std::fs::write(&dump, "-- nothing").unwrap();
    let (mut medians, mut tails) = (Vec::new(), Vec::new());
    for run in 0..runs {
        latencies.lock().unwrap().clear();
        std::thread::scope(|scope| {
            for customer in 0..CUSTOMERS {
                let dump = &dump;
                scope.spawn(move || {
                    for turn in 0..REQUESTS / CUSTOMERS {
                        let database = format!("{run}-{customer}-{turn}");
                        fleet.submit(Purpose::Test, dump, "3.0", &database);
                    }
                });
            }
        });
        uplift_tests::eventually("every request is claimed", Duration::from_secs(60), async || {
            (latencies.lock().unwrap().len() == REQUESTS).then_some(())
        })
        .await;
        let mut sorted = latencies.lock().unwrap().clone();
        sorted.sort_by(f64::total_cmp);
        medians.push(quantile(&sorted, 0.5));
        tails.push(quantile(&sorted, 0.99));
    }
    Figure::new("claim", format!("upload complete to claimed, p50, {what}"), "ms").of(medians).print();
    Figure::new("claim", format!("upload complete to claimed, p99, {what}"), "ms").of(tails).print();
}

/// A worker whose attempts take no time.
async fn work(mut listener: Listener, ledger: Ledger, latencies: Arc<Mutex<Vec<f64>>>) {
    let worker = WorkerId::new();
    loop {
        let hint = listener.next().await;
        let mut claimed = ledger.claim(worker, ATTEMPT).await.unwrap();
        hint.ack().await;
        while let Some(Claimed { lease, request }) = claimed {
            let waited = Clock::System.now() - request.uploaded_at.unwrap();
            latencies.lock().unwrap().push(waited.as_seconds_f64() * 1000.0);
            settle(&ledger, &lease).await;
            claimed = ledger.claim(worker, ATTEMPT).await.unwrap();
        }
    }
}

/// A worker in the middle of its attempt.
async fn renew(ledger: Ledger, claimed: Claimed, number: usize) {
    let state = WorkerState {
        id: claimed.lease.worker(),
        host: "simulated".into(),
        version: "0".into(),
        slots: 1,
        busy: 1,
        draining: false,
    };
    // Spread over the period, as those of a fleet are.
    time::sleep(RENEWAL.mul_f64(number as f64 / RENEWING as f64)).await;
    let mut tick = time::interval(RENEWAL);
    for progress in 0.. {
        tick.tick().await;
        ledger.renew(&claimed.lease, Stage::Restore, Some((progress, 1000))).await.unwrap();
        ledger.heartbeat(&state).await.unwrap();
    }
}

/// Requests that run, each on a worker of its own.
async fn busy(ledger: &Ledger) -> Vec<Claimed> {
    let customers = customers(ledger).await;
    let mut claimed = Vec::new();
    for number in 0..RENEWING {
        queue(ledger, &customers[number % ACCOUNTS], &format!("database {number}")).await;
        claimed.push(ledger.claim(WorkerId::new(), ATTEMPT).await.unwrap().expect("one is queued"));
    }
    claimed
}

fn fleet_listener(fleet: &Fleet) -> Listener {
    let url = Services::real().amqp.into();
    Listener::start(HintsConfig { url, prefix: fleet.name().to_owned(), ttl_seconds: 600 })
}

async fn connect(database: &Database) -> Ledger {
    Ledger::migrate(&database.url().into()).await.unwrap()
}

async fn customers(ledger: &Ledger) -> Vec<Bearer> {
    let expires = Clock::System.now() + Duration::from_secs(86_400);
    let mut bearers = Vec::new();
    for number in 0..ACCOUNTS {
        let account = format!("account {number}");
        let issued = ledger.issue_token(&account, Role::Customer, "bench", expires, "bench").await.unwrap();
        ledger.set_max_running(&account, 100).await.unwrap();
        bearers.push(ledger.bearer(&issued.secret).await.unwrap().unwrap());
    }
    bearers
}

/// Submits a request and completes its upload.
async fn queue(ledger: &Ledger, customer: &Bearer, database: &str) {
    let request = RequestId::new();
    let wish = Submission {
        request,
        database: database.to_owned(),
        purpose: Purpose::Test,
        target: "3.0".parse().unwrap(),
        source_name: "dump.sql.gz".into(),
        result_format: None,
        source_bytes: 4096,
        source_grows: false,
        booked_for: None,
        email: None,
        idempotency_key: Some(request.to_string()),
        traceparent: None,
        upload_id: "upload".into(),
        scripts: None,
    };
    ledger.submit(customer, &wish).await.unwrap();
    let source = Source { bytes: 4096, etag: "etag".into(), sha256: None };
    ledger.uploaded(request, &source, "bench").await.unwrap();
}

async fn settle(ledger: &Ledger, lease: &Lease) {
    let delivery = Delivery {
        epoch: lease.epoch(),
        result: "result.sql.gz".into(),
        digest: Digest { bytes: 5000, sha256: "ab".repeat(32) },
    };
    ledger.settle(lease, &Settlement::Delivered(delivery)).await.unwrap();
}

/// What a ledger has seen after a while: requests that have ended, and some that wait, over all accounts.
fn history(waiting: i32) -> String {
    format!(
        "INSERT INTO databases (id, account_id, name)
         SELECT gen_random_uuid(), a.id, 'old ' || n FROM accounts a, generate_series(1, 20) n;
         CREATE TEMP TABLE numbered AS SELECT row_number() OVER (ORDER BY name, id) - 1 AS number, * FROM databases;
         INSERT INTO requests (id, account_id, database_id, purpose, target, state, outcome, source_name, epoch,
             uploaded_at, promised_from, started_at, finished_at)
         SELECT gen_random_uuid(), d.account_id, d.id, 'test', '3.0', 'delivered', '{{}}', 'dump.sql.gz', 1,
             now() - interval '1 day', now() - interval '1 day', now() - interval '1 day', now() - interval '1 day'
         FROM generate_series(1, {HISTORY}) n JOIN numbered d ON d.number = n % (SELECT count(*) FROM numbered);
         INSERT INTO attempts (request_id, epoch, worker_id, ended_at, outcome)
         SELECT id, 1, id, finished_at, 'delivered' FROM requests;
         INSERT INTO requests (id, account_id, database_id, purpose, target, state, source_name, uploaded_at,
             promised_from)
         SELECT gen_random_uuid(), d.account_id, d.id, 'test', '3.0', 'queued', 'dump.sql.gz',
             now() + n * interval '1 ms', now() + n * interval '1 ms'
         FROM generate_series(1, {waiting}) n JOIN numbered d ON d.number = n % (SELECT count(*) FROM numbered);"
    )
}
