//! Scripts adjusted for one database: which there are, and which an attempt runs with.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgConnection, Row as _, postgres::PgRow, types::Json};
use uplift_core::{InterventionId, Lease, Override, OverrideId, PackDigest, RequestId};
use uuid::Uuid;

use super::{Conflict, Ledger, LedgerError, json, production};

/// An override on record.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the ledger, described there")]
pub struct OverrideEntry {
    pub id: OverrideId,
    pub account_name: String,
    pub database_name: String,
    pub product: String,
    pub change: Override,
    pub sha256: String,
    pub reason: String,
    pub intervention: Option<InterventionId>,
    pub pack: Option<PackDigest>,
    pub made_at: DateTime<Utc>,
    pub made_by: String,
    pub removed: Option<Removed>,
}

/// How an override ended.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the ledger, described there")]
pub struct Removed {
    pub at: DateTime<Utc>,
    pub by: String,
    pub because: String,
}

const SELECT: &str = "
    SELECT o.*, a.name AS account_name, d.name AS database_name
    FROM overrides o JOIN databases d ON d.id = o.database_id JOIN accounts a ON a.id = d.account_id";

/// The ids of a request's layer, in the order in which they apply.
const LAYER: &str = "
    SELECT o.id FROM overrides o
    WHERE CASE WHEN r.purpose = 'test' OR r.waived
        THEN o.database_id = r.database_id AND o.product = r.product AND o.removed_at IS NULL
        ELSE o.id = ANY ((SELECT t.overrides FROM requests t WHERE t.id = r.accepted_test)::uuid[]) END
    ORDER BY o.version";

impl Ledger {
    /// Adds an override for the database of a request, whose product is known. It applies behind those that are there.
    ///
    /// # Errors
    /// No attempt of the request has recognised its product yet.
    pub async fn add_override(
        &self,
        request: RequestId,
        change: &Override,
        reason: &str,
        actor: &str,
    ) -> Result<OverrideId, LedgerError> {
        let id = OverrideId::new();
        let mut tx = self.pool.begin().await?;
        let database = production::lock_database(&mut tx, request).await?;
        let added = sqlx::query(
            "WITH added AS (
                 INSERT INTO overrides (id, database_id, product, change, sha256, reason, intervention_id, pack_digest,
                     made_by)
                 SELECT $2, database_id, product, $3, $4, $5,
                     (SELECT i.id FROM interventions i WHERE i.request_id = r.id ORDER BY i.opened_at DESC LIMIT 1),
                     pack_digest, $6
                 FROM requests r WHERE r.id = $1 AND product IS NOT NULL RETURNING id)
             INSERT INTO audit (actor, action, request_id, detail)
             SELECT $6, 'add_override', $1, jsonb_build_object('override', id, 'says', $7::text, 'reason', $5)
             FROM added",
        )
        .bind(request.0)
        .bind(id.0)
        .bind(json::storable(change)?)
        .bind(change.sha256())
        .bind(reason)
        .bind(actor)
        .bind(change.to_string())
        .execute(&mut *tx)
        .await?;
        if added.rows_affected() == 0 {
            return Err(Conflict::Unrecognised(request).into());
        }
        production::look_again(&mut tx, database).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Ends an override: no attempt that begins from now on runs with it, apart from production whose accepted test did.
    ///
    /// # Errors
    /// There is none of that id.
    pub async fn remove_override(
        &self,
        id: OverrideId,
        because: &str,
        actor: &str,
    ) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let database: Option<Uuid> = sqlx::query_scalar("SELECT database_id FROM overrides WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&mut *tx)
            .await?;
        let database = database.ok_or(LedgerError::NotFound("override"))?;
        production::lock(&mut tx, database).await?;
        sqlx::query(
            "WITH removed AS (
                 UPDATE overrides SET removed_at = now(), removed_by = $2, removed_because = $3
                 WHERE id = $1 AND removed_at IS NULL RETURNING id)
             INSERT INTO audit (actor, action, detail) SELECT $2, 'remove_override', $4 FROM removed",
        )
        .bind(id.0)
        .bind(actor)
        .bind(because)
        .bind(json!({ "override": id, "reason": because }))
        .execute(&mut *tx)
        .await?;
        production::look_again(&mut tx, database).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Records that an override has become part of a pack.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn promoted(&self, id: OverrideId, pack: &str, actor: &str) -> Result<(), LedgerError> {
        sqlx::query("INSERT INTO audit (actor, action, detail) VALUES ($1, 'promote_override', $2)")
            .bind(actor)
            .bind(json!({ "override": id, "pack": pack }))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The overrides of a request's database, or of all databases, in the order in which they apply; those that have
    /// ended too, where wanted.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn overrides(
        &self,
        request: Option<RequestId>,
        removed: bool,
    ) -> Result<Vec<OverrideEntry>, LedgerError> {
        let sql = format!(
            "{SELECT} WHERE ($2 OR o.removed_at IS NULL)
               AND ($1::uuid IS NULL OR o.database_id = (SELECT database_id FROM requests WHERE id = $1))
             ORDER BY a.name, d.name, o.version"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(request.map(|request| request.0))
            .bind(removed)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(decode).collect()
    }

    /// Overrides of the hop that were made for databases after a failure of this fingerprint, and with which a request of
    /// theirs was delivered: the newest first, at most 20, none twice that says the same.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn solved_before(&self, fingerprint: &str) -> Result<Vec<OverrideEntry>, LedgerError> {
        let sql = format!(
            "{SELECT} WHERE o.version IN (
                 SELECT max(s.version) FROM interventions i
                     JOIN requests q ON q.id = i.request_id
                     JOIN overrides s ON s.database_id = q.database_id AND s.made_at >= i.opened_at
                         AND s.change ->> 'hop' = i.hop
                 WHERE i.fingerprint = $1 AND EXISTS (SELECT FROM requests r
                     WHERE r.database_id = s.database_id AND r.state = 'delivered' AND s.id = ANY (r.overrides))
                 GROUP BY s.sha256)
             ORDER BY o.version DESC LIMIT 20"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(fingerprint).fetch_all(&self.pool).await?;
        rows.iter().map(decode).collect()
    }

