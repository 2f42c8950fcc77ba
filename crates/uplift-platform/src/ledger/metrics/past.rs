//! What has ended: counted once, and remembered by whoever asks, so that a scrape costs what has happened since.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{Durations, SNAPSHOT, Sample, labels};
use crate::ledger::{Ledger, LedgerError};

/// What ended so long ago is on record for good: no transaction of ours is open for so long.
const SETTLED: TimeDelta = TimeDelta::minutes(5);

/// How much has to be settled before it is counted.
const WORTH_IT: TimeDelta = TimeDelta::minutes(1);

const FINISHED: &str = "
    SELECT state, purpose, '', count(*)::float8 FROM requests
    WHERE NOT canary AND finished_at > $1 AND finished_at <= $2 GROUP BY 1, 2";

/// Of those that have ended. The product is the one that was known when the deadline passed: what has counted once has to
/// stay what it was.
const SLA_EVENTS: &str = "
    SELECT CASE WHEN r.accepted_test IS NOT NULL OR r.detected_at <= r.deadline THEN coalesce(r.product, p.product, 'unknown')
                ELSE 'unknown' END,
        r.purpose, CASE WHEN r.finished_at > r.deadline THEN 'breached' ELSE 'met' END, count(*)::float8
    FROM requests r LEFT JOIN packs p ON p.digest = r.pack_digest
    WHERE NOT r.canary AND r.finished_at > $1 AND r.finished_at <= $2 AND (r.state = 'delivered' OR r.finished_at > r.deadline)
    GROUP BY 1, 2, 3";

/// Canaries are few: leaving them out costs less than joining everybody's requests.
const ATTEMPTS: &str = "
    SELECT outcome, count(*)::float8 FROM attempts a
    WHERE ended_at > $1 AND ended_at <= $2 AND outcome IS NOT NULL
      AND NOT EXISTS (SELECT FROM requests c WHERE c.canary AND c.id = a.request_id) GROUP BY 1";

/// The product is certain where the hop is: before that, it may become known afterwards.
const FAILURES: &str = "
    SELECT a.outcome, CASE WHEN hop = '' THEN '' ELSE coalesce(r.product, '') END, hop, count(*)::float8
    FROM attempts a JOIN requests r ON r.id = a.request_id,
        LATERAL (SELECT coalesce(a.failure ->> 'step', a.failure ->> 'place') AS script) AS failed,
        LATERAL (SELECT coalesce(substring(script FROM '^([^/]+-[^/]+)/'), '') AS hop) AS within
    WHERE NOT r.canary AND a.ended_at > $1 AND a.ended_at <= $2 AND a.failure IS NOT NULL GROUP BY 1, 2, 3";

const CLOSED: &str = "
    SELECT outcome, count(*)::float8 FROM interventions i
    WHERE closed_at > $1 AND closed_at <= $2
      AND NOT EXISTS (SELECT FROM requests c WHERE c.canary AND c.id = i.request_id) GROUP BY 1";

const RESTORED: &str = "
    SELECT coalesce(sum(r.source_bytes), 0)::float8 FROM stages s JOIN requests r ON r.id = s.request_id
    WHERE NOT r.canary AND s.stage = 'restore' AND s.ended_at > $1 AND s.ended_at <= $2 HAVING count(*) > 0";

const REQUEST_DURATIONS: &str = "
    SELECT product, purpose, edges, count(*), sum(seconds)
    FROM (SELECT coalesce(product, 'unknown') AS product, purpose,
              extract(epoch FROM finished_at - promised_from)::float8 AS seconds
          FROM requests
          WHERE NOT canary AND finished_at > $1 AND finished_at <= $2 AND state = 'delivered') AS delivered,
        width_bucket(-seconds, $3) AS edges
    GROUP BY 1, 2, 3";

