//! What time does to requests. Every dispatcher sweeps; rows that another one has in hand are passed over.

use std::time::Duration;

use sqlx::{PgConnection, Row as _};
use uplift_core::{
    Epoch, Failure, Purpose, RequestId,
    request::{State, StateCode, Transition},
};
use uuid::Uuid;

use super::{
    Ledger, LedgerError, Settlement,
    settle::{Held, finish},
    transition,
};

/// An attempt that did not deliver, and whose objects are still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadAttempt {
    /// The request.
    pub request: RequestId,
    /// The attempt.
    pub epoch: Epoch,
    /// Whether it has saved the state before the step that failed, which stays.
    pub saved: bool,
}

/// A request whose worker went silent, or took longer than an attempt may.
#[derive(Clone, Debug)]
pub struct Swept {
    /// Which.
    pub request: RequestId,
    /// The attempt that ended.
    pub epoch: Epoch,
    /// Why.
    pub failure: Failure,
    /// What became of the request.
    pub state: StateCode,
}

/// What one round over the running requests has done.
#[derive(Debug, Default)]
pub struct SweptLeases {
    /// The attempts that were ended.
    pub ended: Vec<Swept>,
    /// The requests whose attempts could not be ended, and why.
    pub failed: Vec<(RequestId, LedgerError)>,
}

/// A request that a worker may claim and that has no hint outstanding.
#[derive(Clone, Debug)]
pub struct Hintable {
    /// Which.
    pub request: RequestId,
    /// Tells the queue.
    pub purpose: Purpose,
    /// The trace that the submission belongs to.
    pub traceparent: Option<String>,
}

/// A multipart upload that nobody will complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredUpload {
    /// The object that it would have made.
    pub key: String,
    /// Its id at the object store.
    pub upload: String,
}

/// What a cancelled request may have in the object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelledUpload {
    /// Which.
    pub request: RequestId,
    /// The id of the dump's multipart upload.
    pub source: String,
    /// The id of the scripts' multipart upload, where any are attached.
    pub scripts: Option<String>,
}

/// How many rows one sweep takes at once.
const BATCH: i64 = 100;

impl Ledger {
    /// Ends the attempts whose lease has run out, and those that took too long. Each in a transaction of its own, so
    /// that one which cannot be ended holds up no other.
    ///
    /// # Errors
    /// The ledger's, where it is out of reach.
    pub async fn sweep_leases(&self, attempt: Duration) -> Result<SweptLeases, LedgerError> {
        let overdue: Vec<Uuid> = sqlx::query_scalar(
            "SELECT id FROM requests
             WHERE state = 'running' AND (lease_until < now() OR attempt_until < now())
             ORDER BY lease_until LIMIT $1",
        )
        .bind(BATCH)
        .fetch_all(&self.pool)
        .await?;
        let mut swept = SweptLeases::default();
        for request in overdue.into_iter().map(RequestId) {
            match self.sweep_lease(request, attempt).await {
                Ok(ended) => swept.ended.extend(ended),
                Err(error) if error.is_unavailable() => return Err(error),
                Err(error) => swept.failed.push((request, error)),
            }
        }
        Ok(swept)
    }

