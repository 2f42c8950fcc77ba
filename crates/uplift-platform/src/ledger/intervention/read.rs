//! Interventions as they are read.

use serde_json::Value;
use sqlx::{Row as _, postgres::PgRow, types::Json};
use uplift_core::{Epoch, InterventionId, PackDigest, RequestId, TokenId};

use super::{Closed, Entry, Intervention, Which};
use crate::ledger::{Ledger, LedgerError, LogLine};

/// How many are listed at most.
const LIST: i64 = 500;

/// How many lines of the log before the failure belong to it.
const LINES: usize = 200;

const SELECT: &str = "
    SELECT i.*, r.purpose, r.target, r.source_version, a.name AS account_name, d.name AS database_name,
        t.checkpoint, i.claimed_until > now() AS claimed,
        alike.databases, alike.accounts
    FROM interventions i
    JOIN requests r ON r.id = i.request_id
    JOIN accounts a ON a.id = r.account_id
    JOIN databases d ON d.id = r.database_id
    JOIN attempts t ON t.request_id = i.request_id AND t.epoch = i.epoch
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT o.database_id) AS databases, count(DISTINCT o.account_id) AS accounts
        FROM interventions j JOIN requests o ON o.id = j.request_id
        WHERE j.fingerprint = i.fingerprint AND j.closed_at IS NULL AND (NOT o.canary OR o.id = i.request_id)) alike";

impl Ledger {
    /// Interventions by the time that is left until the promise to the customer breaks; at most 500.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn interventions(&self, which: &Which) -> Result<Vec<Intervention>, LedgerError> {
        let sql = format!(
            "{SELECT}
             WHERE ($1 OR i.closed_at IS NULL) AND ($2::text IS NULL OR i.fingerprint = $2)
               AND ($3::uuid IS NULL OR i.engineer_id = $3 AND i.claimed_until > now())
               AND ($4::uuid IS NULL OR i.request_id = $4)
             ORDER BY i.closed_at DESC NULLS FIRST, i.due_at, i.id LIMIT $5"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(which.closed)
            .bind(which.fingerprint.as_deref())
            .bind(which.claimed_by.map(|token| token.0))
            .bind(which.request.map(|request| request.0))
            .bind(LIST)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(decode).collect()
    }

    /// One intervention.
    ///
    /// # Errors
    /// There is none of that id.
    pub async fn intervention(&self, id: InterventionId) -> Result<Intervention, LedgerError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE i.id = $1")))
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await?;
        decode(&row.ok_or(LedgerError::NotFound("intervention"))?)
    }

    /// What was said and done about an intervention, in the order of time.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn history(&self, id: InterventionId) -> Result<Vec<Entry>, LedgerError> {
        let rows = sqlx::query(
            "SELECT u.at, u.actor AS by, replace(u.action, 'intervention_', '') AS what, u.detail ->> 'text' AS text
             FROM audit u JOIN interventions i ON i.request_id = u.request_id
             WHERE i.id = $1 AND u.detail ->> 'intervention' = $1::text
             ORDER BY u.id",
        )
        .bind(id.0)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let (at, by) = (row.try_get("at")?, row.try_get("by")?);
                Ok(Entry { at, by, what: row.try_get("what")?, text: row.try_get("text")? })
            })
            .collect()
    }

    /// The last 200 lines of the attempt that failed, each with its number.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn last_lines(
        &self,
        request: RequestId,
        epoch: Epoch,
    ) -> Result<Vec<(u64, LogLine)>, LedgerError> {
        // A chunk holds one line at least.
        let rows = sqlx::query(
            "SELECT first_line, lines FROM log_chunks WHERE request_id = $1 AND epoch = $2
             ORDER BY first_line DESC LIMIT $3",
        )
        .bind(request.0)
        .bind(epoch.0)
        .bind(i64::try_from(LINES).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        let mut lines = Vec::new();
        for row in rows.iter().rev() {
            let first = row.try_get::<i64, _>("first_line")?.cast_unsigned();
            let Json(chunk) = row.try_get::<Json<Vec<LogLine>>, _>("lines")?;
            lines.extend((first..).zip(chunk));
        }
        Ok(lines.split_off(lines.len().saturating_sub(LINES)))
    }
}

fn decode(row: &PgRow) -> Result<Intervention, LedgerError> {
    let unreadable = |error: serde_json::Error| LedgerError::Unreadable(error.to_string());
    let claimed = row.try_get::<Option<bool>, _>("claimed")? == Some(true);
    let closed = match row.try_get("closed_at")? {
        Some(at) => Some(Closed {
            at,
            by: row.try_get("closed_by")?,
            outcome: row.try_get("outcome")?,
            reason: row.try_get("reason")?,
        }),
        None => None,
    };
    Ok(Intervention {
        id: InterventionId(row.try_get("id")?),
        request: RequestId(row.try_get("request_id")?),
        epoch: Epoch(row.try_get("epoch")?),
        account_name: row.try_get("account_name")?,
        database_name: row.try_get("database_name")?,
        purpose: row.try_get::<String, _>("purpose")?.parse().map_err(LedgerError::Unreadable)?,
        target: row.try_get::<String, _>("target")?.parse().map_err(LedgerError::Unreadable)?,
        product: row.try_get("product")?,
        source_version: row.try_get("source_version")?,
        pack: row.try_get::<Option<String>, _>("pack_digest")?.map(PackDigest),
        hop: row.try_get("hop")?,
        step: row.try_get("step")?,
        failure: serde_json::from_value(row.try_get("failure")?).map_err(unreadable)?,
        fingerprint: row.try_get("fingerprint")?,
        pattern: row.try_get("pattern")?,
        opened_at: row.try_get("opened_at")?,
        due_at: row.try_get("due_at")?,
        engineer: if claimed {
            Some((TokenId(row.try_get("engineer_id")?), row.try_get("engineer")?))
        } else {
            None
        },
        claimed_until: if claimed { row.try_get("claimed_until")? } else { None },
        note: row.try_get("note")?,
        closed,
        saved: row
            .try_get::<Option<Value>, _>("checkpoint")?
            .map(|saved| serde_json::from_value(saved).map_err(unreadable))
            .transpose()?,
        alike: (row.try_get("databases")?, row.try_get("accounts")?),
    })
}
