//! Requests as they are read.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgPool, Row as _, postgres::PgRow};
use uplift_core::{
    AccountId, DatabaseId, Epoch, Format, PackDigest, Purpose, RequestId, Scripts, Version, WorkerId,
    event::Stage,
    request::{Held, State, StateCode},
};
use uuid::Uuid;

use super::{Ledger, LedgerError, transition};

/// A request, whole.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the ledger, described there")]
pub struct Request {
    pub id: RequestId,
    pub account: AccountId,
    pub account_name: String,
    pub database: DatabaseId,
    pub database_name: String,
    pub purpose: Purpose,
    /// Whether it is a canary's, which counts in no figure of customers' upgrades.
    pub canary: bool,
    pub target: Version,
    pub state: State,
    pub traceparent: Option<String>,
    pub upload_id: Option<String>,
    pub source_name: String,
    pub source_bytes: Option<u64>,
    pub source_grows: bool,
    pub source_etag: Option<String>,
    pub source_sha256: Option<String>,
    pub scripts: Option<Scripts>,
    pub scripts_upload_id: Option<String>,
    pub result_format: Option<Format>,
    pub product: Option<String>,
    pub source_version: Option<Version>,
    pub pack: Option<PackDigest>,
    pub accepted_at: Option<DateTime<Utc>>,
    pub epoch: Epoch,
    pub worker: Option<WorkerId>,
    pub not_before: DateTime<Utc>,
    pub cancel_at: Option<DateTime<Utc>>,
    /// Why it waits though it is queued, and since when.
    pub held: Option<(Held, DateTime<Utc>)>,
    /// What its engineer says to the customer.
    pub note: Option<String>,
    /// What its customer has reported, until it is answered.
    pub discrepancy: Option<String>,
    pub stage: Option<Stage>,
    pub progress: Option<(u64, u64)>,
    /// How far it has been at most, in percent.
    pub percent: u8,
    /// When its attempt began, while it runs.
    pub attempt_began: Option<DateTime<Utc>>,
    pub log_lines: u64,
    pub created_at: DateTime<Utc>,
    pub uploaded_at: Option<DateTime<Utc>>,
    pub booked_for: Option<DateTime<Utc>>,
    pub promised_from: Option<DateTime<Utc>>,
    /// What is promised to it: from then to delivery.
    pub promise: TimeDelta,
    /// Whether the hour that it is booked for has not come.
    pub early: bool,
    /// The request of the same database that runs meanwhile: there is one at a time.
    pub busy_with: Option<RequestId>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub source_deleted_at: Option<DateTime<Utc>>,
    pub deleted_at: Option<DateTime<Utc>>,
}

impl Request {
    /// When it has to be delivered, once its promise has begun.
    #[must_use]
    pub fn deadline(&self) -> Option<DateTime<Utc>> {
        Some(self.promised_from? + self.promise)
    }
}

/// Which requests to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of one account; all where `None`.
    pub account: Option<AccountId>,
    /// In one state.
    pub state: Option<StateCode>,
    /// Of databases of this name.
    pub database: Option<String>,
    /// For this purpose.
    pub purpose: Option<Purpose>,
    /// Of a product, such as `odoo`.
    pub product: Option<String>,
    /// Submitted since.
    pub since: Option<DateTime<Utc>>,
    /// Older than this request: the last one of the page before.
    pub before: Option<RequestId>,
}

/// How many requests a page of a list holds.
const PAGE: i64 = 100;

/// A request's row and the names that belong to it.
const SELECT: &str = "SELECT r.*, a.name AS account_name, d.name AS database_name,
         -- What was said about a failure that is overcome says nothing any more.
         (SELECT i.note FROM interventions i WHERE i.request_id = r.id
              AND (r.state NOT IN ('delivered', 'cancelled') OR i.failure ->> 'code' = 'discrepancy')
          ORDER BY i.opened_at DESC LIMIT 1) AS note,
         (SELECT i.failure ->> 'message' FROM interventions i WHERE i.request_id = r.id AND r.state = 'delivered'
              AND i.closed_at IS NULL LIMIT 1) AS discrepancy,
         CASE r.state WHEN 'queued' THEN (SELECT o.id FROM requests o
             WHERE o.database_id = r.database_id AND o.state = 'running' AND o.id <> r.id LIMIT 1) END AS busy_with,
         r.booked_for > now() AS early,
         CASE r.state WHEN 'running' THEN (SELECT t.started_at FROM attempts t
             WHERE t.request_id = r.id AND t.epoch = r.epoch) END AS attempt_began
     FROM requests r JOIN accounts a ON a.id = r.account_id JOIN databases d ON d.id = r.database_id ";