    /// One override.
    ///
    /// # Errors
    /// There is none of that id.
    pub async fn override_of(&self, id: OverrideId) -> Result<OverrideEntry, LedgerError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE o.id = $1")))
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await?;
        decode(&row.ok_or(LedgerError::NotFound("override"))?)
    }

    /// The layer that an attempt runs with, which is recorded: for a test the overrides of its database and product; for
    /// production those that its accepted test ran with, unless that was waived.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`], or the ledger's.
    pub async fn layer(&self, lease: &Lease) -> Result<Vec<OverrideEntry>, LedgerError> {
        let sql = format!(
            "UPDATE requests r SET overrides = ARRAY({LAYER})
             WHERE id = $1 AND epoch = $2 AND worker_id = $3 AND state = 'running' RETURNING overrides"
        );
        let held = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(lease.request().0)
            .bind(lease.epoch().0)
            .bind(lease.worker().0)
            .fetch_optional(&self.pool)
            .await?;
        let held = held.ok_or(LedgerError::LeaseLost(lease.request()))?;
        self.layer_of(held.try_get("overrides")?).await
    }

    /// The layer that an attempt of the request would run with if it began now.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn layer_now(&self, request: RequestId) -> Result<Vec<OverrideEntry>, LedgerError> {
        let sql = format!("SELECT ARRAY({LAYER}) FROM requests r WHERE r.id = $1");
        let ids = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(request.0).fetch_one(&self.pool).await?;
        self.layer_of(ids).await
    }

    /// The layer that the last attempt of a request ran with.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn layer_ran(&self, request: RequestId) -> Result<Vec<OverrideEntry>, LedgerError> {
        let ids = sqlx::query_scalar("SELECT overrides FROM requests WHERE id = $1")
            .bind(request.0)
            .fetch_one(&self.pool)
            .await?;
        self.layer_of(ids).await
    }

    async fn layer_of(&self, ids: Vec<Uuid>) -> Result<Vec<OverrideEntry>, LedgerError> {
        let sql = format!("{SELECT} WHERE o.id = ANY ($1) ORDER BY o.version");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(ids).fetch_all(&self.pool).await?;
        rows.iter().map(decode).collect()
    }
}

/// What an override says, in a line; for comparing layers.
pub(super) async fn says(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, String)>, LedgerError> {
    let rows = sqlx::query("SELECT id, change FROM overrides WHERE id = ANY ($1) ORDER BY version")
        .bind(ids)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let Json(change): Json<Override> = row.try_get("change")?;
            Ok((row.try_get("id")?, change.to_string()))
        })
        .collect()
}

fn decode(row: &PgRow) -> Result<OverrideEntry, LedgerError> {
    let Json(change) = row.try_get("change")?;
    let removed = match row.try_get("removed_at")? {
        Some(at) => Some(Removed {
            at,
            by: row.try_get("removed_by")?,
            because: row.try_get::<Option<String>, _>("removed_because")?.unwrap_or_default(),
        }),
        None => None,
    };
    Ok(OverrideEntry {
        id: OverrideId(row.try_get("id")?),
        account_name: row.try_get("account_name")?,
        database_name: row.try_get("database_name")?,
        product: row.try_get("product")?,
        change,
        sha256: row.try_get("sha256")?,
        reason: row.try_get("reason")?,
        intervention: row.try_get::<Option<Uuid>, _>("intervention_id")?.map(InterventionId),
        pack: row.try_get::<Option<String>, _>("pack_digest")?.map(PackDigest),
        made_at: row.try_get("made_at")?,
        made_by: row.try_get("made_by")?,
        removed,
    })
}
