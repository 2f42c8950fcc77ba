//! An intervention begins and ends with its request's state, in the same transaction.

use serde_json::json;
use sqlx::{PgConnection, Row as _};
use uplift_core::{Failure, Fingerprint, InterventionId, RequestId, request::Transition};
use uuid::Uuid;

use crate::ledger::{LedgerError, event, hold, json, session};

/// Opens one for a request that goes to a person now, or whose customer has found something.
pub(in crate::ledger) async fn open(
    connection: &mut PgConnection,
    request: RequestId,
    failure: &Failure,
) -> Result<(), LedgerError> {
    let row = sqlx::query("SELECT epoch, product, pack_digest, canary FROM requests WHERE id = $1")
        .bind(request.0)
        .fetch_one(&mut *connection)
        .await?;
    let product: Option<String> = row.try_get("product")?;
    let pack: Option<String> = row.try_get("pack_digest")?;
    let fingerprint = Fingerprint::of(product.as_deref(), failure);
    let (hop, step) = place(failure);
    // What fails alike at the same time is counted one by one.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('uplift.fingerprint ' || $1))")
        .bind(&fingerprint.hash)
        .execute(&mut *connection)
        .await?;
    let intervention = InterventionId::new();
    sqlx::query(
        "INSERT INTO interventions
             (id, request_id, epoch, product, pack_digest, hop, step, failure, fingerprint, pattern, due_at)
         SELECT $2, id, epoch, product, pack_digest, $3, $4, $5, $6, $7,
             CASE WHEN $8 THEN now() ELSE coalesce(promised_from, now()) END + make_interval(secs => promise_seconds)
         FROM requests WHERE id = $1",
    )
    .bind(request.0)
    .bind(intervention.0)
    .bind(hop)
    .bind(step)
    .bind(json::storable(failure)?)
    .bind(&fingerprint.hash)
    .bind(json::storable(&fingerprint.pattern)?.as_str())
    .bind(matches!(failure, Failure::Discrepancy { .. }))
    .execute(&mut *connection)
    .await?;
    if row.try_get("canary")? {
        // Nobody works on it: the next one shows whether it is mended, and an alert when none comes back.
        return Ok(());
    }
    let body = json!({
        "intervention": intervention, "request": request, "product": product, "pack": pack, "hop": hop,
        "step": step, "failure": failure.code(), "fingerprint": fingerprint.hash,
    });
    event::tell(connection, "intervention.opened", &body).await?;
    if let (Some(pack), Some(hop), Failure::ScriptFailed(_)) = (&pack, hop, failure) {
        hold::hold_if_many(connection, pack, hop, &fingerprint.hash).await?;
    }
    Ok(())
}

/// Closes the one of a request that leaves its intervention, if there is one: the request may be older than they are.
pub(in crate::ledger) async fn close(
    connection: &mut PgConnection,
    request: RequestId,
    transition: Transition,
    actor: &str,
) -> Result<(), LedgerError> {
    let closed: Option<(Uuid, bool)> = sqlx::query_as(
        "UPDATE interventions SET closed_at = now(), closed_by = $3, outcome = $2, engineer = NULL,
             engineer_id = NULL, claimed_until = NULL
         WHERE request_id = $1 AND closed_at IS NULL
         RETURNING id, (SELECT canary FROM requests WHERE id = $1)",
    )
    .bind(request.0)
    .bind(transition.as_str())
    .bind(actor)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some((intervention, canary)) = closed {
        session::close_all(connection, InterventionId(intervention)).await?;
        if canary {
            return Ok(());
        }
        let body = json!({
            "intervention": intervention, "request": request, "outcome": transition.as_str(), "by": actor,
        });
        event::tell(connection, "intervention.closed", &body).await?;
    }
    Ok(())
}

/// The hop and the step within it that a failure happened at: what runs before or behind the hops belongs to none.
fn place(failure: &Failure) -> (Option<&str>, &str) {
    match failure.place().split_once('/') {
        Some((hop, step)) if hop != "preflight" => (Some(hop), step),
        _ => (None, failure.place()),
    }
}
