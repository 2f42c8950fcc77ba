//! Engineers' looks into saved states. A session is a row that a worker holds by a lease of its own; what happens in it
//! changes nothing of its request.

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use sqlx::{PgConnection, Row as _, postgres::PgRow, types::Json};
use uplift_core::{
    Epoch, Failure, InterventionId, Lease, OverrideId, RequestId, SessionId, WorkerId,
    lease::LEASE,
    request::Saved,
    session::{SessionKind, SessionOutcome},
};
use uuid::Uuid;

use super::{
    Bearer, Conflict, Ledger, LedgerError, LogLine, Request, account,
    intervention::{Act, act},
    json, request,
};

/// How long a session waits for a worker, in seconds: whoever asked for it has gone by then.
const PATIENCE: f64 = 600.0;

/// How many lines a page of a session's log holds.
const PAGE: i64 = 2000;

/// What an engineer wants to open.
#[derive(Clone, Debug)]
pub enum Opening {
    /// `psql`; its worker dials this address of the dispatcher that asks.
    Shell {
        /// Whether it may write.
        writable: bool,
        /// The address, as workers reach it.
        dispatcher: String,
    },
    /// The steps from the one that failed to the end of its hop.
    DryRun,
}

/// A session that a worker has taken, and all that it needs.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The intervention whose state it looks into.
    pub intervention: InterventionId,
    /// The request that waits there.
    pub request: Request,
    /// Of the attempt that has saved the state. It is over: whatever takes this lease to write finds it lost.
    pub lease: Lease,
    /// The state.
    pub saved: Saved,
    /// The hop that failed.
    pub hop: Option<String>,
    /// The steps that the attempt had done by then.
    pub done: Vec<String>,
    /// The overrides that it ran with.
    pub overrides: Vec<OverrideId>,
    /// What is wanted.
    pub opening: Opening,
    /// What a shell's worker shows to the dispatcher.
    pub secret: Option<String>,
}

/// A session as it is read.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the ledger, described there")]
pub struct SessionEntry {
    pub id: SessionId,
    pub intervention: InterventionId,
    pub kind: SessionKind,
    pub writable: bool,
    pub opened_at: DateTime<Utc>,
    pub opened_by: String,
    pub started_at: Option<DateTime<Utc>>,
    pub ended: Option<SessionEnded>,
}

/// How a session ended.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the ledger, described there")]
pub struct SessionEnded {
    pub at: DateTime<Utc>,
    pub outcome: SessionOutcome,
    pub message: String,
    pub failure: Option<Failure>,
}

/// A line of a session's log.
#[derive(Clone, Debug)]
pub struct SessionLogLine {
    /// Its number, which rises.
    pub number: u64,
    /// Whether a person typed it.
    pub typed: bool,
    /// The line.
    pub line: LogLine,
}

