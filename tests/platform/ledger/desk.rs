//! What every test of the ledger stands on: a database of its own, and the short way to a request in some state.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, postgres::PgPoolOptions};
use uplift_core::{
    Clock, Failure, Lease, PackDigest, Purpose, RequestId, Scripts, WorkerId,
    event::Digest,
    failure::{Rejection, ScriptFailure},
    request::{Delivery, StateCode},
};
use uplift_platform::ledger::{
    Bearer, Claimed, Ledger, LedgerError, Role, Settlement, Source, Submission, Submitted, Swept,
};
use uplift_tests::{pack, repository, services::variable};
use uuid::Uuid;

/// How long an attempt may take where a test does not say otherwise.
pub(super) const ATTEMPT: Duration = Duration::from_secs(3 * 3600);

/// A ledger in a database of its own, and a way around the ledger's back.
pub(super) struct Desk {
    pub(super) ledger: Ledger,
    pub(super) pool: PgPool,
    pub(super) url: String,
}

/// Runs a test with a fresh ledger, which is removed at the end, whatever the end is.
pub(super) async fn with_desk(test: impl AsyncFnOnce(&Desk)) {
    with_database(async |url| {
        let ledger = Ledger::migrate(&url.clone().into()).await.expect("migrate a fresh database");
        let pool = PgPoolOptions::new().max_connections(4).connect(&url).await.unwrap();
        test(&Desk { ledger, pool, url }).await;
    })
    .await;
}

