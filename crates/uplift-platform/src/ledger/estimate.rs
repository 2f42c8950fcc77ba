//! How long an upgrade will take, by how long those before it took: of this database first, else of others that went the
//! same way and were about as large.

use sqlx::{PgExecutor, Row as _};
use uplift_core::{RequestId, Version};
use uuid::Uuid;

use super::{Ledger, LedgerError, Request};

/// So many of others are worth a word; one of the database's own is.
const ENOUGH: i64 = 3;

/// How long an attempt takes, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Half of those before took no longer.
    pub p50: f64,
    /// Nine of ten took no longer.
    pub p90: f64,
    /// Whether those were of this very database.
    pub own: bool,
    /// How many those were.
    pub samples: u64,
}

/// What is to be estimated.
#[derive(Clone, Debug)]
pub struct Likeness<'a> {
    /// The database, where it is on record.
    pub database: Option<Uuid>,
    /// Such as `odoo`.
    pub product: &'a str,
    /// The version that it is at.
    pub from: &'a Version,
    /// The version to go to.
    pub to: &'a Version,
    /// The dump's length, in bytes; what is at most twice and at least half as long is about as large.
    pub bytes: u64,
}

impl Ledger {
    /// How long it will take; `None` where too little is known.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn estimate(&self, likeness: &Likeness<'_>) -> Result<Option<Estimate>, LedgerError> {
        estimate(&self.pool, likeness).await
    }

    /// The same for a request whose product is known.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn estimate_of(&self, request: &Request) -> Result<Option<Estimate>, LedgerError> {
        let (Some(product), Some(from)) = (&request.product, &request.source_version) else {
            return Ok(None);
        };
        let bytes = request.source_bytes.unwrap_or(0);
        let database = Some(request.database.0);
        self.estimate(&Likeness { database, product, from, to: &request.target, bytes }).await
    }

    /// Which place in the queue a request has, from 1; `None` where it does not wait for a worker.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn place_in_queue(&self, request: RequestId) -> Result<Option<u64>, LedgerError> {
        let ahead: Option<i64> = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM requests o
                 WHERE o.state = 'queued' AND o.not_before <= now()
                   AND (o.purpose, o.uploaded_at, o.id) < (r.purpose, r.uploaded_at, r.id))
             FROM requests r WHERE r.id = $1 AND r.state = 'queued' AND r.not_before <= now()",
        )
        .bind(request.0)
        .fetch_optional(&self.pool)
        .await?;
        Ok(ahead.map(|ahead| ahead.cast_unsigned() + 1))
    }
}

pub(super) async fn estimate(
    executor: impl PgExecutor<'_>,
    likeness: &Likeness<'_>,
) -> Result<Option<Estimate>, LedgerError> {
    // The delivering attempt counts, not what was waited for before it, nor those that failed.
    let row = sqlx::query(
        "WITH own AS (
             SELECT extract(epoch FROM r.finished_at - a.started_at)::float8 AS seconds
             FROM requests r JOIN attempts a ON a.request_id = r.id AND a.epoch = r.epoch
             WHERE r.database_id = $1 AND r.state = 'delivered' AND r.product = $2 AND r.source_version = $3
               AND r.target = $4
             ORDER BY r.finished_at DESC LIMIT 20),
         alike AS (
             SELECT extract(epoch FROM r.finished_at - a.started_at)::float8 AS seconds
             FROM requests r JOIN attempts a ON a.request_id = r.id AND a.epoch = r.epoch
             WHERE r.state = 'delivered' AND NOT r.canary AND r.product = $2 AND r.source_version = $3 AND r.target = $4
               AND r.source_bytes BETWEEN $5 / 2 AND $5 * 2
             ORDER BY r.finished_at DESC LIMIT 200),
         figures AS (
             SELECT true AS own, count(*) AS samples, 1 AS enough,
                 percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY seconds) AS seconds FROM own
             UNION ALL
             SELECT false, count(*), $6, percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY seconds) FROM alike)
         SELECT own, samples, seconds FROM figures WHERE samples >= enough ORDER BY own DESC LIMIT 1",
    )
    .bind(likeness.database)
    .bind(likeness.product)
    .bind(likeness.from.as_str())
    .bind(likeness.to.as_str())
    .bind(likeness.bytes.cast_signed())
    .bind(ENOUGH)
    .fetch_optional(executor)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let [p50, p90] = <[f64; 2]>::try_from(row.try_get::<Vec<f64>, _>("seconds")?)
        .map_err(|_| LedgerError::Unreadable("an estimate without two ends".into()))?;
    let samples = row.try_get::<i64, _>("samples")?.cast_unsigned();
    Ok(Some(Estimate { p50, p90, own: row.try_get("own")?, samples }))
}
