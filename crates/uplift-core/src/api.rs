//! The words of the HTTP API, shared by the dispatcher that speaks them and the clients that read them.
//!
//! With the feature `openapi` each type also describes itself.

mod interventions;
mod notifications;
mod overrides;
mod products;
mod sessions;
mod uploads;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::{
    event::Level, failure::Failure, format::Format, purpose::Purpose, request::StateCode, scripts::Scripts,
};

pub use interventions::{
    Assignment, ClosedView, EntryView, HoldView, InterventionDetail, InterventionView, Reason, Released,
    Retried, RetryWanted, SavedView, Text,
};
pub use notifications::{DeliveryView, NewWebhook, WebhookData, WebhookMessage, WebhookView};
pub use overrides::{NewOverride, OverrideView, RemovedView};
pub use products::{AnnouncedView, EstimateView, ProductView, WayView};
pub use sessions::{SessionEnd, SessionLine, SessionLog, SessionView};
pub use uploads::{PartLink, PartLinks, PartsWanted, UploadCompleted, UploadState, UploadedPart};

/// `POST /api/v1/requests`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewRequest {
    /// The customer's name for the database: tests and production of one database share it.
    pub database: String,
    /// Test or production.
    pub purpose: Purpose,
    /// The version to go to, such as `18.0`.
    pub target: String,
    /// The dump's file name, for people.
    pub file_name: String,
    /// The dump's length in bytes.
    pub bytes: u64,
    /// The dump is still being made, and its parts are sent as it grows: `bytes` is what it has at most.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub growing: bool,
    /// What the result is to be packed as; as the dump, where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_format: Option<Format>,
    /// Who is to hear of it by mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Not to be begun before this time, at most 30 days from now; at once, where this is absent. The promise begins then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// The archive of the customer's own scripts, where one is attached. Production takes the very archive of its
    /// accepted test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts: Option<Scripts>,
}

/// The answer to a new request: how the dump is cut into parts, and where the scripts go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Created {
    /// The request.
    pub request: Request,
    /// How to cut the dump: every part but the last has this length, in bytes.
    pub part_bytes: u64,
    /// How many parts there are.
    pub parts: u32,
    /// `PUT` the scripts here before completing the upload; absent where none are attached. While they are not
    /// there, `GET /api/v1/requests/{id}/upload` gives a new link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts: Option<Url>,
}

/// A request as its customer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Request {
    /// Its id.
    pub id: Uuid,
    /// The account's name.
    pub account: String,
    /// The customer's name for the database.
    pub database: String,
    /// Test or production.
    pub purpose: Purpose,
    /// Whether it is a canary's, which counts in no figure of customers' upgrades.
    #[serde(default)]
    pub canary: bool,
    /// The product found in the dump, once known.
    pub product: Option<String>,
    /// The version found in the dump, once known.
    pub source_version: Option<String>,
    /// The version to go to.
    pub target: String,
    /// The archive of the customer's own scripts, where one is attached.
    pub scripts: Option<Scripts>,
    /// Where it is.
    pub state: StateCode,
    /// Why it is in `intervention` or `rejected`.
    pub failure: Option<FailureView>,
    /// Why it waits though it is queued, and since when.
    #[serde(default)]
    pub held: Option<HeldView>,
    /// What our engineers say about it.
    #[serde(default)]
    pub note: Option<String>,
    /// What was reported of it as wrong, until an engineer has answered.
    #[serde(default)]
    pub discrepancy: Option<String>,
    /// While running: what it does, and how far that is.
    pub progress: Option<Progress>,
    /// How long it takes, where that is known and it has not ended; a list leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<EstimateView>,
    /// Its place in the queue, from 1, while it waits for a worker; a list leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_place: Option<u64>,
    /// Once delivered: what lies ready.
    pub result: Option<ResultView>,
    /// Which attempt this is, from 1; 0 before the first.
    pub attempt: i32,
    /// When a test was accepted.
    pub accepted_at: Option<DateTime<Utc>>,
    /// Whether the customer has asked to cancel, and the worker has not yet heard.
    pub cancelling: bool,
    /// When it was submitted.
    pub created_at: DateTime<Utc>,
    /// When its upload was complete: here the promise begins, unless it is booked for later.
    pub uploaded_at: Option<DateTime<Utc>>,
    /// What it is booked for: it does not begin before, and nor does the promise.
    #[serde(default)]
    pub not_before: Option<DateTime<Utc>>,
    /// When the promise ends.
    pub deadline: Option<DateTime<Utc>>,
    /// When its first attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When its dump was removed, since it was time or somebody wanted it.
    #[serde(default)]
    pub source_deleted_at: Option<DateTime<Utc>>,
    /// When everything of it was: result, report and log.
    #[serde(default)]
    pub deleted_at: Option<DateTime<Utc>>,
}

