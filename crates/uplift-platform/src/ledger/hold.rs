//! Hops that are held: where several accounts have failed alike, no new request runs into the same wall.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgConnection, Row as _};
use uplift_core::{HoldId, Lease, PackDigest, RequestId, request::Held};

use super::{Ledger, LedgerError, event, json};

/// A hop is held once this many accounts have failed alike on it: one may have odd data, and two may be a coincidence.
pub const HELD_AFTER_ACCOUNTS: i64 = 3;

/// A hop that is held, or was.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the ledger, described there")]
pub struct HeldHop {
    pub id: HoldId,
    pub product: String,
    pub pack: PackDigest,
    pub hop: String,
    pub fingerprint: String,
    pub pattern: String,
    pub accounts: i64,
    pub held_at: DateTime<Utc>,
    /// How many requests wait for it.
    pub waiting: i64,
}

/// Holds the hop where this is the account that makes it too many. What failed before the last release does not count.
pub(super) async fn hold_if_many(
    connection: &mut PgConnection,
    pack: &str,
    hop: &str,
    fingerprint: &str,
) -> Result<(), LedgerError> {
    let held = sqlx::query(
        "INSERT INTO held_hops (id, pack_digest, hop, fingerprint, accounts)
         SELECT $1, $2, $3, $4, many.accounts
         FROM (SELECT count(DISTINCT r.account_id) AS accounts
               FROM interventions i JOIN requests r ON r.id = i.request_id
               WHERE NOT r.canary AND i.fingerprint = $4 AND i.pack_digest = $2 AND i.opened_at > coalesce(
                   (SELECT max(released_at) FROM held_hops
                    WHERE pack_digest = $2 AND hop = $3 AND fingerprint = $4), '-infinity')) many
         WHERE many.accounts >= $5
         ON CONFLICT DO NOTHING RETURNING id, accounts",
    )
    .bind(HoldId::new().0)
    .bind(pack)
    .bind(hop)
    .bind(fingerprint)
    .bind(HELD_AFTER_ACCOUNTS)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(held) = held else { return Ok(()) };
    let hold = HoldId(held.try_get("id")?);
    let body = json!({
        "hold": hold, "pack": pack, "hop": hop, "fingerprint": fingerprint,
        "accounts": held.try_get::<i64, _>("accounts")?,
    });
    sqlx::query("INSERT INTO audit (actor, action, detail) VALUES ('ledger', 'hold_hop', $1)")
        .bind(&body)
        .execute(&mut *connection)
        .await?;
    event::tell(connection, "hop.held", &body).await
}

