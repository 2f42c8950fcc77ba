//! What customers and operators do to a request: submit, complete the upload, accept, cancel, retry.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uplift_core::{
    AccountId, Format, PackDigest, Purpose, RequestId, Scripts, Version,
    request::{State, StateCode, Transition},
};
use uuid::Uuid;

use super::{Bearer, Conflict, Ledger, LedgerError, Request, Role, account, production, request, transition};

/// A new request.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Chosen by the caller, so that the upload can be prepared before the ledger knows of it.
    pub request: RequestId,
    /// The customer's name for the database.
    pub database: String,
    /// Test or production.
    pub purpose: Purpose,
    /// The version to go to.
    pub target: Version,
    /// Who is to hear of it by mail.
    pub email: Option<String>,
    /// Not to be begun before; at once, where this is empty.
    pub booked_for: Option<DateTime<Utc>>,
    /// The dump's file name, for people.
    pub source_name: String,
    /// The dump's length as announced, in bytes: the upload has to have it.
    pub source_bytes: u64,
    /// The dump is still being made: that is what it has at most.
    pub source_grows: bool,
    /// What the result is to be packed as; as the dump, where this is empty.
    pub result_format: Option<Format>,
    /// The same key again gives the same request again.
    pub idempotency_key: Option<String>,
    /// The trace that the submission belongs to.
    pub traceparent: Option<String>,
    /// The multipart upload that waits for the dump's parts.
    pub upload_id: String,
    /// The archive of the customer's own scripts, where one is attached, and the multipart upload that waits for it.
    pub scripts: Option<(Scripts, String)>,
}

impl Submission {
    fn scripts(&self) -> Option<&Scripts> {
        self.scripts.as_ref().map(|(scripts, _)| scripts)
    }
}

/// What became of a submission.
#[derive(Debug)]
pub enum Submitted {
    /// The request is new.
    New(Box<Request>),
    /// The idempotency key was used before, for this request.
    Known(Box<Request>),
}

/// The uploaded dump, as the object store knows it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its length.
    pub bytes: u64,
    /// Its ETag, pinned: another one is another object.
    pub etag: String,
    /// Its sha256, where the client has told it.
    pub sha256: Option<String>,
}

