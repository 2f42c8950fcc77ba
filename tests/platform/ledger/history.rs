//! Whatever customers, workers, sweeps and time do, in whatever order: the ledger does what the model does.

use std::time::Duration;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::Value;
use tokio::runtime::Handle;
use uplift_core::{
    Failure, Lease, RequestId, WorkerId,
    event::Stage,
    request::{StateCode, Transition},
};
use uplift_platform::ledger::{Bearer, LedgerError, Settlement};

use super::{
    desk::{ATTEMPT, Desk, delivered, infrastructure, rejected, released, script_failed, source, with_desk},
    model::{DATABASES, Expected, MAX_RUNNING, next},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// One thing that happens. A number is an index into whatever there is by then, modulo its length.
#[derive(Clone, Debug)]
enum Event {
    Submit {
        database: usize,
        production: bool,
    },
    Upload(usize),
    Claim,
    Renew {
        lease: usize,
        stage: usize,
    },
    Deliver {
        lease: usize,
    },
    Fail {
        lease: usize,
        how: usize,
    },
    Cancel(usize),
    Retry(usize),
    /// The lease of a running request runs out.
    Silence(usize),
    /// The attempt of a running request takes too long.
    Delay(usize),
    /// A queued request has waited long enough.
    Wait(usize),
    /// A request was submitted long ago.
    Age(usize),
    Sweep,
    SweepUploads,
}

fn event() -> impl Strategy<Value = Event> {
    let some = 0..1000_usize;
    prop_oneof![
        4 => (some.clone(), any::<bool>()).prop_map(|(database, production)| Event::Submit { database, production }),
        5 => some.clone().prop_map(Event::Upload),
        7 => Just(Event::Claim),
        2 => (some.clone(), some.clone()).prop_map(|(lease, stage)| Event::Renew { lease, stage }),
        2 => some.clone().prop_map(|lease| Event::Deliver { lease }),
        5 => (some.clone(), some.clone()).prop_map(|(lease, how)| Event::Fail { lease, how }),
        1 => some.clone().prop_map(Event::Cancel),
        2 => some.clone().prop_map(Event::Retry),
        3 => some.clone().prop_map(Event::Silence),
        1 => some.clone().prop_map(Event::Delay),
        3 => some.clone().prop_map(Event::Wait),
        1 => some.prop_map(Event::Age),
        4 => Just(Event::Sweep),
        1 => Just(Event::SweepUploads),
    ]
}

fn failure(how: usize) -> Failure {
    match how % 7 {
        0 => rejected(),
        1 => script_failed(),
        2 => released(),
        3 => Failure::Cancelled,
        4 => Failure::OutOfMemory { place: "restore".into() },
        place => infrastructure(["restore", "dump"][place - 5]),
    }
}

/// One history: an account of its own in the shared database, and what the model makes of it.
struct Play<'a> {
    desk: &'a Desk,
    bearer: Bearer,
    ids: Vec<RequestId>,
    expected: Vec<Expected>,
    /// All leases that ever were, most of them lost.
    leases: Vec<(usize, Lease)>,
    uploads: usize,
    /// Rows of what was delivered: they never change again.
    delivered: Vec<(usize, Value)>,
}

