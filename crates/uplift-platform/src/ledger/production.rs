//! Production runs as its accepted test ran: on its pack, with its overrides. Where that is not how it would run today, it
//! waits, and says what differs, until a new test is accepted or an operator waives it.

use sqlx::{PgConnection, Row as _};
use uplift_core::{PackDigest, RequestId, Version, request::Held};
use uuid::Uuid;

use super::{Conflict, Ledger, LedgerError, event, json, overrides, transition};

/// Lets one at a time change what the production of a database depends on, or look at it.
pub(super) async fn lock(connection: &mut PgConnection, database: Uuid) -> Result<(), LedgerError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('uplift.production ' || $1::text))")
        .bind(database)
        .execute(connection)
        .await?;
    Ok(())
}

/// The same for the database of a request, which it gives.
pub(super) async fn lock_database(
    connection: &mut PgConnection,
    request: RequestId,
) -> Result<Uuid, LedgerError> {
    let database: Option<Uuid> = sqlx::query_scalar("SELECT database_id FROM requests WHERE id = $1")
        .bind(request.0)
        .fetch_optional(&mut *connection)
        .await?;
    let database = database.ok_or(LedgerError::NotFound("request"))?;
    lock(connection, database).await?;
    Ok(database)
}

/// Looks at a request that was queued just now, where it is a production.
pub(super) async fn queued(connection: &mut PgConnection, request: RequestId) -> Result<(), LedgerError> {
    let database: Option<Uuid> =
        sqlx::query_scalar("SELECT database_id FROM requests WHERE id = $1 AND purpose = 'production'")
            .bind(request.0)
            .fetch_optional(&mut *connection)
            .await?;
    let Some(database) = database else { return Ok(()) };
    lock(connection, database).await?;
    look(connection, request).await
}

/// Looks at all production of a database that is queued: whether it waits is decided anew.
pub(super) async fn look_again(connection: &mut PgConnection, database: Uuid) -> Result<(), LedgerError> {
    let queued: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM requests WHERE database_id = $1 AND purpose = 'production' AND state = 'queued'
         ORDER BY id FOR UPDATE",
    )
    .bind(database)
    .fetch_all(&mut *connection)
    .await?;
    for request in queued {
        look(connection, RequestId(request)).await?;
    }
    Ok(())
}

/// Holds a production that is queued and whose row is locked where its accepted test ran otherwise than it would, and lets
/// it go where it did not. Does nothing to a test.
async fn look(connection: &mut PgConnection, request: RequestId) -> Result<(), LedgerError> {
    let why = differs(connection, request).await?;
    let held = why.map(|message| Held::Production { message });
    let moved = sqlx::query(
        "UPDATE requests SET held = $2, held_at = CASE WHEN $2 IS NULL THEN NULL ELSE coalesce(held_at, now()) END,
             not_before = CASE WHEN $2 IS NULL THEN greatest(now(), booked_for) ELSE '9999-01-01' END,
             hinted_at = NULL
         WHERE id = $1 AND purpose = 'production' AND state = 'queued' AND held IS DISTINCT FROM $2
           AND (held IS NULL OR held ->> 'kind' = 'production')",
    )
    .bind(request.0)
    .bind(held.as_ref().map(json::storable).transpose()?)
    .execute(&mut *connection)
    .await?;
    if moved.rows_affected() == 0 {
        return Ok(());
    }
    let topic = if held.is_some() { "production.held" } else { "production.released" };
    event::tell(connection, topic, &serde_json::json!({ "request": request })).await
}

