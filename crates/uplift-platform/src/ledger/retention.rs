//! What is kept of a request that has ended, and until when. Its row and the audit stay.

use std::time::Duration;

use sqlx::Row as _;
use uplift_core::RequestId;
use uuid::Uuid;

use super::{Conflict, Ledger, LedgerError, transition};

/// A request of which something is kept for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outdated {
    /// Which.
    pub request: RequestId,
    /// Whether everything goes, not only what was handed in.
    pub whole: bool,
}

/// How many requests one sweep takes at once.
const BATCH: i64 = 100;

impl Ledger {
    /// The customer, or an operator, wants everything of a request gone that has ended. Once more is fine.
    ///
    /// # Errors
    /// It has not ended.
    pub async fn delete_request(&self, request: RequestId, actor: &str) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let state = transition::lock(&mut tx, request).await?;
            if !state.is_final() {
                return Err(Conflict::State { request, state, wish: "be deleted" }.into());
            }
            sqlx::query("UPDATE requests SET delete_by = coalesce(delete_by, $2), delete_at = coalesce(delete_at, now())
                 WHERE id = $1")
                .bind(request.0)
                .bind(actor)
                .execute(&mut *tx)
                .await?;
            Ok(())
        }
        .await;
        transition::end(tx, done).await
    }

    /// Requests that have ended so long ago, or whose customer wants it. What production was handed in stays beside its
    /// result, as a backup.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn outdated(&self, source: Duration, result: Duration) -> Result<Vec<Outdated>, LedgerError> {
        let rows = sqlx::query(
            "(SELECT id, true AS whole FROM requests WHERE delete_by IS NOT NULL AND deleted_at IS NULL LIMIT $3)
             UNION
             (SELECT id, true FROM requests
              WHERE deleted_at IS NULL AND state IN ('delivered', 'rejected', 'cancelled')
                AND finished_at < now() - make_interval(secs => $2) ORDER BY finished_at LIMIT $3)
             UNION
             (SELECT id, false FROM requests
              WHERE source_deleted_at IS NULL AND state IN ('delivered', 'rejected', 'cancelled')
                AND NOT (purpose = 'production' AND state = 'delivered')
                AND finished_at < now() - make_interval(secs => $1) ORDER BY finished_at LIMIT $3)
             ORDER BY whole DESC, id",
        )
        .bind(source.as_secs_f64())
        .bind(result.as_secs_f64())
        .bind(BATCH)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let request = RequestId(row.try_get::<Uuid, _>("id")?);
                Ok(Outdated { request, whole: row.try_get("whole")? })
            })
            .collect()
    }

    /// What was handed in is gone.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn source_deleted(&self, request: RequestId) -> Result<(), LedgerError> {
        sqlx::query(
            "WITH gone AS (
                 UPDATE requests SET source_deleted_at = now() WHERE id = $1 AND source_deleted_at IS NULL
                 RETURNING id)
             INSERT INTO audit (actor, action, request_id) SELECT 'retention', 'delete_source', id FROM gone",
        )
        .bind(request.0)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Every object of a request is gone. So are its log and what failures have quoted of its rows; the audit says who
    /// wanted that, or that it was time.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn deleted(&self, request: RequestId) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let gone = sqlx::query(
            "WITH gone AS (
                 UPDATE requests SET deleted_at = now(), source_deleted_at = coalesce(source_deleted_at, now()),
                     notify_email = NULL,
                     outcome = CASE WHEN state = 'rejected' THEN outcome - '{detail,statement}'::text[] ELSE outcome END
                 WHERE id = $1 AND deleted_at IS NULL RETURNING id, coalesce(delete_by, 'retention') AS actor)
             INSERT INTO audit (actor, action, request_id) SELECT actor, 'delete', id FROM gone",
        )
        .bind(request.0)
        .execute(&mut *tx)
        .await?;
        if gone.rows_affected() == 1 {
            for sql in [
                "DELETE FROM log_chunks WHERE request_id = $1",
                "DELETE FROM notifications WHERE request_id = $1 AND email IS NOT NULL",
                "DELETE FROM session_lines l USING sessions s, interventions i
                 WHERE l.session_id = s.id AND s.intervention_id = i.id AND i.request_id = $1",
                "UPDATE sessions s SET failure = s.failure - '{detail,statement}'::text[]
                 FROM interventions i WHERE s.intervention_id = i.id AND i.request_id = $1",
                "UPDATE interventions SET failure = failure - '{detail,statement}'::text[] WHERE request_id = $1",
                "UPDATE attempts SET failure = failure - '{detail,statement}'::text[], checkpoint_swept = true,
                     swept = true
                 WHERE request_id = $1",
            ] {
                sqlx::query(sql).bind(request.0).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }
}
