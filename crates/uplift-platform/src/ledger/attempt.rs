//! What a worker does to a request that it holds: claim, renew, record. Every statement behind the claim matches
//! on the whole lease; one that touches no row means that the lease is lost.

use std::time::Duration;

use sqlx::Row as _;
use uplift_core::{
    Epoch, Failure, Lease, PackDigest, RequestId, Version, WorkerId,
    event::{Stage, StepDone},
    lease::LEASE,
    report::CheckpointCost,
    request::Saved,
};
use uuid::Uuid;

use super::{Ledger, LedgerError, Request, Settlement, json, request};

/// A request that was just claimed, and the right to work on it.
#[derive(Debug)]
pub struct Claimed {
    /// The right.
    pub lease: Lease,
    /// The request.
    pub request: Request,
}

/// What a renewal brings back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// The customer wants the request back.
    pub cancel: bool,
}

/// A step of an attempt, as it is read back.
#[derive(Clone, Debug)]
pub struct StepTime {
    /// The step's id.
    pub step: String,
    /// How long it took, in milliseconds; `None` while it runs.
    pub millis: Option<u64>,
}

impl Ledger {
    /// Takes the best claimable request, if there is one.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn claim(&self, worker: WorkerId, attempt: Duration) -> Result<Option<Claimed>, LedgerError> {
        let row = sqlx::query(
            "SELECT r.*, a.name AS account_name, d.name AS database_name, NULL::text AS note,
                 NULL::text AS discrepancy,
                 NULL::uuid AS busy_with, false AS early, now() AS attempt_began
             FROM claim_request($1, $2, $3) r
             JOIN accounts a ON a.id = r.account_id JOIN databases d ON d.id = r.database_id",
        )
        .bind(worker.0)
        .bind(seconds(LEASE))
        .bind(seconds(attempt))
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let lease = Lease::claimed(RequestId(row.try_get("id")?), Epoch(row.try_get("epoch")?), worker);
        match request::decode(&row) {
            Ok(request) => Ok(Some(Claimed { lease, request })),
            Err(error) => {
                // Nobody will work on it here. Where it cannot even be handed back, its lease runs out.
                let reason = "the worker could not read the request".to_owned();
                let _ = self.settle(&lease, &Settlement::Failed(Failure::Released { reason })).await;
                Err(error)
            }
        }
    }

    /// Renews a lease, and says where the attempt stands.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`], or the ledger's.
    pub async fn renew(
        &self,
        lease: &Lease,
        stage: Stage,
        progress: Option<(u64, u64)>,
    ) -> Result<Renewed, LedgerError> {
        let row = sqlx::query(
            "UPDATE requests SET lease_until = now() + make_interval(secs => $4), stage = $5,
                 progress_done = $6, progress_total = $7,
                 percent = greatest(percent, $8),
                 progressed_at = CASE WHEN (stage, progress_done, progress_total) IS DISTINCT FROM ($5, $6, $7)
                     THEN now() ELSE progressed_at END
             WHERE id = $1 AND epoch = $2 AND worker_id = $3 AND state = 'running'
             RETURNING cancel_at IS NOT NULL AS cancel",
        )
        .bind(lease.request().0)
        .bind(lease.epoch().0)
        .bind(lease.worker().0)
        .bind(f64::from(seconds(LEASE)))
        .bind(stage.as_str())
        .bind(progress.map(|(done, _)| done.cast_signed()))
        .bind(progress.map(|(_, total)| total.cast_signed()))
        .bind(i16::from(stage.percent(progress)))
        .fetch_optional(&self.pool)
        .await?;
        let row = row.ok_or(LedgerError::LeaseLost(lease.request()))?;
        Ok(Renewed { cancel: row.try_get("cancel")? })
    }

    /// Records what the restored database turned out to be, pins the pack, and records the database's identity
    /// where none is known yet. Gives back the identity that is on record.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`], or the ledger's.
    pub async fn detected(
        &self,
        lease: &Lease,
        product: &str,
        version: &Version,
        pack: &PackDigest,
        identity: Option<&str>,
    ) -> Result<Option<String>, LedgerError> {
        let row = sqlx::query(
            "WITH held AS (
                 UPDATE requests SET product = $4, source_version = $5, pack_digest = $6,
                     detected_at = coalesce(detected_at, now())
                 WHERE id = $1 AND epoch = $2 AND worker_id = $3 AND state = 'running'
                 RETURNING database_id)
             UPDATE databases SET identity = coalesce(identity, $7)
             FROM held WHERE databases.id = held.database_id RETURNING databases.identity",
        )
        .bind(lease.request().0)
        .bind(lease.epoch().0)
        .bind(lease.worker().0)
        .bind(product)
        .bind(version.as_str())
        .bind(&pack.0)
        .bind(identity)
        .fetch_optional(&self.pool)
        .await?;
        let identity = row.ok_or(LedgerError::LeaseLost(lease.request()))?.try_get("identity")?;
        self.expect(lease).await?;
        Ok(identity)
    }

    /// Notes how long the attempt is expected to take, which people are told, and which the outcome is compared with.
    async fn expect(&self, lease: &Lease) -> Result<(), LedgerError> {
        let request = self.request(None, lease.request()).await?;
        let Some(estimate) = self.estimate_of(&request).await? else { return Ok(()) };
        sqlx::query(
            "UPDATE requests SET expected_p50 = $4, expected_p90 = $5
             WHERE id = $1 AND epoch = $2 AND worker_id = $3 AND state = 'running'",
        )
        .bind(lease.request().0)
        .bind(lease.epoch().0)
        .bind(lease.worker().0)
        .bind(estimate.p50)
        .bind(estimate.p90)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Pins the source's sha256, which the first full read has computed. Gives back what is on record.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`], or the ledger's.
    pub async fn pin_source(&self, lease: &Lease, sha256: &str) -> Result<String, LedgerError> {
        let row = sqlx::query(
            "UPDATE requests SET source_sha256 = coalesce(source_sha256, $4)
             WHERE id = $1 AND epoch = $2 AND worker_id = $3 AND state = 'running'
             RETURNING source_sha256",
        )
        .bind(lease.request().0)
        .bind(lease.epoch().0)
        .bind(lease.worker().0)
        .bind(sha256)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.ok_or(LedgerError::LeaseLost(lease.request()))?.try_get("source_sha256")?)
    }

    /// Records that the attempt enters a stage, and that the one before it has ended well.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`], or the ledger's.
    pub async fn stage_entered(&self, lease: &Lease, stage: Stage) -> Result<(), LedgerError> {
        let inserted = sqlx::query(
            "WITH held AS (
                 SELECT id, epoch FROM requests
                 WHERE id = $1 AND epoch = $2 AND worker_id = $3 AND state = 'running' FOR SHARE),
             ended AS (
                 UPDATE stages SET ended_at = now() FROM held
                 WHERE request_id = held.id AND stages.epoch = held.epoch AND ended_at IS NULL)
             INSERT INTO stages (request_id, epoch, stage) SELECT id, epoch, $4 FROM held",
        )
        .bind(lease.request().0)
        .bind(lease.epoch().0)
        .bind(lease.worker().0)
        .bind(stage.as_str())
        .execute(&self.pool)
        .await?;
        touched(lease, inserted.rows_affected())
    }

    /// Records that a step begins, and what copying the database before it has cost.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`], or the ledger's.
    pub async fn step_started(
        &self,
        lease: &Lease,
        step: &str,
        checkpoint: Option<CheckpointCost>,
    ) -> Result<(), LedgerError> {
        let inserted = sqlx::query(
            "INSERT INTO steps (request_id, epoch, step, checkpoint_bytes, checkpoint_millis)
             SELECT id, epoch, $4, $5, $6 FROM requests
             WHERE id = $1 AND epoch = $2 AND worker_id = $3 AND state = 'running' FOR SHARE",
        )
        .bind(lease.request().0)
        .bind(lease.epoch().0)
        .bind(lease.worker().0)
        .bind(step)
        .bind(checkpoint.map(|cost| cost.bytes.cast_signed()))
        .bind(checkpoint.map(|cost| cost.millis.cast_signed()))
        .execute(&self.pool)
        .await?;
        touched(lease, inserted.rows_affected())
    }

    /// Records the state that the attempt has saved before the step that failed.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`], or the ledger's.
    pub async fn checkpoint_saved(&self, lease: &Lease, saved: &Saved) -> Result<(), LedgerError> {
        let updated = sqlx::query(
            "UPDATE attempts SET checkpoint = $4 FROM requests r
             WHERE r.id = $1 AND r.epoch = $2 AND r.worker_id = $3 AND r.state = 'running'
               AND request_id = r.id AND attempts.epoch = r.epoch",
        )
        .bind(lease.request().0)
        .bind(lease.epoch().0)
        .bind(lease.worker().0)
        .bind(json::storable(saved)?)
        .execute(&self.pool)
        .await?;
        touched(lease, updated.rows_affected())
    }

    /// The state that a request's newest attempt has saved, with that attempt; none once it was removed.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn checkpoint(&self, request: RequestId) -> Result<Option<(Epoch, Saved)>, LedgerError> {
        let row = sqlx::query(
            "SELECT a.epoch, a.checkpoint FROM attempts a JOIN requests r ON r.id = a.request_id AND r.epoch = a.epoch
             WHERE a.request_id = $1 AND a.checkpoint IS NOT NULL AND NOT a.checkpoint_swept",
        )
        .bind(request.0)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let saved: sqlx::types::Json<Saved> = row.try_get("checkpoint")?;
        Ok(Some((Epoch(row.try_get("epoch")?), saved.0)))
    }

    /// Records that a step has ended well.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`], or the ledger's.
    pub async fn step_done(&self, lease: &Lease, done: &StepDone) -> Result<(), LedgerError> {
        let updated = sqlx::query(
            "UPDATE steps SET ended_at = now(), rows = $5, notices = $6, millis = $7
             FROM requests r
             WHERE r.id = $1 AND r.epoch = $2 AND r.worker_id = $3 AND r.state = 'running'
               AND request_id = r.id AND steps.epoch = r.epoch AND step = $4",
        )
        .bind(lease.request().0)
        .bind(lease.epoch().0)
        .bind(lease.worker().0)
        .bind(&done.step)
        .bind(done.rows.cast_signed())
        .bind(done.notices.cast_signed())
        .bind(done.millis.cast_signed())
        .execute(&self.pool)
        .await?;
        touched(lease, updated.rows_affected())
    }

    /// The steps of a request's newest attempt, in the order in which they began.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn steps(&self, request: RequestId) -> Result<Vec<StepTime>, LedgerError> {
        let rows = sqlx::query(
            "SELECT step, millis FROM steps JOIN requests r ON r.id = request_id AND r.epoch = steps.epoch
             WHERE request_id = $1 ORDER BY steps.started_at, step",
        )
        .bind(request.0)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let millis: Option<i64> = row.try_get("millis")?;
                Ok(StepTime { step: row.try_get("step")?, millis: millis.map(i64::cast_unsigned) })
            })
            .collect()
    }

    /// Records a multipart upload before it is used, so that it can be aborted when its worker is gone. It may be said
    /// again.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`], or the ledger's.
    pub async fn upload_begun(&self, lease: &Lease, key: &str, upload: &str) -> Result<(), LedgerError> {
        let inserted = sqlx::query(
            "INSERT INTO uploads (request_id, epoch, key, upload_id)
             SELECT id, epoch, $4, $5 FROM requests
             WHERE id = $1 AND epoch = $2 AND worker_id = $3 AND state = 'running' FOR SHARE
             ON CONFLICT (key, upload_id) DO UPDATE SET epoch = excluded.epoch",
        )
        .bind(lease.request().0)
        .bind(lease.epoch().0)
        .bind(lease.worker().0)
        .bind(key)
        .bind(upload)
        .execute(&self.pool)
        .await?;
        touched(lease, inserted.rows_affected())
    }

    /// Forgets a multipart upload that was completed or aborted.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn upload_ended(&self, key: &str, upload: &str) -> Result<(), LedgerError> {
        sqlx::query("DELETE FROM uploads WHERE key = $1 AND upload_id = $2")
            .bind(key)
            .bind(upload)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Which of these attempts hold a lease that has not run out: what a reaper must not touch. A session's sandbox bears
    /// its session's id in place of a request's, and no epoch that an attempt has.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn live(
        &self,
        attempts: &[(RequestId, Epoch)],
    ) -> Result<Vec<(RequestId, Epoch)>, LedgerError> {
        let (ids, epochs): (Vec<Uuid>, Vec<i32>) =
            attempts.iter().map(|(request, epoch)| (request.0, epoch.0)).unzip();
        let rows = sqlx::query(
            "SELECT r.id, r.epoch FROM requests r JOIN unnest($1::uuid[], $2::int[]) AS a (id, epoch)
                 ON a.id = r.id AND a.epoch = r.epoch
             WHERE r.state = 'running' AND r.lease_until > now()
             UNION ALL
             SELECT id, 0 FROM sessions WHERE id = ANY ($1) AND ended_at IS NULL AND lease_until > now()",
        )
        .bind(ids)
        .bind(epochs)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok((RequestId(row.try_get("id")?), Epoch(row.try_get("epoch")?)))).collect()
    }
}

fn touched(lease: &Lease, rows: u64) -> Result<(), LedgerError> {
    if rows == 0 { Err(LedgerError::LeaseLost(lease.request())) } else { Ok(()) }
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