const WAITS: &str = "
    SELECT purpose, edges, count(*), sum(seconds)
    FROM (SELECT purpose, extract(epoch FROM started_at - promised_from)::float8 AS seconds
          FROM requests
          WHERE NOT canary AND started_at > $1 AND started_at <= $2 AND promised_from IS NOT NULL) AS begun,
        width_bucket(-seconds, $3) AS edges
    GROUP BY 1, 2";

const STAGE_DURATIONS: &str = "
    SELECT stage, edges, count(*), sum(seconds)
    FROM (SELECT stage, extract(epoch FROM ended_at - started_at)::float8 AS seconds
          FROM stages s
          WHERE ended_at > $1 AND ended_at <= $2
            AND NOT EXISTS (SELECT FROM requests c WHERE c.canary AND c.id = s.request_id)) AS ended,
        width_bucket(-seconds, $3) AS edges
    GROUP BY 1, 2";

/// Not of what customers bring: names of theirs are no labels.
const STEP_DURATIONS: &str = "
    SELECT product, hop, step, edges, count(*), sum(seconds)
    FROM (SELECT coalesce(r.product, 'unknown') AS product, split_part(s.step, '/', 1) AS hop,
              split_part(s.step, '/', 2) AS step, s.millis / 1000.0::float8 AS seconds
          FROM steps s JOIN requests r ON r.id = s.request_id
          WHERE NOT r.canary AND s.ended_at > $1 AND s.ended_at <= $2 AND s.millis IS NOT NULL AND s.step LIKE '%-%/%'
            AND s.step NOT LIKE 'custom/%') AS ended,
        width_bucket(-seconds, $3) AS edges
    GROUP BY 1, 2, 3, 4";

/// What copies of databases before steps have taken, in bytes, and how long, in seconds.
const COPIES: &str = "
    SELECT kind, sum(amount)::float8
    FROM attempts a JOIN steps s ON s.request_id = a.request_id AND s.epoch = a.epoch,
        LATERAL (VALUES ('bytes', s.checkpoint_bytes::float8), ('seconds', s.checkpoint_millis / 1000.0::float8))
            AS cost (kind, amount)
    WHERE a.ended_at > $1 AND a.ended_at <= $2 AND s.checkpoint_bytes IS NOT NULL
      AND NOT EXISTS (SELECT FROM requests c WHERE c.canary AND c.id = a.request_id) GROUP BY 1";

/// How attempts end that failed through no fault of a dump or a script, in the words of [`uplift_core::Failure`]. They begin at
/// 0, as deliveries do: a rate does not see the first event of a series that starts at 1, and for these the first one counts.
const OURS: [&str; 6] =
    ["lease_lost", "infrastructure", "released", "deadline_passed", "out_of_memory", "out_of_disk"];

type Counts = BTreeMap<Vec<String>, f64>;
type Spans = BTreeMap<Vec<String>, (Vec<u64>, f64)>;

/// Totals of what has ended within some time.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) finished: Counts,
    pub(super) sla_events: Counts,
    pub(super) attempts: Counts,
    pub(super) failures: Counts,
    pub(super) closed: Counts,
    pub(super) restored: Counts,
    pub(super) copies: Counts,
    pub(super) request_durations: Spans,
    pub(super) waits: Spans,
    pub(super) stage_durations: Spans,
    pub(super) step_durations: Spans,
}

/// What was counted up to some time. It begins with nothing, and may be thrown away at any time: it is counted again.
#[derive(Clone, Debug)]
pub struct Past {
    edges: Vec<f64>,
    pub(super) until: DateTime<Utc>,
    pub(super) totals: Totals,
}

impl Past {
    /// Nothing yet. `edges` are the upper ends of the buckets for durations, in seconds, ascending.
    #[must_use]
    pub fn new(edges: &[f64]) -> Self {
        let failures = OURS.map(|class| (vec![class.to_owned(), String::new(), String::new()], 0.0));
        let attempts = [&["delivered"][..], &OURS].concat().into_iter();
        let attempts = attempts.map(|outcome| (vec![outcome.to_owned()], 0.0)).collect();
        let totals = Totals { failures: failures.into(), attempts, ..Totals::default() };
        Self { edges: edges.to_vec(), until: DateTime::UNIX_EPOCH, totals }
    }

