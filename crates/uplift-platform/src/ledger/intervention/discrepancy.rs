//! What a customer finds wrong in a delivered upgrade: an intervention that ends with an answer. Its request stays delivered.

use serde_json::json;
use uplift_core::{Failure, InterventionId, RequestId, request::StateCode};

use super::act::{Act, act, because};
use crate::ledger::{Bearer, Conflict, Ledger, LedgerError, event, intervention, notification, transition};

impl Ledger {
    /// Records what a customer finds wrong, and asks an engineer to look at it.
    ///
    /// # Errors
    /// The request is not delivered, everything of it was removed, or another report of it is still open.
    pub async fn report_discrepancy(
        &self,
        request: RequestId,
        text: &str,
        actor: &str,
    ) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let state = transition::lock(&mut tx, request).await?;
            if state != StateCode::Delivered {
                return Err(Conflict::State { request, state, wish: "have a discrepancy" }.into());
            }
            let (removed, open): (bool, bool) = sqlx::query_as(
                "SELECT deleted_at IS NOT NULL, EXISTS (
                     SELECT FROM interventions WHERE request_id = $1 AND closed_at IS NULL)
                 FROM requests WHERE id = $1",
            )
            .bind(request.0)
            .fetch_one(&mut *tx)
            .await?;
            if removed {
                return Err(Conflict::Removed(request).into());
            }
            if open {
                return Err(Conflict::AlreadyReported(request).into());
            }
            sqlx::query(
                "INSERT INTO audit (actor, action, request_id, detail)
                 VALUES ($1, 'discrepancy', $2, jsonb_build_object('text', $3::text))",
            )
            .bind(actor)
            .bind(request.0)
            .bind(text)
            .execute(&mut *tx)
            .await?;
            intervention::open(&mut tx, request, &Failure::Discrepancy { message: text.to_owned() }).await
        }
        .await;
        transition::end(tx, done).await
    }

    /// Answers the customer who reported a discrepancy, and closes it.
    ///
    /// # Errors
    /// It is somebody else's, or closed, or no discrepancy.
    pub async fn answer(&self, id: InterventionId, bearer: &Bearer, text: &str) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let request = act(&mut tx, id, bearer, Act::Answer, Some(text)).await?;
            because(&mut tx, id, text).await?;
            sqlx::query(
                "UPDATE interventions SET note = $2, closed_at = now(), closed_by = $3, outcome = 'answer',
                     engineer = NULL, engineer_id = NULL, claimed_until = NULL
                 WHERE id = $1",
            )
            .bind(id.0)
            .bind(text)
            .bind(bearer.actor())
            .execute(&mut *tx)
            .await?;
            notification::tell(&mut tx, request, "request.answered").await?;
            let body = json!({
                "intervention": id, "request": request, "outcome": "answer", "by": bearer.actor(),
            });
            event::tell(&mut tx, "intervention.closed", &body).await
        }
        .await;
        transition::end(tx, done).await
    }
}
