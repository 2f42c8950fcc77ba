//! Which packs there are. Their archives lie in the object store, under their digest.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uplift_core::{Pack, PackDigest};

use super::{Ledger, LedgerError, hold, production};

/// A pack on record.
#[derive(Clone, Debug)]
pub struct PackEntry {
    /// What names it.
    pub digest: PackDigest,
    /// Such as `odoo`.
    pub product: String,
    /// The product's name, for people.
    pub title: String,
    /// When it was pushed last.
    pub pushed_at: DateTime<Utc>,
    /// By whom.
    pub pushed_by: String,
    /// When it was recalled, if it was.
    pub recalled_at: Option<DateTime<Utc>>,
    /// Whether new requests of its product use it.
    pub current: bool,
}

impl Ledger {
    /// Makes a pack the current one of its product, which ends what is held because of the others. Its archive is in the
    /// object store by now.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn push_pack(&self, digest: &PackDigest, pack: &Pack, actor: &str) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query(
            "WITH pushed AS (
                 INSERT INTO packs (digest, product, title, pushed_by) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (digest) DO UPDATE SET pushed_at = clock_timestamp(), recalled_at = NULL)
             INSERT INTO audit (actor, action, detail)
             VALUES ($4, 'push_pack', jsonb_build_object('digest', $1::text, 'product', $2::text))",
        )
        .bind(&digest.0)
        .bind(pack.product())
        .bind(pack.title())
        .bind(actor)
        .execute(&mut *tx)
        .await?;
        hold::release_replaced(&mut tx, pack.product(), digest, actor).await?;
        // It may have been recalled before.
        production::recalled(&mut tx, digest).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes a pack out of use: no new request begins with it, and production that stands on it waits. Again, it changes
    /// nothing.
    ///
    /// # Errors
    /// There is no such pack.
    pub async fn recall_pack(
        &self,
        digest: &PackDigest,
        actor: &str,
        reason: &str,
    ) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let recalled = sqlx::query(
            "WITH recalled AS (
                 UPDATE packs SET recalled_at = coalesce(recalled_at, now()) WHERE digest = $1 RETURNING digest)
             INSERT INTO audit (actor, action, detail)
             SELECT $2, 'recall_pack', jsonb_build_object('digest', digest, 'reason', $3::text) FROM recalled",
        )
        .bind(&digest.0)
        .bind(actor)
        .bind(reason)
        .execute(&mut *tx)
        .await?;
        if recalled.rows_affected() == 0 {
            return Err(LedgerError::NotFound("pack"));
        }
        production::recalled(&mut tx, digest).await?;
        tx.commit().await?;
        Ok(())
    }

    /// All packs, by product, the newest first.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn packs(&self) -> Result<Vec<PackEntry>, LedgerError> {
        let rows = sqlx::query(
            "SELECT *, recalled_at IS NULL AND digest = first_value(digest) OVER (
                 PARTITION BY product ORDER BY recalled_at IS NOT NULL, pushed_at DESC) AS current
             FROM packs ORDER BY product, pushed_at DESC",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(PackEntry {
                    digest: PackDigest(row.try_get("digest")?),
                    product: row.try_get("product")?,
                    title: row.try_get("title")?,
                    pushed_at: row.try_get("pushed_at")?,
                    pushed_by: row.try_get("pushed_by")?,
                    recalled_at: row.try_get("recalled_at")?,
                    current: row.try_get("current")?,
                })
            })
            .collect()
    }
}