/// Lets a request wait that was just queued. Where the hold is over by now, it does not wait.
pub(super) async fn wait(
    connection: &mut PgConnection,
    request: RequestId,
    held: &Held,
) -> Result<(), LedgerError> {
    // Production is held by what it depends on, not by an attempt of its own.
    let Held::Hop { hold, .. } = held else { return Ok(()) };
    // The lock keeps a release from coming in between, which would not see this request.
    sqlx::query(
        "WITH held AS (SELECT FROM held_hops WHERE id = $2 AND released_at IS NULL FOR SHARE)
         UPDATE requests SET held = $3, held_at = now(), not_before = '9999-01-01',
             -- It begins with the pack that is current then.
             pack_digest = CASE purpose WHEN 'production' THEN pack_digest END
         FROM held WHERE id = $1",
    )
    .bind(request.0)
    .bind(hold.0)
    .bind(json::storable(held)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a hold whose row is locked, and queues what waits for it.
async fn release(
    connection: &mut PgConnection,
    hold: HoldId,
    actor: &str,
    reason: &str,
) -> Result<u64, LedgerError> {
    let freed = sqlx::query(
        "WITH over AS (
             UPDATE held_hops SET released_at = now(), released_by = $2, reason = $3
             WHERE id = $1 AND released_at IS NULL),
         freed AS (
             UPDATE requests SET held = NULL, held_at = NULL, not_before = greatest(now(), booked_for),
                 hinted_at = NULL
             WHERE held ->> 'hold' = $1::text RETURNING id)
         INSERT INTO audit (actor, action, request_id, detail)
         SELECT $2, 'free', id, jsonb_build_object('hold', $1, 'reason', $3) FROM freed",
    )
    .bind(hold.0)
    .bind(actor)
    .bind(reason)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let body = json!({ "hold": hold, "by": actor, "reason": reason, "freed": freed });
    sqlx::query("INSERT INTO audit (actor, action, detail) VALUES ($1, 'release_hop', $2)")
        .bind(actor)
        .bind(&body)
        .execute(&mut *connection)
        .await?;
    event::tell(connection, "hop.released", &body).await?;
    Ok(freed)
}

/// Ends all holds of a product's other packs: a new one has come.
pub(super) async fn release_replaced(
    connection: &mut PgConnection,
    product: &str,
    pack: &PackDigest,
    actor: &str,
) -> Result<(), LedgerError> {
    let replaced = sqlx::query_scalar(
        "SELECT h.id FROM held_hops h JOIN packs p ON p.digest = h.pack_digest
         WHERE p.product = $1 AND h.pack_digest <> $2 AND h.released_at IS NULL ORDER BY h.id FOR UPDATE OF h",
    )
    .bind(product)
    .bind(&pack.0)
    .fetch_all(&mut *connection)
    .await?;
    for hold in replaced {
        release(connection, HoldId(hold), actor, &format!("pack {pack} has come")).await?;
    }
    Ok(())
}

impl Ledger {
    /// What a new request with this pack and these hops has to wait for, if anything. Nothing waits that has gone over
    /// the hop or that somebody has looked at: production whose test was accepted, a request that was in intervention, a
    /// database with overrides of its own for the hop.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn held(
        &self,
        lease: &Lease,
        pack: &PackDigest,
        hops: &[String],
    ) -> Result<Option<Held>, LedgerError> {
        let row = sqlx::query(
            "SELECT h.id, h.hop FROM held_hops h JOIN requests r ON r.id = $1
             WHERE h.pack_digest = $2 AND h.hop = ANY ($3) AND h.released_at IS NULL
               AND (r.purpose = 'test' OR r.waived)
               AND NOT EXISTS (SELECT FROM interventions WHERE request_id = r.id)
               AND NOT EXISTS (SELECT FROM overrides o
                   WHERE o.database_id = r.database_id AND o.change ->> 'hop' = h.hop AND o.removed_at IS NULL)
             ORDER BY h.held_at LIMIT 1",
        )
        .bind(lease.request().0)
        .bind(&pack.0)
        .bind(hops)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok(Held::Hop { hold: HoldId(row.try_get("id")?), hop: row.try_get("hop")? }))
            .transpose()
    }

    /// The hops that are held, the oldest hold first.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn held_hops(&self) -> Result<Vec<HeldHop>, LedgerError> {
        let rows = sqlx::query(
            "SELECT h.*, p.product,
                 (SELECT count(*) FROM requests r WHERE r.held ->> 'hold' = h.id::text AND NOT r.canary) AS waiting,
                 (SELECT pattern FROM interventions i WHERE i.fingerprint = h.fingerprint LIMIT 1) AS pattern
             FROM held_hops h JOIN packs p ON p.digest = h.pack_digest
             WHERE h.released_at IS NULL ORDER BY h.held_at",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(HeldHop {
                    id: HoldId(row.try_get("id")?),
                    product: row.try_get("product")?,
                    pack: PackDigest(row.try_get("pack_digest")?),
                    hop: row.try_get("hop")?,
                    fingerprint: row.try_get("fingerprint")?,
                    pattern: row.try_get("pattern")?,
                    accounts: row.try_get("accounts")?,
                    held_at: row.try_get("held_at")?,
                    waiting: row.try_get("waiting")?,
                })
            })
            .collect()
    }

    /// Ends a hold, and queues what waited for it. Gives how many requests that were.
    ///
    /// # Errors
    /// There is no such hold, or it is over.
    pub async fn release_hop(&self, hold: HoldId, actor: &str, reason: &str) -> Result<u64, LedgerError> {
        let mut tx = self.pool.begin().await?;
        let held = sqlx::query("SELECT FROM held_hops WHERE id = $1 AND released_at IS NULL FOR UPDATE")
            .bind(hold.0)
            .fetch_optional(&mut *tx)
            .await?;
        if held.is_none() {
            return Err(LedgerError::NotFound("hold"));
        }
        let freed = release(&mut tx, hold, actor, reason).await?;
        tx.commit().await?;
        Ok(freed)
    }
}
