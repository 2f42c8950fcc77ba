//! How an attempt ends, and what becomes of its request.

use std::time::Duration;

use sqlx::PgConnection;
use uplift_core::{
    Epoch, Failure, Lease, RequestId,
    failure::Verdict,
    request::{Delivery, State, StateCode, Transition},
};

use super::{Ledger, LedgerError, hold, json, transition};

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Settlement {
    /// With a result.
    Delivered(Delivery),
    /// Without.
    Failed(Failure),
}

/// What finishing an attempt needs to know of its row.
pub(super) struct Held {
    pub(super) request: RequestId,
    pub(super) epoch: Epoch,
    pub(super) actor: String,
}

impl Ledger {
    /// Ends an attempt: publishes its result, or decides what becomes of the request. One transaction.
    ///
    /// An attempt that has delivered may say so again, as it must where the first answer never came.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`]: nothing was published. Or the ledger's.
    pub async fn settle(&self, lease: &Lease, settlement: &Settlement) -> Result<StateCode, LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let held = sqlx::query(
                "SELECT FROM requests WHERE id = $1 AND epoch = $2 AND worker_id = $3 AND state = 'running'
                 FOR UPDATE",
            )
            .bind(lease.request().0)
            .bind(lease.epoch().0)
            .bind(lease.worker().0)
            .fetch_optional(&mut *tx)
            .await?;
            if held.is_none() {
                let delivered =
                    matches!(settlement, Settlement::Delivered(_)) && has_delivered(&mut tx, lease).await?;
                return if delivered {
                    Ok(StateCode::Delivered)
                } else {
                    Err(LedgerError::LeaseLost(lease.request()))
                };
            }
            let held = Held {
                request: lease.request(),
                epoch: lease.epoch(),
                actor: format!("worker {}", lease.worker()),
            };
            let state = finish(&mut tx, &held, settlement).await?;
            Ok(state)
        }
        .await;
        transition::end(tx, done).await
    }
}

/// Ends the attempt of a request that is running and whose row is locked by the caller's transaction.
pub(super) async fn finish(
    connection: &mut PgConnection,
    held: &Held,
    settlement: &Settlement,
) -> Result<StateCode, LedgerError> {
    let (transition, state, counted, after) = match settlement {
        Settlement::Delivered(delivery) => {
            (Transition::Deliver, State::Delivered(delivery.clone()), false, Duration::ZERO)
        }
        Settlement::Failed(failure) => {
            let earlier = counted_failures(connection, held.request).await?;
            match failure.verdict(&earlier) {
                // Nobody has to try again, or to look at, what the customer has taken back.
                Verdict::Requeue { .. } | Verdict::Intervene if asked_back(connection, held).await? => {
                    follow(failure, Verdict::Cancel)
                }
                verdict => follow(failure, verdict),
            }
        }
    };
    record_end(connection, held, settlement, counted).await?;
    transition::apply(connection, held.request, StateCode::Running, transition, &state, &held.actor).await?;
    if !after.is_zero() {
        // By the ledger's clock, which is also what the claim compares it with.
        let sql = "UPDATE requests SET not_before = now() + make_interval(secs => $2) WHERE id = $1 AND held IS NULL";
        sqlx::query(sql).bind(held.request.0).bind(after.as_secs_f64()).execute(&mut *connection).await?;
    }
    if let (Settlement::Failed(Failure::Held(why)), StateCode::Queued) = (settlement, state.code()) {
        hold::wait(connection, held.request, why).await?;
    }
    Ok(state.code())
}

/// What a verdict does to the request: the transition, the state, whether the attempt counts, and the wait.
fn follow(failure: &Failure, verdict: Verdict) -> (Transition, State, bool, Duration) {
    let failure = failure.clone();
    match verdict {
        Verdict::Requeue { after, counts } => (Transition::Requeue, State::Queued, counts, after),
        Verdict::Reject => (Transition::Reject, State::Rejected { failure }, true, Duration::ZERO),
        Verdict::Intervene => (Transition::Intervene, State::Intervention { failure }, true, Duration::ZERO),
        Verdict::Cancel => (Transition::Cancel, State::Cancelled, false, Duration::ZERO),
    }
}

/// Whether the customer has asked for the request back while it ran.
async fn asked_back(connection: &mut PgConnection, held: &Held) -> Result<bool, LedgerError> {
    let asked = sqlx::query_scalar("SELECT cancel_at IS NOT NULL FROM requests WHERE id = $1")
        .bind(held.request.0)
        .fetch_one(connection)
        .await?;
    Ok(asked)
}

/// Whether it was this very attempt that delivered.
async fn has_delivered(connection: &mut PgConnection, lease: &Lease) -> Result<bool, LedgerError> {
    let attempt = sqlx::query(
        "SELECT FROM attempts
         WHERE request_id = $1 AND epoch = $2 AND worker_id = $3 AND outcome = 'delivered'",
    )
    .bind(lease.request().0)
    .bind(lease.epoch().0)
    .bind(lease.worker().0)
    .fetch_optional(connection)
    .await?;
    Ok(attempt.is_some())
}

async fn counted_failures(
    connection: &mut PgConnection,
    request: RequestId,
) -> Result<Vec<(String, String)>, LedgerError> {
    let rows = sqlx::query_as(
        "SELECT outcome, coalesce(place, '') FROM attempts
         WHERE request_id = $1 AND counted AND outcome IS NOT NULL ORDER BY epoch",
    )
    .bind(request.0)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

async fn record_end(
    connection: &mut PgConnection,
    held: &Held,
    settlement: &Settlement,
    counted: bool,
) -> Result<(), LedgerError> {
    let (outcome, place, failure) = match settlement {
        Settlement::Delivered(_) => ("delivered", None, None),
        Settlement::Failed(failure) => {
            (failure.code(), Some(failure.place()), Some(json::storable(failure)?))
        }
    };
    // The stage that a failed attempt was in has not ended well: it stays open.
    sqlx::query(
        "WITH last AS (
             UPDATE stages SET ended_at = now()
             WHERE request_id = $1 AND epoch = $2 AND ended_at IS NULL AND $3 = 'delivered')
         UPDATE attempts SET ended_at = now(), outcome = $3, place = $4, failure = $5, counted = $6
         WHERE request_id = $1 AND epoch = $2",
    )
    .bind(held.request.0)
    .bind(held.epoch.0)
    .bind(outcome)
    .bind(place)
    .bind(failure)
    .bind(counted)
    .execute(connection)
    .await?;
    Ok(())
}