impl Ledger {
    /// Asks for a session, by an id of the caller's, with the saved state of an intervention.
    ///
    /// # Errors
    /// The intervention is somebody else's or closed, or has no state that could be opened.
    pub async fn open_session(
        &self,
        id: SessionId,
        intervention: InterventionId,
        bearer: &Bearer,
        opening: &Opening,
    ) -> Result<(), LedgerError> {
        let (kind, action) = match opening {
            Opening::Shell { .. } => (SessionKind::Shell, Act::Shell),
            Opening::DryRun => (SessionKind::DryRun, Act::DryRun),
        };
        let (writable, dispatcher) = match opening {
            Opening::Shell { writable, dispatcher } => (*writable, Some(dispatcher)),
            Opening::DryRun => (false, None),
        };
        let said = writable.then_some("it may write");
        let mut tx = self.pool.begin().await?;
        act(&mut tx, intervention, bearer, action, said).await?;
        let found = sqlx::query(
            "SELECT i.hop IS NOT NULL AS hop, t.checkpoint IS NOT NULL AND NOT t.checkpoint_swept AS saved
             FROM interventions i JOIN attempts t ON t.request_id = i.request_id AND t.epoch = i.epoch
             WHERE i.id = $1",
        )
        .bind(intervention.0)
        .fetch_one(&mut *tx)
        .await?;
        if !found.try_get::<bool, _>("saved")? {
            return Err(Conflict::NoSavedState(intervention).into());
        }
        if kind == SessionKind::DryRun && !found.try_get::<bool, _>("hop")? {
            return Err(Conflict::NoHop(intervention).into());
        }
        sqlx::query(
            "INSERT INTO sessions (id, intervention_id, kind, opened_by, writable, dispatcher, secret)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id.0)
        .bind(intervention.0)
        .bind(kind.as_str())
        .bind(bearer.actor())
        .bind(writable)
        .bind(dispatcher)
        .bind(dispatcher.map(|_| account::new_secret().expose_secret().to_owned()))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes the session that has waited longest, if there is one.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn claim_session(&self, worker: WorkerId) -> Result<Option<Session>, LedgerError> {
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
            Ok(session) => Ok(Some(session)),
            Err(error) => {
                let message = "its worker could not read it, or its state was removed meanwhile";
                let _ = self.end_session(id, worker, SessionOutcome::Broken, message, None).await;
                Err(error)
            }
        }
    }

    async fn taken(&self, id: SessionId, worker: WorkerId, row: &PgRow) -> Result<Session, LedgerError> {
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
        Ok(Session {
            id,
            intervention,
            request: request::read(&self.pool, request).await?,
            lease: Lease::claimed(request, Epoch(found.try_get("epoch")?), worker),
            saved,
            hop: found.try_get("hop")?,
            done: found.try_get("done")?,
            overrides: found.try_get::<Vec<Uuid>, _>("overrides")?.into_iter().map(OverrideId).collect(),
            opening,
            secret: row.try_get("secret")?,
        })
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

    /// Ends a session that waits; one that runs is ended by its worker, within some seconds. One that is over stays as it
    /// is.
    ///
    /// # Errors
    /// There is none of that id.
    pub async fn close_session(&self, id: SessionId, why: &str) -> Result<SessionEntry, LedgerError> {
        let mut connection = self.pool.acquire().await?;
        close(&mut connection, Some(id), None, why).await?;
        drop(connection);
        self.session(id).await
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

    /// Ends sessions whose worker is gone, and those that no worker took. Gives how many.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn sweep_sessions(&self) -> Result<u64, LedgerError> {
        let swept = sqlx::query(
            "UPDATE sessions SET ended_at = now(), outcome = 'lost', secret = NULL,
                 message = CASE WHEN worker_id IS NULL THEN 'no worker had a free slot for sessions'
                     ELSE 'its worker is gone: open another' END
             WHERE ended_at IS NULL AND (lease_until < now()
                 OR worker_id IS NULL AND opened_at < now() - make_interval(secs => $1))",
        )
        .bind(PATIENCE)
        .execute(&self.pool)
        .await?;
        Ok(swept.rows_affected())
    }
}

/// Ends all sessions of an intervention that is being closed: what they look into goes.
pub(super) async fn close_all(
    connection: &mut PgConnection,
    intervention: InterventionId,
) -> Result<(), LedgerError> {
    close(connection, None, Some(intervention), "its intervention was closed").await
}

async fn close(
    connection: &mut PgConnection,
    session: Option<SessionId>,
    intervention: Option<InterventionId>,
    why: &str,
) -> Result<(), LedgerError> {
    sqlx::query(
        "UPDATE sessions SET closing = coalesce(closing, $3),
             ended_at = CASE WHEN worker_id IS NULL THEN now() END,
             outcome = CASE WHEN worker_id IS NULL THEN 'closed' END,
             message = CASE WHEN worker_id IS NULL THEN $3 END,
             secret = CASE WHEN worker_id IS NOT NULL THEN secret END
         WHERE (id = $1 OR intervention_id = $2) AND ended_at IS NULL",
    )
    .bind(session.map(|id| id.0))
    .bind(intervention.map(|id| id.0))
    .bind(why)
    .execute(connection)
    .await?;
    Ok(())
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
