//! The one place where a request changes its state (claims apart, which the ledger's own function makes).

use serde_json::Value;
use sqlx::{PgConnection, Postgres, Row as _, Transaction};
use uplift_core::{
    RequestId,
    request::{State, StateCode, Transition},
};

use super::{Conflict, LedgerError, intervention, json, notification, production};

/// Moves a request whose row is locked by the caller's transaction, and writes the audit.
///
/// Leaving `running` clears the lease. Entering `queued` makes it claimable at once, or when it is booked for, and clears
/// the hint, so that a new one is sent.
pub(super) async fn apply(
    connection: &mut PgConnection,
    request: RequestId,
    from: StateCode,
    transition: Transition,
    state: &State,
    actor: &str,
) -> Result<(), LedgerError> {
    if from.after(transition) != Some(state.code()) {
        return Err(Conflict::State { request, state: from, wish: wish(transition) }.into());
    }
    let outcome = outcome(state)?;
    sqlx::query(
        "WITH moved AS (
             UPDATE requests SET
                 state = $2, outcome = $3, worker_id = NULL, lease_until = NULL, attempt_until = NULL,
                 hinted_at = NULL,
                 finished_at = CASE WHEN $4 THEN now() END,
                 cancel_at = NULL,
                 uploaded_at = CASE WHEN $6 = 'upload' THEN now() ELSE uploaded_at END,
                 promised_from = CASE WHEN $6 = 'upload' THEN greatest(now(), booked_for) ELSE promised_from END,
                 not_before = CASE WHEN $2 = 'queued' THEN greatest(now(), booked_for) ELSE not_before END,
                 held = NULL, held_at = NULL
             WHERE id = $1 RETURNING id, epoch)
         INSERT INTO audit (actor, action, request_id, detail)
         SELECT $5, $6, id, jsonb_build_object('epoch', epoch, 'outcome', $3::jsonb) FROM moved",
    )
    .bind(request.0)
    .bind(state.code().as_str())
    .bind(outcome)
    .bind(state.code().is_final())
    .bind(actor)
    .bind(transition.as_str())
    .execute(&mut *connection)
    .await?;
    match state {
        State::Intervention { failure } => intervention::open(connection, request, failure).await?,
        _ if from == StateCode::Intervention => {
            intervention::close(connection, request, transition, actor).await?;
        }
        _ => {}
    }
    notification::note(connection, request, transition).await?;
    match state {
        State::Queued => production::queued(connection, request).await,
        _ => Ok(()),
    }
}

/// A transition in the words of [`Conflict::State`].
const fn wish(transition: Transition) -> &'static str {
    match transition {
        Transition::Upload => "be uploaded",
        Transition::Claim => "be claimed",
        Transition::Deliver => "be delivered",
        Transition::Requeue => "be queued again",
        Transition::Intervene => "go to a person",
        Transition::Reject => "be rejected",
        Transition::Retry => "be tried again",
        Transition::Cancel => "be cancelled",
    }
}

/// Locks a request's row and tells its state.
pub(super) async fn lock(
    connection: &mut PgConnection,
    request: RequestId,
) -> Result<StateCode, LedgerError> {
    let row = sqlx::query("SELECT state FROM requests WHERE id = $1 FOR UPDATE")
        .bind(request.0)
        .fetch_optional(connection)
        .await?
        .ok_or(LedgerError::NotFound("request"))?;
    row.try_get::<String, _>("state")?.parse().map_err(LedgerError::Unreadable)
}

/// Ends a transaction before its outcome is told. One that is only dropped ends a little later, and until then
/// claims and sweeps pass over the rows that it holds.
pub(super) async fn end<T>(
    transaction: Transaction<'_, Postgres>,
    outcome: Result<T, LedgerError>,
) -> Result<T, LedgerError> {
    match &outcome {
        Ok(_) => transaction.commit().await?,
        // What went wrong first says more than a connection that cannot even roll back, and ends by itself.
        Err(_) => drop(transaction.rollback().await),
    }
    outcome
}

/// What the column `outcome` holds beside the state's code.
fn outcome(state: &State) -> Result<Option<Value>, LedgerError> {
    let value = match state {
        State::Delivered(delivery) => json::storable(delivery)?,
        State::Intervention { failure } | State::Rejected { failure } => json::storable(failure)?,
        State::AwaitingUpload | State::Queued | State::Running | State::Cancelled => return Ok(None),
    };
    Ok(Some(value))
}

/// The state that a code and an outcome make.
pub(super) fn state(code: StateCode, outcome: Option<Value>) -> Result<State, LedgerError> {
    let outcome = outcome.unwrap_or(Value::Null);
    // Not the error itself, which may quote what it met: a failure can hold a customer's rows.
    let unreadable =
        |_: serde_json::Error| LedgerError::Unreadable(format!("an unknown outcome of `{code}`"));
    Ok(match code {
        StateCode::AwaitingUpload => State::AwaitingUpload,
        StateCode::Queued => State::Queued,
        StateCode::Running => State::Running,
        StateCode::Cancelled => State::Cancelled,
        StateCode::Delivered => State::Delivered(serde_json::from_value(outcome).map_err(unreadable)?),
        StateCode::Intervention => {
            State::Intervention { failure: serde_json::from_value(outcome).map_err(unreadable)? }
        }
        StateCode::Rejected => {
            State::Rejected { failure: serde_json::from_value(outcome).map_err(unreadable)? }
        }
    })
}
