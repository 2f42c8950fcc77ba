//! Engineers' looks into saved states. A session is a row that a worker holds by a lease of its own; what happens in it
//! changes nothing of its request.

mod read;
mod work;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use sqlx::{PgConnection, Row as _};
use uplift_core::{
    Failure, InterventionId, OverrideId, SessionId,
    request::Saved,
    session::{SessionKind, SessionOutcome},
};

use super::{
    Bearer, Conflict, Ledger, LedgerError, LogLine, Request, account,
    intervention::{Act, act},
};

/// How long a session waits for a worker, in seconds: whoever asked for it has gone by then.
const PATIENCE: f64 = 600.0;

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
