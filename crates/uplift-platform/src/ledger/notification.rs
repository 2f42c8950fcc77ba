//! What customers are told of their requests, by mail and by webhooks: written with what it tells of, sent by any dispatcher, at
//! least once, with an id that stays.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uplift_core::{AccountId, RequestId, request::Transition};
use uuid::Uuid;

use super::{Bearer, Ledger, LedgerError};

/// How many are sent at once.
const BATCH: i64 = 20;

/// For how long nobody else sends what was taken, in seconds: longer than any sending takes.
const TAKEN: f64 = 90.0;

/// Where an account wants to hear of its requests.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the ledger, described there")]
pub struct Webhook {
    pub id: Uuid,
    pub url: String,
    pub created_at: DateTime<Utc>,
    pub disabled_at: Option<DateTime<Utc>>,
    pub disabled_why: Option<String>,
}

/// Something that was told, or is to be.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the ledger, described there")]
pub struct Notification {
    pub id: Uuid,
    pub request: RequestId,
    pub topic: String,
    pub at: DateTime<Utc>,
    pub attempts: u32,
    pub next_at: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub said: Option<String>,
}

/// Something to send now.
#[derive(Clone, Debug)]
pub struct Due {
    /// What.
    pub notification: Notification,
    /// Where to.
    pub way: Way,
}

/// Where something is sent.
#[derive(Clone, Debug)]
pub enum Way {
    /// To an address.
    Mail(String),
    /// To a server, signed.
    Webhook {
        /// Which.
        id: Uuid,
        /// Where it is.
        url: String,
        /// What signs.
        secret: String,
    },
}

/// What became of sending something.
#[derive(Clone, Debug)]
pub enum Sent {
    /// The other side has it.
    Delivered(String),
    /// It is tried again after so long.
    Later(String, Duration),
    /// It is not tried again.
    GivenUp(String),
    /// The other side wants nothing any more.
    Unwanted(String),
}

/// What is told of a transition.
const fn topic(transition: Transition) -> Option<&'static str> {
    match transition {
        Transition::Upload => Some("request.in_progress"),
        Transition::Deliver => Some("request.delivered"),
        Transition::Intervene => Some("request.needs_attention"),
        Transition::Reject => Some("request.rejected"),
        Transition::Claim | Transition::Requeue | Transition::Retry | Transition::Cancel => None,
    }
}

/// Notes what is to be told of a transition that is being made.
pub(super) async fn note(
    connection: &mut PgConnection,
    request: RequestId,
    transition: Transition,
) -> Result<(), LedgerError> {
    match topic(transition) {
        Some(topic) => tell(connection, request, topic).await,
        None => Ok(()),
    }
}

/// Notes that something is to be told of a request.
pub(super) async fn tell(
    connection: &mut PgConnection,
    request: RequestId,
    topic: &str,
) -> Result<(), LedgerError> {
    sqlx::query(
        "INSERT INTO notifications (request_id, topic, webhook_id, email)
         SELECT r.id, $2, w.id, NULL FROM requests r JOIN webhooks w ON w.account_id = r.account_id
         WHERE r.id = $1 AND w.disabled_at IS NULL AND w.removed_at IS NULL
         UNION ALL
         SELECT id, $2, NULL, notify_email FROM requests WHERE id = $1 AND notify_email IS NOT NULL",
    )
    .bind(request.0)
    .bind(topic)
    .execute(connection)
    .await?;
    Ok(())
}