impl Ledger {
    /// One request, of the given account where one is given.
    ///
    /// # Errors
    /// No such request in that account.
    pub async fn request(
        &self,
        account: Option<AccountId>,
        request: RequestId,
    ) -> Result<Request, LedgerError> {
        let sql = format!("{SELECT} WHERE r.id = $1 AND ($2::uuid IS NULL OR r.account_id = $2)");
        sqlx::query_as::<_, Decoded>(sqlx::AssertSqlSafe(sql))
            .bind(request.0)
            .bind(account.map(|account| account.0))
            .fetch_optional(&self.pool)
            .await?
            .ok_or(LedgerError::NotFound("request"))?
            .0
    }

    /// Requests, newest first, at most 100.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn requests(&self, filter: &Filter) -> Result<Vec<Request>, LedgerError> {
        let sql = format!(
            "{SELECT} WHERE ($1::uuid IS NULL OR r.account_id = $1) AND ($2::text IS NULL OR r.state = $2)
               AND ($3::text IS NULL OR d.name = $3) AND ($4::uuid IS NULL OR r.id < $4)
               AND ($6::text IS NULL OR r.purpose = $6) AND ($7::text IS NULL OR r.product = $7)
               AND ($8::timestamptz IS NULL OR r.created_at >= $8)
             ORDER BY r.id DESC LIMIT $5"
        );
        sqlx::query_as::<_, Decoded>(sqlx::AssertSqlSafe(sql))
            .bind(filter.account.map(|account| account.0))
            .bind(filter.state.map(StateCode::as_str))
            .bind(filter.database.as_deref())
            .bind(filter.before.map(|request| request.0))
            .bind(PAGE)
            .bind(filter.purpose.map(Purpose::as_str))
            .bind(filter.product.as_deref())
            .bind(filter.since)
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|decoded| decoded.0)
            .collect()
    }
}

/// How many databases are shown together.
const DATABASES: i64 = 50;

/// How many requests of each.
const NEWEST: i64 = 5;

impl Ledger {
    /// The newest five requests, and the test that was accepted last, of each of the 50 databases that were last handed in:
    /// database by database, each from its newest request on.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn newest_by_database(&self, account: Option<AccountId>) -> Result<Vec<Request>, LedgerError> {
        let sql = format!(
            "{SELECT} JOIN (
                 SELECT database_id, max(created_at) AS newest FROM requests
                 WHERE $1::uuid IS NULL OR account_id = $1 GROUP BY database_id ORDER BY newest DESC LIMIT $2
             ) b ON b.database_id = r.database_id
             WHERE r.id IN (
                 (SELECT id FROM requests WHERE database_id = b.database_id ORDER BY id DESC LIMIT $3)
                 UNION ALL
                 (SELECT id FROM requests WHERE database_id = b.database_id AND accepted_at IS NOT NULL
                  ORDER BY accepted_at DESC LIMIT 1))
             ORDER BY b.newest DESC, r.database_id, r.id DESC"
        );
        sqlx::query_as::<_, Decoded>(sqlx::AssertSqlSafe(sql))
            .bind(account.map(|account| account.0))
            .bind(DATABASES)
            .bind(NEWEST)
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|decoded| decoded.0)
            .collect()
    }
}

/// Reads one request inside the ledger's own code.
pub(super) async fn read(pool: &PgPool, request: RequestId) -> Result<Request, LedgerError> {
    Ledger::of(pool.clone()).request(None, request).await
}

/// A row that may hold what this program does not understand.
struct Decoded(Result<Request, LedgerError>);

impl<'r> FromRow<'r, PgRow> for Decoded {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(decode(row)))
    }
}

