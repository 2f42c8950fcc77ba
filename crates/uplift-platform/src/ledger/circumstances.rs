//! What a request waits for, beyond its own row.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uplift_core::RequestId;

use super::{Ledger, LedgerError, worker::GONE_SECONDS};

/// What stands around a request.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Workers that are alive and take requests.
    pub workers: i64,
    /// Slots of theirs that are free.
    pub free_slots: i64,
    /// How many requests of its account run, and how many may at once.
    pub running_of_account: (i64, i32),
    /// How its newest attempt ended, where it ended without a result: its number, and where it stood.
    pub last_failure: Option<(i32, String)>,
    /// When its open intervention was opened, and whether an engineer has claimed it.
    pub intervention: Option<(DateTime<Utc>, bool)>,
}

impl Ledger {
    /// What stands around a request.
    ///
    /// # Errors
    /// No such request.
    pub async fn circumstances(&self, request: RequestId) -> Result<Circumstances, LedgerError> {
        let row = sqlx::query(
            "SELECT w.alive, w.free, a.max_running,
                 (SELECT count(*) FROM requests o WHERE o.account_id = r.account_id AND o.state = 'running') AS running,
                 t.epoch AS failed_epoch, coalesce(t.place, '') AS place, i.opened_at, i.claimed_until > now() AS claimed
             FROM requests r JOIN accounts a ON a.id = r.account_id
             LEFT JOIN LATERAL (SELECT epoch, place FROM attempts
                 WHERE request_id = r.id AND epoch = r.epoch AND failure IS NOT NULL) t ON true
             LEFT JOIN interventions i ON i.request_id = r.id AND i.closed_at IS NULL
             CROSS JOIN LATERAL (
                 SELECT count(*) AS alive, coalesce(sum(greatest(w.slots - held, 0)), 0)::bigint AS free
                 FROM workers w, LATERAL (SELECT count(*) AS held FROM requests o
                     WHERE o.worker_id = w.id AND o.state = 'running') AS busy
                 WHERE NOT w.draining AND w.seen_at > now() - make_interval(secs => $2)) w
             WHERE r.id = $1",
        )
        .bind(request.0)
        .bind(GONE_SECONDS)
        .fetch_optional(&self.pool)
        .await?
        .ok_or(LedgerError::NotFound("request"))?;
        let opened: Option<DateTime<Utc>> = row.try_get("opened_at")?;
        let failed: Option<i32> = row.try_get("failed_epoch")?;
        Ok(Circumstances {
            workers: row.try_get("alive")?,
            free_slots: row.try_get("free")?,
            running_of_account: (row.try_get("running")?, row.try_get("max_running")?),
            last_failure: failed.zip(Some(row.try_get("place")?)),
            intervention: match opened {
                Some(at) => Some((at, row.try_get::<Option<bool>, _>("claimed")? == Some(true))),
                None => None,
            },
        })
    }
}
