//! What the ledger tells an exporter: counts and durations, never who or which.
//!
//! Everything is derived from rows, in one snapshot, so that several exporters publish the same totals. What has ended does
//! not change any more, so it is counted once ([`Past`]). Labels are the ledger's own words, handed on as they are: a word
//! that is newer than this program is no error here.

mod now;
mod past;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Row as _, postgres::PgRow};

use super::{Ledger, LedgerError};

pub use past::Past;

/// Figures of one moment. What is empty has nothing to tell. Points in time are in seconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Requests, by state, purpose and, of those to which something is promised, how that stands: `ok`, `at_risk` (by the
    /// estimate for nine in ten, or since less than a sixth of the promise is left), `predicted_breach` (by the estimate for half of
    /// them), `breached`.
    pub requests: Vec<Sample>,
    /// The earliest deadline that is still ahead, among the requests whose upload is complete and that have not ended.
    pub earliest_deadline: Option<f64>,
    /// The least time that is left between an estimated end and its deadline, in seconds; negative where it comes too late.
    pub worst_slack: Option<f64>,
    /// When the oldest running attempt began, by the stage that it is in.
    pub oldest_running: Vec<Sample>,
    /// Since when the request waits that was not begun although it could be, by purpose.
    pub oldest_queued: Vec<Sample>,
    /// When the running attempt that has not gone on for the longest time went on last.
    pub oldest_progress: Option<f64>,
    /// When an attempt began last.
    pub last_claim: Option<f64>,
    /// The least time that is left of a lease, in seconds.
    pub lease_slack: Option<f64>,
    /// From the upload's completion to delivery, by product and purpose.
    pub request_durations: Vec<Durations>,
    /// From the promise's beginning to the first attempt, by purpose.
    pub waits: Vec<Durations>,
    /// Stages that have ended well, by stage.
    pub stage_durations: Vec<Durations>,
    /// Steps of packs that have ended well, by product, hop and step.
    pub step_durations: Vec<Durations>,
    /// How far estimates were off, as a part of what was expected, by product: the median of the last 100 requests that were
    /// delivered and had one.
    pub estimate_errors: Vec<Sample>,
    /// Workers on record, by state (`alive`, `draining`, `gone`) and version.
    pub workers: Vec<Sample>,
    /// Slots of the workers that are not gone, by state (`free`, `busy`); a draining worker has none free.
    pub slots: Vec<Sample>,
    /// Promises kept and broken, by product, purpose and outcome (`met`, `breached`).
    pub sla_events: Vec<Sample>,
    /// Attempts that have ended, by outcome.
    pub attempts: Vec<Sample>,
    /// Attempts that have ended without a result, by the failure's code, product and hop; the latter two are empty where it
    /// failed outside the hops.
    pub failures: Vec<Sample>,
    /// What waits for a person, by whether one has claimed it (`claimed`, `unclaimed`), and since when.
    pub interventions: Vec<Sample>,
    /// When the oldest of them was opened.
    pub oldest_intervention: Vec<Sample>,
    /// Interventions that are over, by outcome.
    pub closed_interventions: Vec<Sample>,
    /// Hops that are held, and requests that wait for them.
    pub held: (u64, u64),
    /// What was restored, in bytes.
    pub restored_bytes: Vec<Sample>,
    /// What is to be told and is due, by its way (`mail`, `webhook`); and since when.
    pub notifications: Vec<Sample>,
    /// When the oldest of them was due.
    pub oldest_notification: Vec<Sample>,
    /// Requests of which something is kept for too long, and since when.
    pub retention: Option<(f64, f64)>,
    /// Attempts that have left something behind which is not removed yet, and when the oldest ended.
    pub unswept: Option<(f64, f64)>,
    /// States before a step that failed, saved and not yet removed, in bytes.
    pub saved_bytes: u64,
    /// Copies of databases before steps, of attempts that have ended: what they took (`bytes`), and how long (`seconds`).
    pub copies: Vec<Sample>,
    /// When the first canary was handed in; when the last one succeeded, and how long that took from handing in to having the
    /// result, in seconds.
    pub canary: Option<(f64, Option<f64>, Option<f64>)>,
}

/// A figure and what it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// In the order that the field's documentation names.
    pub labels: Vec<String>,
    /// How many; or when, where the field says so.
    pub value: f64,
}

/// How long things took, sorted into buckets.
#[derive(Clone, Debug, PartialEq)]
pub struct Durations {
    /// In the order that the field's documentation names.
    pub labels: Vec<String>,
    /// How many fell into each bucket: one bucket for each edge, which belongs to it, and one for what is
    /// beyond the last.
    pub buckets: Vec<u64>,
    /// All of them together, in seconds.
    pub sum: f64,
}

/// How long what belongs to a request that has ended is kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Its dump.
    pub source: Duration,
    /// Everything else.
    pub result: Duration,
}

/// One snapshot for all figures. A plan for any span of time reads hours of what has ended in order to count the last minutes,
/// and costs 40 ms more beside a million requests than planning anew; compiling a query takes longer than running it.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off";

impl Ledger {
    /// The figures of this moment, for somebody who remembers what has ended: see [`Ledger::catch_up`].
    ///
    /// # Errors
    /// The ledger's.
    pub async fn metrics(&self, past: &Past, kept: Kept) -> Result<Metrics, LedgerError> {
        let mut tx = self.pool.begin_with(SNAPSHOT).await?;
        // What takes longer helps nobody.
        sqlx::query("SET LOCAL statement_timeout = '3s'").execute(&mut *tx).await?;
        let now: DateTime<Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&mut *tx).await?;
        let ended = past.with_the_rest(&mut tx, now).await?;
        let mut metrics = now::metrics(&mut tx, &ended, kept).await?;
        metrics.requests.extend(past::samples(ended.finished));
        metrics.attempts = past::samples(ended.attempts);
        metrics.failures = past::samples(ended.failures);
        metrics.closed_interventions = past::samples(ended.closed);
        metrics.copies = past::samples(ended.copies);
        metrics.restored_bytes = past::samples(ended.restored);
        metrics.request_durations = past::durations(ended.request_durations);
        metrics.waits = past::durations(ended.waits);
        metrics.stage_durations = past::durations(ended.stage_durations);
        metrics.step_durations = past::durations(ended.step_durations);
        Ok(metrics)
    }
}

fn labels(row: &PgRow, count: usize) -> Result<Vec<String>, LedgerError> {
    Ok((0..count).map(|column| row.try_get(column)).collect::<Result<_, _>>()?)
}