/// Runs a test with the URL of an empty database.
pub(super) async fn with_database(test: impl AsyncFnOnce(String)) {
    let admin = variable("UPLIFT_TEST_LEDGER_URL");
    let name = format!("ledger_test_{}", Uuid::now_v7().simple());
    let mut connection = PgConnection::connect(&admin).await.expect("reach the suite's Postgres");
    execute(&mut connection, &format!("CREATE DATABASE {name}")).await;
    let (server, _) = admin.rsplit_once('/').expect("a URL that ends in a database");
    let outcome = AssertUnwindSafe(test(format!("{server}/{name}"))).catch_unwind().await;
    execute(&mut connection, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

impl Desk {
    /// A customer of an account, which is made where it does not exist.
    pub(super) async fn customer(&self, account: &str) -> Bearer {
        let expires = Clock::System.now() + Duration::from_secs(3600);
        let issued =
            self.ledger.issue_token(account, Role::Customer, "test", expires, "tests").await.unwrap();
        self.ledger.bearer(&issued.secret).await.unwrap().expect("a fresh token is valid")
    }

    /// A test request whose upload has not come.
    pub(super) async fn submitted(&self, bearer: &Bearer, database: &str) -> RequestId {
        self.new_request(bearer, &wish(database, Purpose::Test)).await
    }

    /// A request of any kind, which has to be new.
    pub(super) async fn new_request(&self, bearer: &Bearer, wish: &Submission) -> RequestId {
        match self.ledger.submit(bearer, wish).await.unwrap() {
            Submitted::New(request) => request.id,
            Submitted::Known(request) => panic!("{} is no new request", request.id),
        }
    }

    /// A test request that can be claimed.
    pub(super) async fn queued(&self, bearer: &Bearer, database: &str) -> RequestId {
        let request = self.submitted(bearer, database).await;
        self.ledger.uploaded(request, &source(), "customer").await.unwrap();
        request
    }

    /// A request that a worker has just claimed: the only one that can be.
    pub(super) async fn running(&self, bearer: &Bearer, database: &str) -> Claimed {
        let request = self.queued(bearer, database).await;
        let claimed = self.claimed().await;
        assert_eq!(claimed.lease.request(), request, "another request was claimable");
        claimed
    }

    /// Whatever a new worker gets.
    pub(super) async fn claimed(&self) -> Claimed {
        self.claim(WorkerId::new()).await.expect("nothing is claimable")
    }

    pub(super) async fn claim(&self, worker: WorkerId) -> Option<Claimed> {
        self.ledger.claim(worker, ATTEMPT).await.unwrap()
    }

    pub(super) async fn settle(
        &self,
        lease: &Lease,
        settlement: &Settlement,
    ) -> Result<StateCode, LedgerError> {
        self.ledger.settle(lease, settlement).await
    }

    /// Settles with a failure, by whoever holds the lease.
    pub(super) async fn fail(&self, lease: &Lease, failure: Failure) -> StateCode {
        self.settle(lease, &Settlement::Failed(failure)).await.unwrap()
    }

    /// Delivers, by whoever holds the lease.
    pub(super) async fn deliver(&self, lease: &Lease) {
        assert_eq!(self.settle(lease, &delivered(lease)).await.unwrap(), StateCode::Delivered);
    }

    pub(super) async fn sweep(&self) -> Vec<Swept> {
        let swept = self.ledger.sweep_leases(ATTEMPT).await.unwrap();
        assert!(swept.failed.is_empty(), "{:?}", swept.failed);
        swept.ended
    }

    /// Changes one request behind the ledger's back, such as time would.
    pub(super) async fn set(&self, request: RequestId, assignments: &str) {
        let sql = format!("UPDATE requests SET {assignments} WHERE id = $1");
        let set = sqlx::query(AssertSqlSafe(sql)).bind(request.0).execute(&self.pool).await.unwrap();
        assert_eq!(set.rows_affected(), 1);
    }

    /// A request's lease runs out.
    pub(super) async fn expire(&self, request: RequestId) {
        self.set(request, "lease_until = now() - interval '1 second'").await;
    }

    /// A value about one request, as JSON: `sql` is an expression or a sub-select that may use `$1`.
    pub(super) async fn value(&self, request: RequestId, sql: &str) -> Value {
        let sql = format!("SELECT to_jsonb(({sql})) FROM requests r WHERE id = $1");
        sqlx::query_scalar::<_, Option<Value>>(AssertSqlSafe(sql))
            .bind(request.0)
            .fetch_one(&self.pool)
            .await
            .unwrap()
            .unwrap_or(Value::Null)
    }

    pub(super) async fn row(&self, request: RequestId) -> Value {
        self.value(request, "r").await
    }

    pub(super) async fn state(&self, request: RequestId) -> StateCode {
        serde_json::from_value(self.value(request, "r.state").await).unwrap()
    }

    /// All that the ledger holds, apart from workers and tokens: to see that nothing was changed.
    pub(super) async fn everything(&self) -> Value {
        let tables = [
            "requests",
            "attempts",
            "stages",
            "steps",
            "log_chunks",
            "uploads",
            "databases",
            "audit",
            "interventions",
            "events",
            "held_hops",
            "overrides",
            "packs",
        ];
        let sums =
            tables.map(|table| format!("'{table}', (SELECT jsonb_agg(t ORDER BY t::text) FROM {table} t)"));
        let sql = format!("SELECT jsonb_build_object({})", sums.join(", "));
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }

    /// What the audit says about a request, in order.
    pub(super) async fn actions(&self, request: RequestId) -> Vec<String> {
        sqlx::query_scalar("SELECT action FROM audit WHERE request_id = $1 ORDER BY id")
            .bind(request.0)
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    /// Makes a pack the current one.
    pub(super) async fn push_pack(&self, name: &str) -> PackDigest {
        let digest = PackDigest::of(name.as_bytes());
        self.ledger.push_pack(&digest, &pack(&repository("deploy/packs/sample")), "operator").await.unwrap();
        digest
    }

    pub(super) async fn recall(&self, pack: &PackDigest) {
        sqlx::query("UPDATE packs SET recalled_at = now() WHERE digest = $1")
            .bind(&pack.0)
            .execute(&self.pool)
            .await
            .unwrap();
    }
}

/// A wish to take a database to 3.0.
pub(super) fn wish(database: &str, purpose: Purpose) -> Submission {
    Submission {
        request: RequestId::new(),
        database: database.to_owned(),
        purpose,
        target: "3.0".parse().unwrap(),
        source_name: "dump.sql.gz".into(),
        source_bytes: 4096,
        source_grows: false,
        booked_for: None,
        email: None,
        result_format: None,
        idempotency_key: None,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        upload_id: "upload".into(),
        scripts: None,
    }
}

/// Scripts as they are attached to a wish: what names them, and their upload.
pub(super) fn scripts(digit: &str) -> Option<(Scripts, String)> {
    Some((Scripts { bytes: 512, sha256: digit.repeat(64) }, format!("scripts {digit}")))
}

pub(super) fn source() -> Source {
    Source { bytes: 4096, etag: "\"etag\"".into(), sha256: None }
}

pub(super) fn delivered(lease: &Lease) -> Settlement {
    Settlement::Delivered(Delivery {
        epoch: lease.epoch(),
        result: "result.sql.gz".into(),
        digest: Digest { bytes: 5000, sha256: "ab".repeat(32) },
    })
}

pub(super) fn script_failed() -> Failure {
    Failure::ScriptFailed(ScriptFailure {
        step: "1.0-2.0/split-partners".into(),
        message: "it failed".into(),
        ..ScriptFailure::default()
    })
}

pub(super) fn infrastructure(place: &str) -> Failure {
    Failure::Infrastructure { place: place.into(), message: "it broke".into() }
}

pub(super) fn released() -> Failure {
    Failure::Released { reason: "the worker drains".into() }
}

pub(super) fn rejected() -> Failure {
    Failure::InputRejected(Rejection::new("this is no dump"))
}