impl Play<'_> {
    async fn act(&mut self, event: &Event) {
        match *event {
            Event::Submit { database, production } => self.submit(database % DATABASES, production).await,
            Event::Claim => self.claim().await,
            Event::Renew { lease, stage } if !self.leases.is_empty() => self.renew(lease, stage).await,
            Event::Deliver { lease } if !self.leases.is_empty() => self.settle(lease, None).await,
            Event::Fail { lease, how } if !self.leases.is_empty() => {
                self.settle(lease, Some(failure(how))).await;
            }
            Event::Sweep => self.sweep().await,
            Event::SweepUploads => self.sweep_uploads().await,
            Event::Renew { .. } | Event::Deliver { .. } | Event::Fail { .. } => {}
            _ if self.ids.is_empty() => {}
            Event::Upload(index) | Event::Cancel(index) | Event::Retry(index) => self.ask(event, index).await,
            Event::Silence(index) | Event::Delay(index) | Event::Wait(index) | Event::Age(index) => {
                self.pass_time(event, index % self.ids.len()).await;
            }
        }
    }

    async fn submit(&mut self, database: usize, production: bool) {
        let request = self.desk.submitted(&self.bearer, &format!("db {database}")).await;
        if production {
            self.desk.set(request, "purpose = 'production'").await;
        }
        self.ids.push(request);
        self.expected.push(Expected::new(database, production));
    }

    /// What a person asks for.
    async fn ask(&mut self, event: &Event, index: usize) {
        let index = index % self.ids.len();
        let (id, ledger, request) = (self.ids[index], &self.desk.ledger, &mut self.expected[index]);
        let (allowed, result) = match event {
            Event::Upload(_) => {
                self.uploads += 1;
                (request.upload(self.uploads), ledger.uploaded(id, &source(), "customer").await)
            }
            Event::Cancel(_) => (request.cancel(), ledger.cancel(id, "customer").await),
            _ => (request.retry(), ledger.retry(id, "operator").await),
        };
        match result {
            Ok(()) => assert!(allowed, "{event:?} of request {index} was allowed"),
            Err(LedgerError::Conflict(_)) => assert!(!allowed, "{event:?} of request {index} was refused"),
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn claim(&mut self) {
        let worker = WorkerId::new();
        let claimed = self.desk.claim(worker).await;
        let expected = next(&self.expected);
        assert_eq!(
            claimed.as_ref().map(|claimed| claimed.lease.request()),
            expected.map(|index| self.ids[index])
        );
        if let (Some(claimed), Some(index)) = (claimed, expected) {
            self.expected[index].claim(worker);
            assert_eq!(claimed.lease.epoch().0, self.expected[index].claims());
            self.leases.push((index, claimed.lease));
        }
    }

    async fn renew(&mut self, lease: usize, stage: usize) {
        let (index, lease) = &self.leases[lease % self.leases.len()];
        let stage = Stage::ALL[stage % Stage::ALL.len()];
        let request = &mut self.expected[*index];
        match self.desk.ledger.renew(lease, stage, None).await {
            Ok(_) => {
                assert!(request.held_by(lease));
                request.stage = stage.as_str().into();
                request.lease_expired = false;
            }
            Err(LedgerError::LeaseLost(_)) => assert!(!request.held_by(lease)),
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn settle(&mut self, lease: usize, failure: Option<Failure>) {
        let (index, lease) = &self.leases[lease % self.leases.len()];
        let request = &mut self.expected[*index];
        let settlement = failure.clone().map_or_else(|| delivered(lease), Settlement::Failed);
        let again =
            failure.is_none() && request.state == StateCode::Delivered && request.claims() == lease.epoch().0;
        match self.desk.settle(lease, &settlement).await {
            Ok(state) if again => assert_eq!(state, StateCode::Delivered),
            Ok(state) => {
                assert!(request.held_by(lease));
                match &failure {
                    Some(failure) => request.fail(failure),
                    None => request.deliver(),
                }
                assert_eq!(state, request.state, "{failure:?}");
                if state == StateCode::Delivered {
                    self.delivered.push((*index, self.desk.row(self.ids[*index]).await));
                }
            }
            Err(LedgerError::LeaseLost(_)) => assert!(!again && !request.held_by(lease)),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Time passes for one request.
    async fn pass_time(&mut self, event: &Event, index: usize) {
        let request = &mut self.expected[index];
        let change = match (event, request.state) {
            (Event::Silence(_), StateCode::Running) => {
                request.lease_expired = true;
                "lease_until = now() - interval '1 second'"
            }
            (Event::Delay(_), StateCode::Running) => {
                request.late = true;
                "attempt_until = now() - interval '1 minute'"
            }
            (Event::Wait(_), StateCode::Queued) => {
                request.ready = true;
                "not_before = now() - interval '1 second'"
            }
            (Event::Age(_), StateCode::AwaitingUpload) => {
                request.stale = true;
                "created_at = now() - interval '25 hours'"
            }
            _ => return,
        };
        self.desk.set(self.ids[index], change).await;
    }

    async fn sweep(&mut self) {
        let mut swept = self.desk.sweep().await;
        for (id, request) in self.ids.iter().zip(&mut self.expected) {
            let Some(failure) = request.overdue(ATTEMPT.as_secs()) else { continue };
            let found = swept.iter().position(|swept| swept.request == *id).expect("it was not swept");
            let found = swept.swap_remove(found);
            request.fail(&failure);
            assert_eq!((found.failure, found.state), (failure, request.state));
            assert_eq!(found.epoch.0, request.claims());
        }
        assert!(swept.is_empty(), "swept although held: {swept:?}");
    }

    async fn sweep_uploads(&mut self) {
        let swept = self.desk.ledger.cancel_stale_uploads(DAY).await.unwrap();
        let stale = self.expected.iter_mut().filter(|request| request.stale);
        let cancelled = stale
            .filter(|request| request.state == StateCode::AwaitingUpload)
            .map(|request| assert!(request.cancel()))
            .count();
        assert_eq!(swept, cancelled as u64);
    }

    /// What holds after every event.
    async fn compare(&self) {
        let rows: Vec<(uuid::Uuid, String, i32)> =
            sqlx::query_as("SELECT id, state, epoch FROM requests WHERE account_id = $1 ORDER BY id")
                .bind(self.bearer.account.0)
                .fetch_all(&self.desk.pool)
                .await
                .unwrap();
        assert_eq!(rows.len(), self.ids.len());
        let mut running = Vec::new();
        for ((id, state, epoch), (expected_id, request)) in
            rows.iter().zip(self.ids.iter().zip(&self.expected))
        {
            assert_eq!(*id, expected_id.0);
            assert_eq!((state.as_str(), *epoch), (request.state.as_str(), request.claims()));
            if state == "running" {
                running.push(request.database);
            }
        }
        assert!(running.len() <= MAX_RUNNING);
        running.sort_unstable();
        assert!(running.windows(2).all(|two| two[0] != two[1]), "a database runs twice");
    }

    /// What holds at the end.
    async fn conclude(&self) {
        for (index, row) in &self.delivered {
            assert_eq!(self.desk.row(self.ids[*index]).await, *row, "a delivered request has changed");
        }
        for (id, request) in self.ids.iter().zip(&self.expected) {
            let audit: Vec<Transition> =
                self.desk.actions(*id).await.iter().filter_map(|action| transition(action)).collect();
            assert_eq!(audit, request.history);
            let end = audit.iter().try_fold(StateCode::AwaitingUpload, |state, step| state.after(*step));
            assert_eq!(end, Some(request.state), "the audit's chain is not legal: {audit:?}");
            let attempts = "SELECT jsonb_build_array(count(*), count(*) FILTER (WHERE ended_at IS NULL))
                            FROM attempts WHERE request_id = r.id";
            let open = i32::from(request.state == StateCode::Running);
            assert_eq!(self.desk.value(*id, attempts).await, serde_json::json!([request.claims(), open]));
        }
    }
}

fn transition(action: &str) -> Option<Transition> {
    Transition::ALL.into_iter().find(|transition| transition.as_str() == action)
}

async fn play(desk: &Desk, events: &[Event]) {
    // What an earlier history left behind would be claimed and swept by this one.
    sqlx::query(
        "UPDATE requests SET state = 'cancelled', outcome = NULL, worker_id = NULL, lease_until = NULL
         WHERE state NOT IN ('delivered', 'rejected', 'cancelled')",
    )
    .execute(&desk.pool)
    .await
    .unwrap();
    let account = format!("account {}", WorkerId::new());
    let bearer = desk.customer(&account).await;
    desk.ledger.set_max_running(&account, MAX_RUNNING as i32).await.unwrap();
    let (ids, expected, leases, delivered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut play = Play { desk, bearer, ids, expected, leases, uploads: 0, delivered };
    for event in events {
        play.act(event).await;
        play.compare().await;
    }
    play.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_goes_as_the_model_says() {
    with_desk(async |desk| {
        tokio::task::block_in_place(|| {
            let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
            TestRunner::new(config)
                .run(&prop::collection::vec(event(), 1..100), |events| {
                    Handle::current().block_on(play(desk, &events));
                    Ok(())
                })
                .unwrap();
        });
    })
    .await;
}