/// A failure in words and in fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailureView {
    /// For people.
    pub message: String,
    /// For programs.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub failure: Failure,
}

/// Why a queued request waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldView {
    /// For programs.
    pub kind: HeldKind,
    /// For people.
    pub message: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// What a queued request waits for, though a worker may be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HeldKind {
    /// A hop on its way has failed for others, and is being mended.
    Hop,
    /// Production would not run as its accepted test ran.
    Production,
    /// The hour that it is booked for.
    Booked,
    /// Another request of its database.
    Database,
}

/// How far a running request is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progress {
    /// `fetch`, `restore`, `upgrade`, `dump`, `prove`, `settle`.
    pub stage: String,
    /// Bytes or steps of the stage done.
    pub done: Option<u64>,
    /// Bytes or steps of the stage in all.
    pub total: Option<u64>,
    /// How far the whole upgrade has been at most, in percent: this never goes backwards.
    #[serde(default)]
    pub percent: u8,
}

/// What a delivered request offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResultView {
    /// The file's name.
    pub file_name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its sha256, in lower-case hexadecimal.
    pub sha256: String,
}

/// A step of the newest attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepView {
    /// Its id: `1.0-2.0/split-partners`.
    pub step: String,
    /// How long it took, in milliseconds; absent while it runs.
    pub millis: Option<u64>,
}

/// `GET /api/v1/requests/{id}/explain`: why a request is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Explanation {
    /// What it waits for, or what is done with it.
    pub now: String,
    /// What happens next, and what that needs.
    pub next: String,
}

/// A list of requests, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RequestList {
    /// At most 100.
    pub requests: Vec<Request>,
    /// Give this as `before` for the next page; absent on the last one.
    pub next: Option<Uuid>,
}

/// A link to an object of a delivered request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Download {
    /// Where to `GET` it, for a while.
    pub url: Url,
    /// What to call it.
    pub file_name: String,
}

/// One event of the log's stream; its number is the event's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// When it was said.
    pub at: DateTime<Utc>,
    /// How loud.
    pub level: Level,
    /// What.
    pub text: String,
}

/// `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Names the kind: `urn:uplift:problem:not-found`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, to what, and what to do next.
    pub detail: String,
}

/// A pack on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PackView {
    /// What names it.
    pub digest: String,
    /// Such as `odoo`.
    pub product: String,
    /// The product's name, for people.
    pub title: String,
    /// When it was pushed last.
    pub pushed_at: DateTime<Utc>,
    /// By whom.
    pub pushed_by: String,
    /// When it was recalled.
    pub recalled_at: Option<DateTime<Utc>>,
    /// Whether new requests of its product use it.
    pub current: bool,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerView {
    /// The process.
    pub id: Uuid,
    /// The machine's name.
    pub host: String,
    /// The program's version.
    pub version: String,
    /// How many requests it takes at once.
    pub slots: i32,
    /// How many it has.
    pub busy: i32,
    /// It takes no more.
    pub draining: bool,
    /// Whether it was seen within the last minute.
    pub alive: bool,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it was seen last.
    pub seen_at: DateTime<Utc>,
}

/// `POST /api/v1/ops/tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// The account's name; it is made where it does not exist.
    pub account: String,
    /// `customer`, `canary`, `engineer` or `operator`.
    pub role: String,
    /// What it is for.
    pub label: String,
    /// Days for which it is valid, 1 to 3650.
    pub days: u32,
}

/// A token just issued. The secret is shown here and never again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IssuedToken {
    /// For revoking it.
    pub id: Uuid,
    /// What the bearer shows.
    pub secret: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}
