//! What a request has gone through: attempts, steps, and what people did about it.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uplift_core::{Epoch, RequestId, WorkerId};
use uuid::Uuid;

use super::{Entry, Ledger, LedgerError};

/// An attempt, as it is read back.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the ledger, described there")]
pub struct AttemptEntry {
    pub epoch: Epoch,
    pub worker: WorkerId,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub outcome: Option<String>,
    pub place: Option<String>,
    /// In the order in which they began.
    pub steps: Vec<StepEntry>,
}

/// A step of an attempt.
#[derive(Clone, Debug)]
pub struct StepEntry {
    /// Hop and name.
    pub step: String,
    /// How long it took, in milliseconds; `None` while it runs, or where it failed.
    pub millis: Option<u64>,
    /// The rows that it touched.
    pub rows: Option<i64>,
}

impl Ledger {
    /// All attempts of a request, the newest first.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn attempts(&self, request: RequestId) -> Result<Vec<AttemptEntry>, LedgerError> {
        let rows = sqlx::query("SELECT * FROM attempts WHERE request_id = $1 ORDER BY epoch DESC LIMIT 100")
            .bind(request.0)
            .fetch_all(&self.pool)
            .await?;
        let steps = sqlx::query(
            "SELECT epoch, step, millis, rows FROM steps WHERE request_id = $1 ORDER BY started_at, step",
        )
        .bind(request.0)
        .fetch_all(&self.pool)
        .await?;
        let mut attempts = Vec::with_capacity(rows.len());
        for row in rows {
            let epoch: i32 = row.try_get("epoch")?;
            let mut own = Vec::new();
            for step in &steps {
                if step.try_get::<i32, _>("epoch")? == epoch {
                    let millis = step.try_get::<Option<i64>, _>("millis")?.map(i64::cast_unsigned);
                    own.push(StepEntry { step: step.try_get("step")?, millis, rows: step.try_get("rows")? });
                }
            }
            attempts.push(AttemptEntry {
                epoch: Epoch(epoch),
                worker: WorkerId(row.try_get::<Uuid, _>("worker_id")?),
                started_at: row.try_get("started_at")?,
                ended_at: row.try_get("ended_at")?,
                outcome: row.try_get("outcome")?,
                place: row.try_get("place")?,
                steps: own,
            });
        }
        Ok(attempts)
    }

    /// Who did what about a request, the newest first, at most 200.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn audit(&self, request: RequestId) -> Result<Vec<Entry>, LedgerError> {
        let rows = sqlx::query(
            "SELECT at, actor, action, coalesce(detail ->> 'text', detail ->> 'reason') AS text
             FROM audit WHERE request_id = $1 ORDER BY id DESC LIMIT 200",
        )
        .bind(request.0)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let (at, by) = (row.try_get("at")?, row.try_get("actor")?);
                Ok(Entry { at, by, what: row.try_get("action")?, text: row.try_get("text")? })
            })
            .collect()
    }

    /// The number of the first line of a request's log that tells of an error.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn first_error(&self, request: RequestId) -> Result<Option<u64>, LedgerError> {
        let line: Option<i64> = sqlx::query_scalar(
            "SELECT c.first_line + l.place - 1
             FROM log_chunks c, jsonb_array_elements(c.lines) WITH ORDINALITY AS l (line, place)
             WHERE c.request_id = $1 AND c.lines @> '[{\"level\": \"error\"}]' AND l.line ->> 'level' = 'error'
             ORDER BY 1 LIMIT 1",
        )
        .bind(request.0)
        .fetch_optional(&self.pool)
        .await?;
        Ok(line.map(i64::cast_unsigned))
    }
}
