//! A request's own log: what its customer reads. Lines are numbered from 1 through all attempts.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{Row as _, types::Json};
use uplift_core::{Lease, RequestId, ansi, event::Level};

use super::{Ledger, LedgerError, json};

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was said.
    pub at: DateTime<Utc>,
    /// How loud.
    pub level: Level,
    /// What; its colours are those of a terminal.
    pub text: String,
}

impl fmt::Display for LogLine {
    /// `2026-11-21T05:48:00.123Z info text`, as the plain log has it: without colours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        write!(f, "{at} {} {}", self.level, ansi::without(&self.text))
    }
}

/// Some lines of a log.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// Each with its number.
    pub lines: Vec<(u64, LogLine)>,
}

/// How many chunks a page holds at most: a worker writes one a second, so that this is some minutes.
const PAGE: i64 = 256;

impl Ledger {
    /// Adds lines to the log of a request that is held.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`], or the ledger's.
    pub async fn append_log(&self, lease: &Lease, lines: &[LogLine]) -> Result<(), LedgerError> {
        if lines.is_empty() {
            // An empty chunk would take the number of the chunk behind it.
            return Ok(());
        }
        let inserted = sqlx::query(
            "WITH held AS (
                 UPDATE requests SET log_lines = log_lines + $4, progressed_at = now()
                 WHERE id = $1 AND epoch = $2 AND worker_id = $3 AND state = 'running'
                 RETURNING id, epoch, log_lines)
             INSERT INTO log_chunks (request_id, first_line, epoch, lines)
             SELECT id, log_lines - $4 + 1, epoch, $5 FROM held",
        )
        .bind(lease.request().0)
        .bind(lease.epoch().0)
        .bind(lease.worker().0)
        .bind(i64::try_from(lines.len()).unwrap_or(i64::MAX))
        .bind(json::storable(lines)?)
        .execute(&self.pool)
        .await?;
        if inserted.rows_affected() == 0 { Err(LedgerError::LeaseLost(lease.request())) } else { Ok(()) }
    }

    /// Lines behind a line, as many as a page holds; none means that nothing more was said yet.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn log_after(&self, request: RequestId, line: u64) -> Result<LogPage, LedgerError> {
        // The chunk that holds the line itself may go on behind it.
        let rows = sqlx::query(
            "SELECT first_line, lines FROM log_chunks
             WHERE request_id = $1 AND first_line >= coalesce(
                 (SELECT max(first_line) FROM log_chunks WHERE request_id = $1 AND first_line <= $2), 0)
             ORDER BY first_line LIMIT $3",
        )
        .bind(request.0)
        .bind(line.cast_signed())
        .bind(PAGE)
        .fetch_all(&self.pool)
        .await?;
        let mut page = LogPage::default();
        for row in rows {
            let first = row.try_get::<i64, _>("first_line")?.cast_unsigned();
            let Json(lines) = row.try_get::<Json<Vec<LogLine>>, _>("lines")?;
            let numbered = (first..).zip(lines).filter(|(number, _)| *number > line);
            page.lines.extend(numbered);
        }
        Ok(page)
    }
}
