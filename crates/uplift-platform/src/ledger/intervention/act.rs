//! What people do about an intervention. An engineer acts on what they have claimed, an operator on anything; all of it
//! is in the audit.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgConnection, Row as _};
use uplift_core::{
    Failure, InterventionId, RequestId, TokenId,
    request::{State, StateCode, Transition},
};
use uuid::Uuid;

use crate::ledger::{
    Bearer, Conflict, Ledger, LedgerError, Role, event, submission::queue_again, transition,
};

/// How long a claim lasts unless its engineer does something, in seconds: whoever goes home gives it back.
const CLAIM: f64 = 3600.0;

/// What people do.
#[derive(Clone, Copy, Debug)]
pub(in crate::ledger) enum Act {
    Claim,
    Assign,
    Release,
    Comment,
    Note,
    Shell,
    DryRun,
    Retry,
    Reject,
    Answer,
}

impl Act {
    /// What the audit calls it, and the event that tells of it.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Claim => ("intervention_claim", "intervention.claimed"),
            Self::Assign => ("intervention_assign", "intervention.assigned"),
            Self::Release => ("intervention_release", "intervention.released"),
            Self::Comment => ("intervention_comment", "intervention.commented"),
            Self::Note => ("intervention_note", "intervention.noted"),
            Self::Shell => ("intervention_shell", "intervention.shell"),
            Self::DryRun => ("intervention_dry_run", "intervention.dry_run"),
            Self::Retry => ("intervention_retry", "intervention.retried"),
            Self::Reject => ("intervention_reject", "intervention.rejected"),
            Self::Answer => ("intervention_answer", "intervention.answered"),
        }
    }

    /// Why it cannot be done to a request in this state: a delivered one is not run again, and one that failed is not
    /// answered.
    const fn refusal(self, state: StateCode) -> Option<&'static str> {
        match (self, state) {
            (Self::Retry | Self::DryRun | Self::Shell | Self::Reject, StateCode::Delivered) => {
                Some("be run again or rejected: answer its customer")
            }
            (Self::Answer, StateCode::Intervention) => Some("be answered: tell its customer with a note"),
            _ => None,
        }
    }
}