impl Ledger {
    /// Records a new request that waits for its upload.
    ///
    /// # Errors
    /// A production request without an accepted test or with other scripts than its test ran with, or an idempotency
    /// key used for something else.
    pub async fn submit(&self, bearer: &Bearer, wish: &Submission) -> Result<Submitted, LedgerError> {
        // First, since what was possible when the key was new may not be so any more.
        if let Some(known) = self.known(bearer.account, wish).await? {
            return Ok(known);
        }
        let mut tx = self.pool.begin().await?;
        let database = account::database(&mut tx, bearer.account, &wish.database).await?;
        let accepted = match wish.purpose {
            Purpose::Test => None,
            Purpose::Production => Some(accepted_test(&mut tx, database, wish).await?),
        };
        let inserted = sqlx::query(
            "WITH submitted AS (
                 INSERT INTO requests (id, account_id, database_id, purpose, target, state, idempotency_key,
                     traceparent, upload_id, source_name, source_bytes, accepted_test, pack_digest, result_format,
                     scripts_bytes, scripts_sha256, scripts_upload_id, booked_for, source_grows,
                     notify_email, promise_seconds, canary)
                 VALUES ($1, $2, $3, $4, $5, 'awaiting_upload', $6, $7, $8, $9, $10, $11, $12, $13, $15, $16, $17, $18, $19,
                     $20, $21, $22)
                 ON CONFLICT (account_id, idempotency_key) DO NOTHING RETURNING id)
             INSERT INTO audit (actor, action, request_id) SELECT $14, 'submit', id FROM submitted",
        )
        .bind(wish.request.0)
        .bind(bearer.account.0)
        .bind(database)
        .bind(wish.purpose.as_str())
        .bind(wish.target.as_str())
        .bind(wish.idempotency_key.as_deref())
        .bind(wish.traceparent.as_deref())
        .bind(&wish.upload_id)
        .bind(&wish.source_name)
        .bind(wish.source_bytes.cast_signed())
        .bind(accepted.as_ref().map(|(test, _)| test))
        .bind(accepted.as_ref().map(|(_, pack)| &pack.0))
        .bind(wish.result_format.map(Format::as_str))
        .bind(bearer.actor())
        .bind(wish.scripts().map(|scripts| scripts.bytes.cast_signed()))
        .bind(wish.scripts().map(|scripts| &scripts.sha256))
        .bind(wish.scripts.as_ref().map(|(_, upload)| upload))
        .bind(wish.booked_for)
        .bind(wish.source_grows)
        .bind(wish.email.as_deref())
        .bind(i32::try_from(self.promise.as_secs()).unwrap_or(i32::MAX))
        .bind(bearer.role == Role::Canary)
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            // The same came in twice at once, and the other one was faster.
            tx.rollback().await?;
            return self.known(bearer.account, wish).await?.ok_or(LedgerError::NotFound("request"));
        }
        tx.commit().await?;
        Ok(Submitted::New(Box::new(request::read(&self.pool, wish.request).await?)))
    }

    /// The request of an idempotency key, where it was used before.
    async fn known(&self, account: AccountId, wish: &Submission) -> Result<Option<Submitted>, LedgerError> {
        let Some(key) = &wish.idempotency_key else { return Ok(None) };
        let id: Option<Uuid> =
            sqlx::query_scalar("SELECT id FROM requests WHERE account_id = $1 AND idempotency_key = $2")
                .bind(account.0)
                .bind(key)
                .fetch_optional(&self.pool)
                .await?;
        let Some(id) = id else { return Ok(None) };
        let known = self.request(Some(account), RequestId(id)).await?;
        let same = known.database_name == wish.database
            && known.purpose == wish.purpose
            && known.target == wish.target
            && (known.source_grows || known.source_bytes == Some(wish.source_bytes))
            && known.source_grows == wish.source_grows
            && known.booked_for == wish.booked_for
            && known.result_format == wish.result_format
            && known.scripts.as_ref() == wish.scripts();
        if same {
            Ok(Some(Submitted::Known(Box::new(known))))
        } else {
            Err(Conflict::KeyReused(known.id).into())
        }
    }

    /// The upload is complete: the request may be claimed, and the promise begins. Again for a request that is
    /// beyond this is no error, so that a client may repeat itself.
    ///
    /// # Errors
    /// The request was cancelled.
    pub async fn uploaded(
        &self,
        request: RequestId,
        source: &Source,
        actor: &str,
    ) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            // This touches no index, and locks the row.
            let told = sqlx::query(
                "UPDATE requests SET source_bytes = $2, source_etag = $3, source_sha256 = $4
                 WHERE id = $1 AND state = 'awaiting_upload'",
            )
            .bind(request.0)
            .bind(source.bytes.cast_signed())
            .bind(&source.etag)
            .bind(source.sha256.as_deref())
            .execute(&mut *tx)
            .await?;
            let state = match told.rows_affected() {
                0 => transition::lock(&mut tx, request).await?,
                _ => StateCode::AwaitingUpload,
            };
            if !matches!(state, StateCode::AwaitingUpload | StateCode::Cancelled) {
                return Ok(());
            }
            transition::apply(&mut tx, request, state, Transition::Upload, &State::Queued, actor).await
        }
        .await;
        transition::end(tx, done).await
    }

    /// The customer accepts a delivered test: production of the same database and target is open.
    ///
    /// # Errors
    /// It is not a delivered test.
    pub async fn accept(&self, request: RequestId, actor: &str) -> Result<DateTime<Utc>, LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let state = transition::lock(&mut tx, request).await?;
            if state != StateCode::Delivered {
                return Err(Conflict::State { request, state, wish: "be accepted" }.into());
            }
            let row = sqlx::query(
                "WITH accepted AS (
                     UPDATE requests SET accepted_at = coalesce(accepted_at, now())
                     WHERE id = $1 AND purpose = 'test' RETURNING id, accepted_at),
                 audited AS (
                     INSERT INTO audit (actor, action, request_id) SELECT $2, 'accept', id FROM accepted)
                 SELECT accepted_at FROM accepted",
            )
            .bind(request.0)
            .bind(actor)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or(Conflict::NotATest(request))?;
            production::accepted(&mut tx, request).await?;
            Ok(row.try_get("accepted_at")?)
        }
        .await;
        transition::end(tx, done).await
    }

    /// Takes a request back. A running one is told to its worker, which ends it within a renewal.
    ///
    /// # Errors
    /// It has ended.
    pub async fn cancel(&self, request: RequestId, actor: &str) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let state = transition::lock(&mut tx, request).await?;
            if state == StateCode::Running {
                sqlx::query(
                    "WITH told AS (UPDATE requests SET cancel_at = coalesce(cancel_at, now()) WHERE id = $1)
                     INSERT INTO audit (actor, action, request_id) VALUES ($2, 'ask_to_cancel', $1)",
                )
                .bind(request.0)
                .bind(actor)
                .execute(&mut *tx)
                .await?;
            } else if state != StateCode::Cancelled {
                transition::apply(&mut tx, request, state, Transition::Cancel, &State::Cancelled, actor)
                    .await?;
            }
            Ok(())
        }
        .await;
        transition::end(tx, done).await
    }

    /// Queues a request again whose intervention is over, whoever has claimed that.
    ///
    /// # Errors
    /// It is not in intervention.
    pub async fn retry(&self, request: RequestId, actor: &str) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        let done = async {
            let state = transition::lock(&mut tx, request).await?;
            queue_again(&mut tx, request, state, actor).await
        }
        .await;
        transition::end(tx, done).await
    }
}