    /// What has ended since, with what is remembered.
    pub(super) async fn with_the_rest(
        &self,
        connection: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<Totals, LedgerError> {
        let mut totals = self.totals.clone();
        // What has ended by now, and a little more: statements of one snapshot have one time.
        totals.add(connection, &self.edges, (self.until, now + TimeDelta::days(1))).await?;
        Ok(totals)
    }
}

impl Ledger {
    /// Counts what has ended since, but for the last five minutes. The first time that is everything: some seconds for a
    /// million requests.
    ///
    /// # Errors
    /// The ledger's; what was counted before is as it was.
    pub async fn catch_up(&self, past: &mut Past) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin_with(SNAPSHOT).await?;
        let now: DateTime<Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&mut *tx).await?;
        let until = now - SETTLED;
        if until - past.until < WORTH_IT {
            return Ok(());
        }
        let mut totals = past.totals.clone();
        totals.add(&mut tx, &past.edges, (past.until, until)).await?;
        (past.totals, past.until) = (totals, until);
        Ok(())
    }
}

impl Totals {
    async fn add(
        &mut self,
        connection: &mut PgConnection,
        edges: &[f64],
        within: (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<(), LedgerError> {
        for (sql, into) in [
            (FINISHED, &mut self.finished),
            (SLA_EVENTS, &mut self.sla_events),
            (ATTEMPTS, &mut self.attempts),
            (FAILURES, &mut self.failures),
            (CLOSED, &mut self.closed),
            (RESTORED, &mut self.restored),
            (COPIES, &mut self.copies),
        ] {
            let rows = sqlx::query(sql).bind(within.0).bind(within.1).fetch_all(&mut *connection).await?;
            count(&rows, into)?;
        }
        // width_bucket puts what lies on a threshold above it. Turned upside down, it lies below, as a bucket's upper
        // end has to: what took exactly two hours took at most two hours.
        let thresholds: Vec<f64> = edges.iter().rev().map(|edge| -edge).collect();
        for (sql, into) in [
            (REQUEST_DURATIONS, &mut self.request_durations),
            (WAITS, &mut self.waits),
            (STAGE_DURATIONS, &mut self.stage_durations),
            (STEP_DURATIONS, &mut self.step_durations),
        ] {
            let query = sqlx::query(sql).bind(within.0).bind(within.1).bind(&thresholds);
            sort(&query.fetch_all(&mut *connection).await?, edges.len(), into)?;
        }
        Ok(())
    }
}

/// Rows of labels, and a figure behind them.
fn count(rows: &[PgRow], into: &mut Counts) -> Result<(), LedgerError> {
    for row in rows {
        let last = row.len().saturating_sub(1);
        *into.entry(labels(row, last)?).or_default() += row.try_get::<f64, _>(last)?;
    }
    Ok(())
}

/// Rows of labels, and behind them one bucket: how many edges are at or above it, its count, and its sum.
fn sort(rows: &[PgRow], edges: usize, into: &mut Spans) -> Result<(), LedgerError> {
    for row in rows {
        let first = row.len().saturating_sub(3);
        let above = usize::try_from(row.try_get::<i32, _>(first)?).unwrap_or(0);
        let (buckets, sum) = into.entry(labels(row, first)?).or_insert_with(|| (vec![0; edges + 1], 0.0));
        buckets[edges.saturating_sub(above)] += row.try_get::<i64, _>(first + 1)?.cast_unsigned();
        *sum += row.try_get::<f64, _>(first + 2)?;
    }
    Ok(())
}

pub(super) fn samples(counts: Counts) -> Vec<Sample> {
    counts.into_iter().map(|(labels, value)| Sample { labels, value }).collect()
}

pub(super) fn durations(spans: Spans) -> Vec<Durations> {
    spans.into_iter().map(|(labels, (buckets, sum))| Durations { labels, buckets, sum }).collect()
}