impl Ledger {
    /// Takes what is due, at most 20; nobody else gets it for a minute and a half.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn take_notifications(&self) -> Result<Vec<Due>, LedgerError> {
        let rows = sqlx::query(
            "WITH taken AS (
                 UPDATE notifications SET next_at = now() + make_interval(secs => $2), attempts = attempts + 1
                 WHERE id IN (SELECT id FROM notifications WHERE next_at <= now()
                              ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED)
                 RETURNING *)
             SELECT t.*, w.url, w.secret FROM taken t LEFT JOIN webhooks w ON w.id = t.webhook_id",
        )
        .bind(BATCH)
        .bind(TAKEN)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let way = match row.try_get::<Option<Uuid>, _>("webhook_id")? {
                    Some(id) => Way::Webhook { id, url: row.try_get("url")?, secret: row.try_get("secret")? },
                    None => Way::Mail(row.try_get("email")?),
                };
                Ok(Due { notification: notification(row)?, way })
            })
            .collect()
    }

    /// Writes down what became of one that was taken.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn told(&self, due: &Due, told: &Sent) -> Result<(), LedgerError> {
        let (said, later, delivered) = match told {
            Sent::Delivered(said) => (said, None, true),
            Sent::Later(said, after) => (said, Some(after.as_secs_f64()), false),
            Sent::GivenUp(said) | Sent::Unwanted(said) => (said, None, false),
        };
        let mut tx = self.pool.begin().await?;
        sqlx::query(
            "UPDATE notifications SET said = $2, next_at = now() + make_interval(secs => $3),
                 delivered_at = CASE WHEN $4 THEN now() END
             WHERE id = $1",
        )
        .bind(due.notification.id)
        .bind(said)
        .bind(later)
        .bind(delivered)
        .execute(&mut *tx)
        .await?;
        if let (Sent::Unwanted(why), Way::Webhook { id, .. }) = (told, &due.way) {
            sqlx::query(
                "WITH disabled AS (
                     UPDATE webhooks SET disabled_at = coalesce(disabled_at, now()), disabled_why = $2 WHERE id = $1)
                 UPDATE notifications SET next_at = NULL WHERE webhook_id = $1 AND delivered_at IS NULL",
            )
            .bind(id)
            .bind(why)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Adds a webhook to the bearer's account.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn add_webhook(
        &self,
        bearer: &Bearer,
        url: &str,
        secret: &str,
    ) -> Result<Webhook, LedgerError> {
        let id = Uuid::now_v7();
        let row = sqlx::query(
            "WITH audited AS (INSERT INTO audit (actor, action, detail)
                 VALUES ($5, 'add_webhook', jsonb_build_object('webhook', $1::uuid)))
             INSERT INTO webhooks (id, account_id, url, secret, created_by) VALUES ($1, $2, $3, $4, $5) RETURNING *",
        )
        .bind(id)
        .bind(bearer.account.0)
        .bind(url)
        .bind(secret)
        .bind(bearer.actor())
        .fetch_one(&self.pool)
        .await?;
        webhook(&row)
    }

    /// An account's webhooks, the oldest first.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn webhooks(&self, account: AccountId) -> Result<Vec<Webhook>, LedgerError> {
        let sql = "SELECT * FROM webhooks WHERE account_id = $1 AND removed_at IS NULL ORDER BY id";
        let rows = sqlx::query(sql).bind(account.0).fetch_all(&self.pool).await?;
        rows.iter().map(webhook).collect()
    }

    /// Removes a webhook of the bearer's account; what it was still to be told is not told.
    ///
    /// # Errors
    /// The account has none of that id.
    pub async fn remove_webhook(&self, bearer: &Bearer, id: Uuid) -> Result<(), LedgerError> {
        let removed = sqlx::query(
            "WITH removed AS (
                 UPDATE webhooks SET removed_at = now() WHERE id = $1 AND account_id = $2 AND removed_at IS NULL
                 RETURNING id),
             untold AS (UPDATE notifications n SET next_at = NULL FROM removed WHERE n.webhook_id = removed.id)
             INSERT INTO audit (actor, action, detail)
             SELECT $3, 'remove_webhook', jsonb_build_object('webhook', id) FROM removed",
        )
        .bind(id)
        .bind(bearer.account.0)
        .bind(bearer.actor())
        .execute(&self.pool)
        .await?;
        one(removed.rows_affected(), "webhook")
    }

    /// Uses a webhook again that was disabled.
    ///
    /// # Errors
    /// The account has none of that id.
    pub async fn enable_webhook(&self, bearer: &Bearer, id: Uuid) -> Result<Webhook, LedgerError> {
        let row = sqlx::query(
            "UPDATE webhooks SET disabled_at = NULL, disabled_why = NULL
             WHERE id = $1 AND account_id = $2 AND removed_at IS NULL RETURNING *",
        )
        .bind(id)
        .bind(bearer.account.0)
        .fetch_optional(&self.pool)
        .await?;
        webhook(&row.ok_or(LedgerError::NotFound("webhook"))?)
    }

    /// What a webhook of an account was told, the newest first, at most 100.
    ///
    /// # Errors
    /// The account has none of that id.
    pub async fn deliveries(&self, account: AccountId, id: Uuid) -> Result<Vec<Notification>, LedgerError> {
        if !self.webhooks(account).await?.iter().any(|webhook| webhook.id == id) {
            return Err(LedgerError::NotFound("webhook"));
        }
        let sql = "SELECT * FROM notifications WHERE webhook_id = $1 ORDER BY at DESC, id LIMIT 100";
        let rows = sqlx::query(sql).bind(id).fetch_all(&self.pool).await?;
        rows.iter().map(notification).collect()
    }

    /// Tells something again, from the first attempt on.
    ///
    /// # Errors
    /// The account was told no such thing by a webhook that is in use.
    pub async fn replay(&self, account: AccountId, id: Uuid) -> Result<Notification, LedgerError> {
        let row = sqlx::query(
            "UPDATE notifications n SET next_at = now(), attempts = 0, delivered_at = NULL, said = NULL
             FROM webhooks w WHERE n.id = $1 AND w.id = n.webhook_id AND w.account_id = $2
               AND w.removed_at IS NULL AND w.disabled_at IS NULL
             RETURNING n.*",
        )
        .bind(id)
        .bind(account.0)
        .fetch_optional(&self.pool)
        .await?;
        notification(&row.ok_or(LedgerError::NotFound("delivery of a webhook that is in use"))?)
    }
}

fn one(rows: u64, what: &'static str) -> Result<(), LedgerError> {
    if rows == 0 { Err(LedgerError::NotFound(what)) } else { Ok(()) }
}

fn webhook(row: &PgRow) -> Result<Webhook, LedgerError> {
    Ok(Webhook {
        id: row.try_get("id")?,
        url: row.try_get("url")?,
        created_at: row.try_get("created_at")?,
        disabled_at: row.try_get("disabled_at")?,
        disabled_why: row.try_get("disabled_why")?,
    })
}

fn notification(row: &PgRow) -> Result<Notification, LedgerError> {
    Ok(Notification {
        id: row.try_get("id")?,
        request: RequestId(row.try_get("request_id")?),
        topic: row.try_get("topic")?,
        at: row.try_get("at")?,
        attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
        next_at: row.try_get("next_at")?,
        delivered_at: row.try_get("delivered_at")?,
        said: row.try_get("said")?,
    })
}
