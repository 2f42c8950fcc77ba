//! Many claimers at once: every request claimed exactly once, none lost, no cap ever exceeded.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use uplift_core::{AccountId, DatabaseId, RequestId, WorkerId, event::Stage};
use uplift_platform::ledger::{Bearer, Ledger, Request};

use super::desk::{ATTEMPT, Desk, delivered, source, wish, with_desk};

const CLAIMERS: usize = 32;
const ACCOUNTS: usize = 5;
const REQUESTS: usize = 200;
/// Fewer than requests, so that many wait for another one of their database.
const DATABASES: usize = 12;
/// Far more than it takes.
const LIMIT: Duration = Duration::from_secs(240);
/// How long to wait for what others do. Without a pause, asking in vain is all that a small machine has the time for.
const PAUSE: Duration = Duration::from_millis(10);

/// What runs at this moment, as the claimers see it: never more than what the ledger has running.
#[derive(Default)]
struct Seen {
    accounts: HashMap<AccountId, usize>,
    databases: HashSet<DatabaseId>,
    claimed: HashSet<RequestId>,
    most: usize,
}

#[derive(Clone)]
struct Watch {
    seen: Arc<Mutex<Seen>>,
    caps: Arc<HashMap<AccountId, usize>>,
    settled: Arc<AtomicUsize>,
}

impl Watch {
    fn begins(&self, request: &Request) {
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.claimed.insert(request.id), "{} was claimed twice", request.id);
        assert!(seen.databases.insert(request.database), "{} runs twice", request.database_name);
        let running = seen.accounts.entry(request.account).or_default();
        *running += 1;
        assert!(*running <= self.caps[&request.account], "{} runs {running}", request.account_name);
        let all = seen.databases.len();
        seen.most = seen.most.max(all);
    }

    fn most(&self) -> usize {
        self.seen.lock().unwrap().most
    }

    fn ends(&self, request: &Request) {
        let mut seen = self.seen.lock().unwrap();
        seen.databases.remove(&request.database);
        *seen.accounts.get_mut(&request.account).unwrap() -= 1;
    }
}

/// A worker with one slot: it claims, works until as many have run at once as the caps allow, delivers.
async fn work(ledger: Ledger, watch: Watch) {
    let worker = WorkerId::new();
    let started = Instant::now();
    while watch.settled.load(Ordering::Relaxed) < REQUESTS {
        assert!(started.elapsed() < LIMIT, "{} were settled", watch.settled.load(Ordering::Relaxed));
        let Some(claimed) = ledger.claim(worker, ATTEMPT).await.unwrap() else {
            // All that is queued waits for what runs.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        watch.begins(&claimed.request);
        ledger.renew(&claimed.lease, Stage::Restore, None).await.unwrap();
        while watch.most() < watch.caps.values().sum() {
            assert!(started.elapsed() < LIMIT, "only {} ran at once", watch.most());
            tokio::time::sleep(PAUSE).await;
        }
        watch.ends(&claimed.request);
        ledger.settle(&claimed.lease, &delivered(&claimed.lease)).await.unwrap();
        watch.settled.fetch_add(1, Ordering::Relaxed);
    }
}

/// Asks the ledger itself, over and over, whether anything runs that must not.
async fn inspect(desk: &Desk) -> ! {
    loop {
        let excess: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM accounts a WHERE max_running < (
                 SELECT count(*) FROM requests r WHERE r.account_id = a.id AND r.state = 'running')",
        )
        .fetch_one(&desk.pool)
        .await
        .unwrap();
        assert_eq!(excess, 0);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn fill(desk: &Desk, bearers: &[Bearer]) {
    for number in 0..REQUESTS {
        // 5 and 12 have no common factor: every account has every database.
        let bearer = &bearers[number % ACCOUNTS];
        let database = format!("db {}", number % DATABASES);
        let request = desk.new_request(bearer, &wish(&database, uplift_core::Purpose::Test)).await;
        desk.ledger.uploaded(request, &source(), "customer").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_claims_everything_once_and_within_every_cap() {
    with_desk(async |desk| {
        let mut bearers = Vec::new();
        let mut caps = HashMap::new();
        for number in 0..ACCOUNTS {
            let name = format!("account {number}");
            let bearer = desk.customer(&name).await;
            desk.ledger.set_max_running(&name, number as i32 + 1).await.unwrap();
            caps.insert(bearer.account, number + 1);
            bearers.push(bearer);
        }
        fill(desk, &bearers).await;

        let watch = Watch { seen: Arc::default(), caps: Arc::new(caps), settled: Arc::default() };
        // Two pools, as two worker processes have.
        let second = Ledger::connect(&desk.url.clone().into()).await.unwrap();
        let crowd = join_all((0..CLAIMERS).map(|number| {
            let ledger = if number % 2 == 0 { desk.ledger.clone() } else { second.clone() };
            tokio::spawn(work(ledger, watch.clone()))
        }));
        tokio::select! {
            ended = crowd => ended.into_iter().for_each(Result::unwrap),
            never = inspect(desk) => never,
        }
        assert_eq!(watch.seen.lock().unwrap().claimed.len(), REQUESTS);
        let wrong: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM requests r WHERE state <> 'delivered' OR epoch <> 1
                 OR (SELECT count(*) FROM audit WHERE request_id = r.id AND action = 'claim') <> 1",
        )
        .fetch_one(&desk.pool)
        .await
        .unwrap();
        assert_eq!(wrong, 0);
    })
    .await;
}