/// Queues a request again whose row is locked. A test takes the pack that is current then: what failed may be mended
/// there. Production stays with the pack of its accepted test. Its earlier failures are not held against it.
pub(super) async fn queue_again(
    connection: &mut sqlx::PgConnection,
    request: RequestId,
    state: StateCode,
    actor: &str,
) -> Result<(), LedgerError> {
    transition::apply(connection, request, state, Transition::Retry, &State::Queued, actor).await?;
    sqlx::query(
        "WITH forgiven AS (UPDATE attempts SET counted = false WHERE request_id = $1)
         UPDATE requests SET pack_digest = CASE purpose WHEN 'production' THEN pack_digest END
         WHERE id = $1",
    )
    .bind(request.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// The newest accepted test of the database and target, and the pack that it ran on. What ran there has to run here.
async fn accepted_test(
    connection: &mut sqlx::PgConnection,
    database: Uuid,
    wish: &Submission,
) -> Result<(Uuid, PackDigest), LedgerError> {
    let rows = sqlx::query(
        "SELECT r.id, r.target, r.pack_digest, r.scripts_bytes, r.scripts_sha256 FROM requests r
         WHERE r.database_id = $1 AND r.purpose = 'test' AND r.state = 'delivered'
           AND r.accepted_at IS NOT NULL
         ORDER BY r.accepted_at DESC, r.id DESC",
    )
    .bind(database)
    .fetch_all(connection)
    .await?;
    for row in rows {
        // Compared as versions: 17 and 17.0 are one target.
        let target: Version = row.try_get::<String, _>("target")?.parse().map_err(LedgerError::Unreadable)?;
        if target != wish.target {
            continue;
        }
        let pack = PackDigest(row.try_get("pack_digest")?);
        let (test, tested) = (row.try_get("id")?, request::scripts(&row)?);
        if tested.as_ref() != wish.scripts() {
            let brought = wish.scripts().cloned();
            return Err(Conflict::OtherScripts { test: RequestId(test), tested, brought }.into());
        }
        return Ok((test, pack));
    }
    Err(Conflict::NoAcceptedTest { database: wish.database.clone(), target: wish.target.clone() }.into())
}