impl Ledger {
    /// Makes an intervention its engineer's own for an hour; again, for another hour.
    ///
    /// # Errors
    /// Somebody else has it, or it is closed.
    pub async fn claim_intervention(
        &self,
        id: InterventionId,
        bearer: &Bearer,
    ) -> Result<DateTime<Utc>, LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let held = lock(&mut tx, id).await?;
            match held.engineer {
                Some((by, name, until)) if by != bearer.token => {
                    Err(Conflict::ClaimedBy { intervention: id, by: name, until }.into())
                }
                _ => give(&mut tx, &held, (bearer.token, &bearer.label), Act::Claim, &bearer.actor()).await,
            }
        }
        .await;
        transition::end(tx, done).await
    }

    /// Gives an intervention to another engineer, whoever has it now. The engineer is named by their token: its id, or
    /// its label where only one valid token has it.
    ///
    /// # Errors
    /// No such engineer, or the intervention is closed.
    pub async fn assign_intervention(
        &self,
        id: InterventionId,
        engineer: &str,
        actor: &str,
    ) -> Result<DateTime<Utc>, LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let found = sqlx::query(
                "SELECT id, label FROM tokens
                 WHERE (label = $1 OR id::text = $1) AND role IN ('engineer', 'operator')
                   AND revoked_at IS NULL AND expires_at > now() LIMIT 2",
            )
            .bind(engineer)
            .fetch_all(&mut *tx)
            .await?;
            let [found] = &found[..] else {
                let many = !found.is_empty();
                return Err(Conflict::NoSuchEngineer { name: engineer.to_owned(), many }.into());
            };
            let held = lock(&mut tx, id).await?;
            let (token, label): (Uuid, String) = (found.try_get("id")?, found.try_get("label")?);
            give(&mut tx, &held, (TokenId(token), &label), Act::Assign, actor).await
        }
        .await;
        transition::end(tx, done).await
    }

    /// Gives an intervention back to the queue.
    ///
    /// # Errors
    /// It is somebody else's, or closed.
    pub async fn release_intervention(&self, id: InterventionId, bearer: &Bearer) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            act(&mut tx, id, bearer, Act::Release, None).await?;
            let sql = "UPDATE interventions SET engineer = NULL, engineer_id = NULL, claimed_until = NULL
                       WHERE id = $1";
            sqlx::query(sql).bind(id.0).execute(&mut *tx).await?;
            Ok(())
        }
        .await;
        transition::end(tx, done).await
    }

    /// Says something to other engineers. Anybody may, also about what another one works on, and afterwards.
    ///
    /// # Errors
    /// There is no such intervention.
    pub async fn comment(&self, id: InterventionId, bearer: &Bearer, text: &str) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let request = request_of(&mut tx, id).await?;
        record(&mut tx, (id, request), Act::Comment, Some(text), &bearer.actor()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Says something to the customer, instead of what was said before.
    ///
    /// # Errors
    /// It is somebody else's, or closed.
    pub async fn note(&self, id: InterventionId, bearer: &Bearer, text: &str) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            act(&mut tx, id, bearer, Act::Note, Some(text)).await?;
            sqlx::query("UPDATE interventions SET note = $2 WHERE id = $1")
                .bind(id.0)
                .bind(text)
                .execute(&mut *tx)
                .await?;
            Ok(())
        }
        .await;
        transition::end(tx, done).await
    }

    /// Gives the request back to its customer, who has to change something.
    ///
    /// # Errors
    /// It is somebody else's, or closed.
    pub async fn reject(&self, id: InterventionId, bearer: &Bearer, reason: &str) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let request = act(&mut tx, id, bearer, Act::Reject, Some(reason)).await?;
            because(&mut tx, id, reason).await?;
            let (from, state) =
                (StateCode::Intervention, State::Rejected { failure: Failure::rejected(reason) });
            transition::apply(&mut tx, request, from, Transition::Reject, &state, &bearer.actor()).await
        }
        .await;
        transition::end(tx, done).await
    }

    /// Queues the request for a clean run from the original dump.
    ///
    /// # Errors
    /// It is somebody else's, or closed.
    pub async fn retry_intervention(
        &self,
        id: InterventionId,
        bearer: &Bearer,
        reason: &str,
    ) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let request = act(&mut tx, id, bearer, Act::Retry, Some(reason)).await?;
            because(&mut tx, id, reason).await?;
            queue_again(&mut tx, request, StateCode::Intervention, &bearer.actor()).await
        }
        .await;
        transition::end(tx, done).await
    }

    /// The same for all that failed alike and that nobody else has claimed: one mended pack is a reason for all of
    /// them. Gives their requests.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn retry_alike(
        &self,
        fingerprint: &str,
        bearer: &Bearer,
        reason: &str,
    ) -> Result<Vec<RequestId>, LedgerError> {
        let open: Vec<Uuid> = sqlx::query_scalar(
            "SELECT id FROM interventions
             WHERE fingerprint = $1 AND closed_at IS NULL
               AND (claimed_until IS NULL OR claimed_until < now() OR engineer_id = $2) ORDER BY due_at",
        )
        .bind(fingerprint)
        .bind(bearer.token.0)
        .fetch_all(&self.pool)
        .await?;
        let mut retried = Vec::new();
        for id in open.into_iter().map(InterventionId) {
            let done = async {
                self.claim_intervention(id, bearer).await?;
                self.retry_intervention(id, bearer, reason).await
            };
            match done.await {
                Ok(()) => retried.push(self.intervention(id).await?.request),
                // Somebody was faster: it is theirs.
                Err(LedgerError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(retried)
    }
}

/// Sees that the bearer may act on an intervention, and records that they do. Locks it and its request, and gives the
/// request. What is theirs stays theirs for another hour.
pub(in crate::ledger) async fn act(
    connection: &mut PgConnection,
    id: InterventionId,
    bearer: &Bearer,
    action: Act,
    text: Option<&str>,
) -> Result<RequestId, LedgerError> {
    let held = lock(connection, id).await?;
    if let Some(wish) = action.refusal(held.state) {
        return Err(Conflict::State { request: held.request, state: held.state, wish }.into());
    }
    match &held.engineer {
        Some((by, ..)) if *by == bearer.token => {
            let sql =
                "UPDATE interventions SET claimed_until = now() + make_interval(secs => $2) WHERE id = $1";
            sqlx::query(sql).bind(id.0).bind(CLAIM).execute(&mut *connection).await?;
        }
        _ if bearer.role == Role::Operator => {}
        other => {
            let by = other.as_ref().map(|(_, name, _)| name.clone());
            return Err(Conflict::NotClaimed { intervention: id, by }.into());
        }
    }
    record(connection, (id, held.request), action, text, &bearer.actor()).await?;
    Ok(held.request)
}

/// An open intervention whose row is locked.
struct Locked {
    id: InterventionId,
    request: RequestId,
    /// Its request's state.
    state: StateCode,
    /// Whose it is, and until when; a claim that has lapsed is nobody's.
    engineer: Option<(TokenId, String, DateTime<Utc>)>,
}

/// The request's row first, as everybody locks them who moves a request.
async fn lock(connection: &mut PgConnection, id: InterventionId) -> Result<Locked, LedgerError> {
    let request = request_of(connection, id).await?;
    let state = transition::lock(connection, request).await?;
    let row = sqlx::query(
        "SELECT closed_at IS NOT NULL AS closed, engineer_id, coalesce(engineer, '') AS engineer, claimed_until,
             claimed_until > now() AS valid
         FROM interventions WHERE id = $1 FOR UPDATE",
    )
    .bind(id.0)
    .fetch_one(&mut *connection)
    .await?;
    if row.try_get("closed")? {
        return Err(Conflict::Closed(id).into());
    }
    let engineer = match row.try_get::<Option<bool>, _>("valid")? {
        Some(true) => Some((
            TokenId(row.try_get("engineer_id")?),
            row.try_get("engineer")?,
            row.try_get("claimed_until")?,
        )),
        _ => None,
    };
    Ok(Locked { id, request, state, engineer })
}

async fn request_of(connection: &mut PgConnection, id: InterventionId) -> Result<RequestId, LedgerError> {
    sqlx::query_scalar("SELECT request_id FROM interventions WHERE id = $1")
        .bind(id.0)
        .fetch_optional(connection)
        .await?
        .map(RequestId)
        .ok_or(LedgerError::NotFound("intervention"))
}

async fn give(
    connection: &mut PgConnection,
    held: &Locked,
    (token, label): (TokenId, &str),
    action: Act,
    actor: &str,
) -> Result<DateTime<Utc>, LedgerError> {
    let until = sqlx::query_scalar(
        "UPDATE interventions SET engineer_id = $2, engineer = $3, claimed_until = now() + make_interval(secs => $4)
         WHERE id = $1 RETURNING claimed_until",
    )
    .bind(held.id.0)
    .bind(token.0)
    .bind(label)
    .bind(CLAIM)
    .fetch_one(&mut *connection)
    .await?;
    record(connection, (held.id, held.request), action, Some(label), actor).await?;
    Ok(until)
}

/// Writes the audit, and tells the broker.
async fn record(
    connection: &mut PgConnection,
    (id, request): (InterventionId, RequestId),
    action: Act,
    text: Option<&str>,
    actor: &str,
) -> Result<(), LedgerError> {
    let (name, topic) = action.words();
    sqlx::query("INSERT INTO audit (actor, action, request_id, detail) VALUES ($1, $2, $3, $4)")
        .bind(actor)
        .bind(name)
        .bind(request.0)
        .bind(json!({ "intervention": id, "text": text }))
        .execute(&mut *connection)
        .await?;
    let body = json!({ "intervention": id, "request": request, "by": actor });
    event::tell(connection, topic, &body).await
}

/// Why it was closed.
pub(super) async fn because(
    connection: &mut PgConnection,
    id: InterventionId,
    reason: &str,
) -> Result<(), LedgerError> {
    sqlx::query("UPDATE interventions SET reason = $2 WHERE id = $1")
        .bind(id.0)
        .bind(reason)
        .execute(connection)
        .await?;
    Ok(())
}