/// What is not as it was in the accepted test, in words; `None` where everything is, where that was waived, and for tests.
async fn differs(connection: &mut PgConnection, request: RequestId) -> Result<Option<String>, LedgerError> {
    let row = sqlx::query(
        "SELECT t.id, t.overrides, p.digest, p.recalled_at IS NOT NULL AS recalled, ARRAY(
             SELECT o.id FROM overrides o
             WHERE o.database_id = r.database_id AND o.product = t.product AND o.removed_at IS NULL
             ORDER BY o.version) AS now
         FROM requests r JOIN requests t ON t.id = r.accepted_test JOIN packs p ON p.digest = t.pack_digest
         WHERE r.id = $1 AND r.purpose = 'production' AND NOT r.waived",
    )
    .bind(request.0)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (tested, now): (Vec<Uuid>, Vec<Uuid>) = (row.try_get("overrides")?, row.try_get("now")?);
    let mut differences = Vec::new();
    if row.try_get("recalled")? {
        differences.push(format!("its pack {} was recalled", PackDigest(row.try_get("digest")?)));
    }
    for (id, says) in overrides::says(connection, &[&tested[..], &now[..]].concat()).await? {
        match (tested.contains(&id), now.contains(&id)) {
            (false, true) => differences.push(format!("`{says}` was added")),
            (true, false) => differences.push(format!("`{says}` was removed")),
            _ => {}
        }
    }
    let test: Uuid = row.try_get("id")?;
    Ok((!differences.is_empty())
        .then(|| format!("since the accepted test {test}, {}", differences.join(", "))))
}

/// Production that waits takes a test that was accepted just now.
pub(super) async fn accepted(connection: &mut PgConnection, test: RequestId) -> Result<(), LedgerError> {
    let database = lock_database(connection, test).await?;
    let waiting = sqlx::query(
        "SELECT r.id, r.target, t.target AS tested FROM requests r JOIN requests t ON t.database_id = r.database_id
         WHERE t.id = $1 AND r.purpose = 'production' AND r.state = 'queued' AND r.held ->> 'kind' = 'production'
           AND r.scripts_sha256 IS NOT DISTINCT FROM t.scripts_sha256",
    )
    .bind(test.0)
    .fetch_all(&mut *connection)
    .await?;
    for row in waiting {
        // Compared as versions: 17 and 17.0 are one target.
        let version =
            |column| row.try_get::<String, _>(column)?.parse::<Version>().map_err(LedgerError::Unreadable);
        if version("target")? == version("tested")? {
            sqlx::query(
                "UPDATE requests r SET accepted_test = t.id, pack_digest = t.pack_digest
                 FROM requests t WHERE r.id = $1 AND t.id = $2",
            )
            .bind(row.try_get::<Uuid, _>("id")?)
            .bind(test.0)
            .execute(&mut *connection)
            .await?;
        }
    }
    look_again(connection, database).await
}

/// Looks at all production that stands on a pack which was recalled just now, or has come back. Those that are not queued
/// yet count too: one that is being queued at this moment is waited for.
pub(super) async fn recalled(connection: &mut PgConnection, pack: &PackDigest) -> Result<(), LedgerError> {
    let databases: Vec<Uuid> = sqlx::query_scalar(
        "SELECT DISTINCT database_id FROM requests
         WHERE pack_digest = $1 AND purpose = 'production' AND finished_at IS NULL ORDER BY database_id",
    )
    .bind(&pack.0)
    .fetch_all(&mut *connection)
    .await?;
    for database in databases {
        lock(connection, database).await?;
        look_again(connection, database).await?;
    }
    Ok(())
}

impl Ledger {
    /// Lets a production run as things are now, although its accepted test ran otherwise: with the overrides of today, and
    /// on the current pack where the test's was recalled.
    ///
    /// # Errors
    /// It is a test, or has ended.
    pub async fn waive(&self, request: RequestId, reason: &str, actor: &str) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let state = transition::lock(&mut tx, request).await?;
            if state.is_final() {
                return Err(Conflict::State { request, state, wish: "be waived" }.into());
            }
            let waived = sqlx::query(
                "WITH waived AS (
                     UPDATE requests r SET waived = true, pack_digest = CASE WHEN EXISTS (
                         SELECT FROM packs WHERE digest = r.pack_digest AND recalled_at IS NOT NULL)
                         THEN NULL ELSE r.pack_digest END
                     WHERE id = $1 AND purpose = 'production' RETURNING id)
                 INSERT INTO audit (actor, action, request_id, detail)
                 SELECT $2, 'waive', id, jsonb_build_object('reason', $3::text) FROM waived",
            )
            .bind(request.0)
            .bind(actor)
            .bind(reason)
            .execute(&mut *tx)
            .await?;
            if waived.rows_affected() == 0 {
                return Err(Conflict::NotProduction(request).into());
            }
            look(&mut tx, request).await
        }
        .await;
        transition::end(tx, done).await
    }
}
