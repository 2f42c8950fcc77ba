//! What a worker does about a session: claim, renew, record, end. Every statement behind the claim matches on the worker.

use sqlx::{Row as _, postgres::PgRow, types::Json};
use uplift_core::{
    Epoch, Failure, InterventionId, Lease, OverrideId, RequestId, SessionId, WorkerId, lease::LEASE,
    session::SessionOutcome,
};
use uuid::Uuid;

use super::{Opening, Session};
use crate::ledger::{Ledger, LedgerError, LogLine, json, request};

impl Ledger {
    /// Takes the session that has waited longest, if there is one. The lease is of the attempt that has saved the state. It
    /// is over: whatever takes it to write finds it lost.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn claim_session(&self, worker: WorkerId) -> Result<Option<(Lease, Session)>, LedgerError> {
        let row = sqlx::query(
            "UPDATE sessions SET worker_id = $1, started_at = now(), lease_until = now() + make_interval(secs => $2)
             WHERE id = (SELECT id FROM sessions WHERE worker_id IS NULL AND ended_at IS NULL AND closing IS NULL
                 ORDER BY opened_at FOR UPDATE SKIP LOCKED LIMIT 1)
             RETURNING *",
        )
        .bind(worker.0)
        .bind(LEASE.as_secs_f64())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let id = SessionId(row.try_get("id")?);
        match self.taken(id, worker, &row).await {
            Ok(taken) => Ok(Some(taken)),
            Err(error) => {
                let message = "its worker could not read it, or its state was removed meanwhile";
                let _ = self.end_session(id, worker, SessionOutcome::Broken, message, None).await;
                Err(error)
            }
        }
    }

    async fn taken(
        &self,
        id: SessionId,
        worker: WorkerId,
        row: &PgRow,
    ) -> Result<(Lease, Session), LedgerError> {
        let intervention = InterventionId(row.try_get("intervention_id")?);
        let found = sqlx::query(
            "SELECT i.request_id, i.epoch, i.hop, t.checkpoint, r.overrides,
                 ARRAY(SELECT s.step FROM steps s WHERE s.request_id = i.request_id AND s.epoch = i.epoch
                     AND s.millis IS NOT NULL ORDER BY s.started_at) AS done
             FROM interventions i JOIN attempts t ON t.request_id = i.request_id AND t.epoch = i.epoch
                 JOIN requests r ON r.id = i.request_id
             WHERE i.id = $1 AND NOT t.checkpoint_swept",
        )
        .bind(intervention.0)
        .fetch_optional(&self.pool)
        .await?
        .ok_or(LedgerError::NotFound("saved state"))?;
        let Json(saved) = found.try_get("checkpoint")?;
        let opening = match row.try_get::<Option<String>, _>("dispatcher")? {
            Some(dispatcher) => Opening::Shell { writable: row.try_get("writable")?, dispatcher },
            None => Opening::DryRun,
        };
        let request = RequestId(found.try_get("request_id")?);
        let lease = Lease::claimed(request, Epoch(found.try_get("epoch")?), worker);
        let session = Session {
            id,
            intervention,
            request: request::read(&self.pool, request).await?,
            saved,
            hop: found.try_get("hop")?,
            done: found.try_get("done")?,
            overrides: found.try_get::<Vec<Uuid>, _>("overrides")?.into_iter().map(OverrideId).collect(),
            opening,
            secret: row.try_get("secret")?,
        };
        Ok((lease, session))
    }

    /// Renews a session's lease. Says why it is to end, where somebody wants that.
    ///
    /// # Errors
    /// [`LedgerError::SessionOver`], or the ledger's.
    pub async fn renew_session(
        &self,
        id: SessionId,
        worker: WorkerId,
    ) -> Result<Option<String>, LedgerError> {
        let closing: Option<Option<String>> = sqlx::query_scalar(
            "UPDATE sessions SET lease_until = now() + make_interval(secs => $3)
             WHERE id = $1 AND worker_id = $2 AND ended_at IS NULL RETURNING closing",
        )
        .bind(id.0)
        .bind(worker.0)
        .bind(LEASE.as_secs_f64())
        .fetch_optional(&self.pool)
        .await?;
        closing.ok_or(LedgerError::SessionOver(id))
    }

    /// Adds lines to a session's log: what was said, or what a person typed.
    ///
    /// # Errors
    /// [`LedgerError::SessionOver`], or the ledger's.
    pub async fn append_session(
        &self,
        id: SessionId,
        worker: WorkerId,
        typed: bool,
        lines: &[LogLine],
    ) -> Result<(), LedgerError> {
        let Some(count) = i64::try_from(lines.len()).ok().filter(|count| *count > 0) else { return Ok(()) };
        let inserted = sqlx::query(
            "INSERT INTO session_lines (session_id, typed, line)
             SELECT s.id, $3, l.line
             FROM sessions s, jsonb_array_elements($4) WITH ORDINALITY AS l (line, place)
             WHERE s.id = $1 AND s.worker_id = $2 AND s.ended_at IS NULL ORDER BY l.place",
        )
        .bind(id.0)
        .bind(worker.0)
        .bind(typed)
        .bind(json::storable(lines)?)
        .execute(&self.pool)
        .await?;
        if inserted.rows_affected().cast_signed() == count {
            Ok(())
        } else {
            Err(LedgerError::SessionOver(id))
        }
    }

    /// Records how a session ended.
    ///
    /// # Errors
    /// [`LedgerError::SessionOver`], or the ledger's.
    pub async fn end_session(
        &self,
        id: SessionId,
        worker: WorkerId,
        outcome: SessionOutcome,
        message: &str,
        failure: Option<&Failure>,
    ) -> Result<(), LedgerError> {
        let ended = sqlx::query(
            "WITH ended AS (
                 UPDATE sessions SET ended_at = now(), outcome = $3, message = $4, failure = $5, secret = NULL
                 WHERE id = $1 AND worker_id = $2 AND ended_at IS NULL RETURNING *)
             INSERT INTO audit (actor, action, request_id, detail)
             SELECT e.opened_by, 'intervention_' || e.kind || '_ended', i.request_id,
                 jsonb_build_object('intervention', i.id, 'session', e.id, 'text', e.outcome || ': ' || e.message)
             FROM ended e JOIN interventions i ON i.id = e.intervention_id",
        )
        .bind(id.0)
        .bind(worker.0)
        .bind(outcome.as_str())
        .bind(json::storable(message)?.as_str())
        .bind(failure.map(json::storable).transpose()?)
        .execute(&self.pool)
        .await?;
        if ended.rows_affected() == 0 { Err(LedgerError::SessionOver(id)) } else { Ok(()) }
    }

    /// Whether this is the secret of a shell that is not over.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn is_shell(&self, id: SessionId, secret: &str) -> Result<bool, LedgerError> {
        // A guess costs a round trip and the secret has 256 bits: how long the comparison takes tells nothing of use.
        let found: Option<bool> = sqlx::query_scalar(
            "SELECT secret = $2 FROM sessions WHERE id = $1 AND ended_at IS NULL AND secret IS NOT NULL",
        )
        .bind(id.0)
        .bind(secret)
        .fetch_optional(&self.pool)
        .await?;
        Ok(found == Some(true))
    }
}
