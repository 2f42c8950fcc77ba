//! Sessions as they are read.

use sqlx::{Row as _, postgres::PgRow, types::Json};
use uplift_core::{Failure, InterventionId, SessionId};
use uuid::Uuid;

use super::{SessionEnded, SessionEntry, SessionLogLine};
use crate::ledger::{Ledger, LedgerError};

/// How many lines a page of a session's log holds.
const PAGE: i64 = 2000;

impl Ledger {
    /// One session.
    ///
    /// # Errors
    /// There is none of that id.
    pub async fn session(&self, id: SessionId) -> Result<SessionEntry, LedgerError> {
        let row =
            sqlx::query("SELECT * FROM sessions WHERE id = $1").bind(id.0).fetch_optional(&self.pool).await?;
        decode(&row.ok_or(LedgerError::NotFound("session"))?)
    }

    /// The sessions of an intervention, the newest first.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn sessions(&self, intervention: InterventionId) -> Result<Vec<SessionEntry>, LedgerError> {
        let rows = sqlx::query(
            "SELECT * FROM sessions WHERE intervention_id = $1 ORDER BY opened_at DESC LIMIT 100",
        )
        .bind(intervention.0)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(decode).collect()
    }

    /// Lines of a session's log behind a line, at most 2,000.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn session_lines(
        &self,
        id: SessionId,
        number: u64,
    ) -> Result<Vec<SessionLogLine>, LedgerError> {
        let rows = sqlx::query(
            "SELECT number, typed, line FROM session_lines WHERE session_id = $1 AND number > $2
             ORDER BY number LIMIT $3",
        )
        .bind(id.0)
        .bind(number.cast_signed())
        .bind(PAGE)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let Json(line) = row.try_get("line")?;
                let number = row.try_get::<i64, _>("number")?.cast_unsigned();
                Ok(SessionLogLine { number, typed: row.try_get("typed")?, line })
            })
            .collect()
    }
}

fn decode(row: &PgRow) -> Result<SessionEntry, LedgerError> {
    let ended = match row.try_get("ended_at")? {
        Some(at) => Some(SessionEnded {
            at,
            outcome: row.try_get::<String, _>("outcome")?.parse().map_err(LedgerError::Unreadable)?,
            message: row.try_get::<Option<String>, _>("message")?.unwrap_or_default(),
            failure: row.try_get::<Option<Json<Failure>>, _>("failure")?.map(|Json(failure)| failure),
        }),
        None => None,
    };
    Ok(SessionEntry {
        id: SessionId(row.try_get::<Uuid, _>("id")?),
        intervention: InterventionId(row.try_get("intervention_id")?),
        kind: row.try_get::<String, _>("kind")?.parse().map_err(LedgerError::Unreadable)?,
        writable: row.try_get("writable")?,
        opened_at: row.try_get("opened_at")?,
        opened_by: row.try_get("opened_by")?,
        started_at: row.try_get("started_at")?,
        ended,
    })
}
