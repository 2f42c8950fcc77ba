//! Which workers there are.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uplift_core::WorkerId;

use super::{Ledger, LedgerError};

/// A worker that was not seen for this long is taken for gone, in seconds: the length of a lease.
pub(super) const GONE_SECONDS: f64 = 60.0;

/// What a worker says of itself.
#[derive(Clone, Debug)]
pub struct WorkerState {
    /// The process.
    pub id: WorkerId,
    /// The machine's name.
    pub host: String,
    /// The program's version.
    pub version: String,
    /// How many requests it takes at once.
    pub slots: i32,
    /// How many it has.
    pub busy: i32,
    /// It takes no more.
    pub draining: bool,
}

/// A worker as the ledger knows it.
#[derive(Clone, Debug)]
pub struct WorkerEntry {
    /// What it said last.
    pub state: WorkerState,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it said so.
    pub seen_at: DateTime<Utc>,
    /// Whether that is recent enough to believe.
    pub alive: bool,
}

impl Ledger {
    /// A worker's sign of life.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn heartbeat(&self, worker: &WorkerState) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO workers (id, host, version, slots, busy, draining) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (id) DO UPDATE SET
                 slots = $4, busy = $5, draining = $6, seen_at = now()",
        )
        .bind(worker.id.0)
        .bind(&worker.host)
        .bind(&worker.version)
        .bind(worker.slots)
        .bind(worker.busy)
        .bind(worker.draining)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A worker says good-bye.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn goodbye(&self, worker: WorkerId) -> Result<(), LedgerError> {
        sqlx::query("DELETE FROM workers WHERE id = $1").bind(worker.0).execute(&self.pool).await?;
        Ok(())
    }

    /// All workers on record, the living first.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn workers(&self) -> Result<Vec<WorkerEntry>, LedgerError> {
        let rows = sqlx::query(
            "SELECT *, seen_at > now() - make_interval(secs => $1) AS alive
             FROM workers ORDER BY alive DESC, host, started_at",
        )
        .bind(GONE_SECONDS)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(WorkerEntry {
                    state: WorkerState {
                        id: WorkerId(row.try_get("id")?),
                        host: row.try_get("host")?,
                        version: row.try_get("version")?,
                        slots: row.try_get("slots")?,
                        busy: row.try_get("busy")?,
                        draining: row.try_get("draining")?,
                    },
                    started_at: row.try_get("started_at")?,
                    seen_at: row.try_get("seen_at")?,
                    alive: row.try_get("alive")?,
                })
            })
            .collect()
    }

    /// Forgets workers that were not seen for a while.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn forget_workers(&self, unseen_for: Duration) -> Result<u64, LedgerError> {
        let forgotten = sqlx::query("DELETE FROM workers WHERE seen_at < now() - make_interval(secs => $1)")
            .bind(unseen_for.as_secs_f64())
            .execute(&self.pool)
            .await?;
        Ok(forgotten.rows_affected())
    }
}
