//! What is to be told on the broker. It is written in the transaction of what it tells of, and removed once the broker
//! has it: so it is told at least once, and never of what did not happen.

use serde_json::Value;
use sqlx::{PgConnection, Row as _};

use super::{Ledger, LedgerError};

/// Something that happened. It names things, and holds nothing of a customer's data.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its number; told again, it has the same.
    pub id: i64,
    /// Such as `intervention.opened`.
    pub topic: String,
    /// What it is about.
    pub body: Value,
}

/// How many are told at once.
const BATCH: i64 = 100;

/// How long a dispatcher may take to tell what it has taken, in seconds, before another one does.
const TAKEN: f64 = 30.0;

/// Records that something happened.
pub(super) async fn tell(
    connection: &mut PgConnection,
    topic: &str,
    body: &Value,
) -> Result<(), LedgerError> {
    sqlx::query("INSERT INTO events (topic, body) VALUES ($1, $2)")
        .bind(topic)
        .bind(body)
        .execute(connection)
        .await?;
    Ok(())
}

impl Ledger {
    /// Takes what is still to be told, the oldest first, at most 100; nobody else gets it for half a minute.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn take_events(&self) -> Result<Vec<Told>, LedgerError> {
        let rows = sqlx::query(
            "WITH taken AS (
                 UPDATE events SET taken_until = now() + make_interval(secs => $2)
                 WHERE id IN (SELECT id FROM events WHERE taken_until IS NULL OR taken_until < now()
                              ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
                 RETURNING id, at, topic, body)
             SELECT id, topic, body || jsonb_build_object('id', id, 'at', at, 'event', topic) AS body
             FROM taken ORDER BY id",
        )
        .bind(BATCH)
        .bind(TAKEN)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let (id, topic, body) = (row.try_get("id")?, row.try_get("topic")?, row.try_get("body")?);
                Ok(Told { id, topic, body })
            })
            .collect()
    }

    /// The broker has these.
    ///
    /// # Errors
    /// The ledger's: they will be told again.
    pub async fn events_told(&self, ids: &[i64]) -> Result<(), LedgerError> {
        sqlx::query("DELETE FROM events WHERE id = ANY ($1)").bind(ids).execute(&self.pool).await?;
        Ok(())
    }
}