    /// Ends a request's attempt where it is still overdue, and where no other dispatcher has it in hand.
    async fn sweep_lease(&self, request: RequestId, attempt: Duration) -> Result<Option<Swept>, LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let row = sqlx::query(
                // Whichever came first: an attempt whose worker had died long before its deadline was not slow.
                "SELECT epoch, stage, attempt_until < lease_until AS late FROM requests
                 WHERE id = $1 AND state = 'running' AND (lease_until < now() OR attempt_until < now())
                 FOR UPDATE SKIP LOCKED",
            )
            .bind(request.0)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(row) = row else { return Ok(None) };
            let place = row.try_get::<Option<String>, _>("stage")?.unwrap_or_else(|| "claim".into());
            let failure = if row.try_get("late")? {
                Failure::attempt_too_long(attempt)
            } else {
                Failure::LeaseLost { place }
            };
            let epoch = Epoch(row.try_get("epoch")?);
            let held = Held { request, epoch, actor: "sweep".into() };
            let state = finish(&mut tx, &held, &Settlement::Failed(failure.clone())).await?;
            Ok(Some(Swept { request, epoch, failure, state }))
        }
        .await;
        transition::end(tx, done).await
    }

    /// Marks the claimable requests that have no hint outstanding, and gives them back for sending.
    ///
    /// What waits for another request of its database or account is not claimable: its hint would be used up in
    /// vain. It gets one in the round after the other's end.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn take_hintable(&self, hint_ttl: Duration) -> Result<Vec<Hintable>, LedgerError> {
        let rows = sqlx::query(
            // An array is made once; a join with the sub-select might run it, and lock rows, more than once.
            "UPDATE requests SET hinted_at = now() WHERE id = ANY (ARRAY (
                 WITH busy AS MATERIALIZED (
                     SELECT account_id, count(*) AS running, array_agg(database_id) AS databases
                     FROM requests WHERE state = 'running' GROUP BY account_id)
                 SELECT r.id
                 FROM requests r JOIN accounts a ON a.id = r.account_id
                 LEFT JOIN busy b ON b.account_id = r.account_id
                 WHERE r.state = 'queued' AND r.not_before <= now()
                   AND (r.hinted_at IS NULL OR r.hinted_at < now() - make_interval(secs => $1))
                   AND (b.running IS NULL
                        OR b.running < a.max_running AND r.database_id <> ALL (b.databases))
                 ORDER BY r.purpose, r.uploaded_at LIMIT $2
                 FOR UPDATE OF r SKIP LOCKED))
            RETURNING id, purpose, traceparent",
        )
        .bind(hint_ttl.as_secs_f64())
        .bind(BATCH)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let purpose: String = row.try_get("purpose")?;
                Ok(Hintable {
                    request: RequestId(row.try_get("id")?),
                    purpose: purpose.parse().map_err(LedgerError::Unreadable)?,
                    traceparent: row.try_get("traceparent")?,
                })
            })
            .collect()
    }

    /// The hint could not be sent: another sweep tries again.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn hint_failed(&self, request: RequestId) -> Result<(), LedgerError> {
        sqlx::query("UPDATE requests SET hinted_at = NULL WHERE id = $1")
            .bind(request.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Cancels requests whose upload never came.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn cancel_stale_uploads(&self, after: Duration) -> Result<u64, LedgerError> {
        let mut tx = self.pool.begin().await?;
        let stale: Vec<Uuid> = sqlx::query_scalar(
            "SELECT id FROM requests
             WHERE state = 'awaiting_upload' AND created_at < now() - make_interval(secs => $1)
             ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED",
        )
        .bind(after.as_secs_f64())
        .bind(BATCH)
        .fetch_all(&mut *tx)
        .await?;
        for id in &stale {
            cancel(&mut tx, RequestId(*id)).await?;
        }
        tx.commit().await?;
        Ok(stale.len() as u64)
    }

    /// Uploads that nobody will complete: those of attempts that have ended. They stay on record until
    /// [`Ledger::upload_ended`] says otherwise.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn expired_uploads(&self) -> Result<Vec<ExpiredUpload>, LedgerError> {
        let rows = sqlx::query(
            "SELECT key, upload_id FROM uploads u JOIN attempts a USING (request_id, epoch)
             WHERE a.ended_at IS NOT NULL LIMIT $1",
        )
        .bind(BATCH)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| Ok(ExpiredUpload { key: row.try_get("key")?, upload: row.try_get("upload_id")? }))
            .collect()
    }

    /// Which of these uploads stand on no record: not as an attempt's, and not as a customer's.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn unrecorded_uploads(
        &self,
        uploads: Vec<ExpiredUpload>,
    ) -> Result<Vec<ExpiredUpload>, LedgerError> {
        let (keys, ids): (Vec<String>, Vec<String>) =
            uploads.into_iter().map(|upload| (upload.key, upload.upload)).unzip();
        let rows = sqlx::query(
            "SELECT found.key, found.id FROM unnest($1::text[], $2::text[]) AS found (key, id)
             WHERE NOT EXISTS (SELECT FROM uploads u WHERE u.key = found.key AND u.upload_id = found.id)
               AND NOT EXISTS (
                   SELECT FROM requests r WHERE found.id IN (r.upload_id, r.scripts_upload_id))",
        )
        .bind(keys)
        .bind(ids)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| Ok(ExpiredUpload { key: row.try_get("key")?, upload: row.try_get("id")? }))
            .collect()
    }

    /// Attempts that have ended without a delivery, and whose objects may still be there.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn dead_attempts(&self) -> Result<Vec<DeadAttempt>, LedgerError> {
        let rows = sqlx::query(
            "SELECT request_id, epoch, checkpoint IS NOT NULL AS saved FROM attempts WHERE outcome <> 'delivered' AND NOT swept
             ORDER BY ended_at LIMIT $1",
        )
        .bind(BATCH)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(DeadAttempt {
                    request: RequestId(row.try_get("request_id")?),
                    epoch: Epoch(row.try_get("epoch")?),
                    saved: row.try_get("saved")?,
                })
            })
            .collect()
    }

    /// What an attempt had stored is gone.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn attempt_swept(&self, request: RequestId, epoch: Epoch) -> Result<(), LedgerError> {
        sqlx::query("UPDATE attempts SET swept = true WHERE request_id = $1 AND epoch = $2")
            .bind(request.0)
            .bind(epoch.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Attempts whose saved state nobody will look at any more: their request has come to its end, or to another attempt.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn stale_checkpoints(&self) -> Result<Vec<(RequestId, Epoch)>, LedgerError> {
        let rows = sqlx::query(
            "SELECT a.request_id, a.epoch FROM attempts a JOIN requests r ON r.id = a.request_id
             WHERE a.checkpoint IS NOT NULL AND NOT a.checkpoint_swept
               AND (r.state IN ('delivered', 'rejected', 'cancelled') OR a.epoch < r.epoch) LIMIT $1",
        )
        .bind(BATCH)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| Ok((RequestId(row.try_get("request_id")?), Epoch(row.try_get("epoch")?))))
            .collect()
    }

    /// The state that an attempt had saved is gone.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn checkpoint_swept(&self, request: RequestId, epoch: Epoch) -> Result<(), LedgerError> {
        sqlx::query("UPDATE attempts SET checkpoint_swept = true WHERE request_id = $1 AND epoch = $2")
            .bind(request.0)
            .bind(epoch.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Customers' uploads of cancelled requests, complete or not. They stay on record until
    /// [`Ledger::upload_removed`] says otherwise.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn cancelled_uploads(&self) -> Result<Vec<CancelledUpload>, LedgerError> {
        let rows = sqlx::query(
            "SELECT id, upload_id, scripts_upload_id FROM requests
             WHERE state = 'cancelled' AND upload_id IS NOT NULL LIMIT $1",
        )
        .bind(BATCH)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(CancelledUpload {
                    request: RequestId(row.try_get("id")?),
                    source: row.try_get("upload_id")?,
                    scripts: row.try_get("scripts_upload_id")?,
                })
            })
            .collect()
    }

    /// What a cancelled request had uploaded is gone.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn upload_removed(&self, request: RequestId) -> Result<(), LedgerError> {
        sqlx::query("UPDATE requests SET upload_id = NULL, scripts_upload_id = NULL WHERE id = $1")
            .bind(request.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

async fn cancel(connection: &mut PgConnection, request: RequestId) -> Result<(), LedgerError> {
    transition::apply(
        connection,
        request,
        StateCode::AwaitingUpload,
        Transition::Cancel,
        &State::Cancelled,
        "sweep",
    )
    .await
}