/// Reads a request's row and the names that belong to it.
pub(super) fn decode(row: &PgRow) -> Result<Request, LedgerError> {
    let code: StateCode = text(row, "state")?;
    let progress = number(row, "progress_done")?.zip(number(row, "progress_total")?);
    Ok(Request {
        id: RequestId(row.try_get("id")?),
        account: AccountId(row.try_get("account_id")?),
        account_name: row.try_get("account_name")?,
        database: DatabaseId(row.try_get("database_id")?),
        database_name: row.try_get("database_name")?,
        purpose: text(row, "purpose")?,
        canary: row.try_get("canary")?,
        target: text(row, "target")?,
        state: transition::state(code, row.try_get::<Option<Value>, _>("outcome")?)?,
        traceparent: row.try_get("traceparent")?,
        upload_id: row.try_get("upload_id")?,
        source_name: row.try_get("source_name")?,
        source_bytes: number(row, "source_bytes")?,
        source_grows: row.try_get("source_grows")?,
        source_etag: row.try_get("source_etag")?,
        source_sha256: row.try_get("source_sha256")?,
        scripts: scripts(row)?,
        scripts_upload_id: row.try_get("scripts_upload_id")?,
        result_format: optional(row, "result_format")?,
        product: row.try_get("product")?,
        source_version: optional(row, "source_version")?,
        pack: row.try_get::<Option<String>, _>("pack_digest")?.map(PackDigest),
        accepted_at: row.try_get("accepted_at")?,
        epoch: Epoch(row.try_get("epoch")?),
        worker: row.try_get::<Option<Uuid>, _>("worker_id")?.map(WorkerId),
        not_before: row.try_get("not_before")?,
        cancel_at: row.try_get("cancel_at")?,
        held: held(row)?,
        note: row.try_get("note")?,
        discrepancy: row.try_get("discrepancy")?,
        stage: optional(row, "stage")?,
        progress,
        percent: u8::try_from(row.try_get::<i16, _>("percent")?).unwrap_or(100),
        attempt_began: row.try_get("attempt_began")?,
        log_lines: number(row, "log_lines")?.unwrap_or(0),
        created_at: row.try_get("created_at")?,
        uploaded_at: row.try_get("uploaded_at")?,
        booked_for: row.try_get("booked_for")?,
        promised_from: row.try_get("promised_from")?,
        promise: TimeDelta::seconds(row.try_get::<i32, _>("promise_seconds")?.into()),
        early: row.try_get::<Option<bool>, _>("early")?.unwrap_or(false),
        busy_with: row.try_get::<Option<Uuid>, _>("busy_with")?.map(RequestId),
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        source_deleted_at: row.try_get("source_deleted_at")?,
        deleted_at: row.try_get("deleted_at")?,
    })
}

/// The scripts that a request's row names.
pub(super) fn scripts(row: &PgRow) -> Result<Option<Scripts>, LedgerError> {
    let sha256: Option<String> = row.try_get("scripts_sha256")?;
    Ok(number(row, "scripts_bytes")?.zip(sha256).map(|(bytes, sha256)| Scripts { bytes, sha256 }))
}

fn held(row: &PgRow) -> Result<Option<(Held, DateTime<Utc>)>, LedgerError> {
    let held = row.try_get::<Option<Value>, _>("held")?.map(serde_json::from_value).transpose();
    let held = held.map_err(|error| LedgerError::Unreadable(error.to_string()))?;
    Ok(held.zip(row.try_get("held_at")?))
}

fn text<T: std::str::FromStr<Err = String>>(row: &PgRow, column: &str) -> Result<T, LedgerError> {
    row.try_get::<String, _>(column)?.parse().map_err(LedgerError::Unreadable)
}

fn optional<T: std::str::FromStr<Err = String>>(row: &PgRow, column: &str) -> Result<Option<T>, LedgerError> {
    row.try_get::<Option<String>, _>(column)?
        .map(|text| text.parse().map_err(LedgerError::Unreadable))
        .transpose()
}

fn number(row: &PgRow, column: &str) -> Result<Option<u64>, LedgerError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(i64::cast_unsigned))
}
