//! The words about requests that wait for a person, and about hops that are held.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{FailureView, LogLine, OverrideView};
use crate::purpose::Purpose;

/// A request that waits for a person, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InterventionView {
    /// Its id.
    pub id: Uuid,
    /// The request that waits.
    pub request: Uuid,
    /// Which of its attempts failed.
    pub attempt: i32,
    /// The customer's account.
    pub account: String,
    /// The customer's name for the database.
    pub database: String,
    /// Test or production.
    pub purpose: Purpose,
    /// Such as `odoo`, where the attempt came to know it.
    pub product: Option<String>,
    /// The version found in the dump, where the attempt came to know it.
    pub source_version: Option<String>,
    /// The version to go to.
    pub target: String,
    /// The digest of the pack that failed.
    pub pack: Option<String>,
    /// Such as `17.0-18.0`, or `custom`; absent where the attempt failed outside the hops.
    pub hop: Option<String>,
    /// The step's name within the hop, or the stage.
    pub step: String,
    /// What failed: file, line, statement, SQLSTATE, or the product's own last words.
    pub failure: FailureView,
    /// What failed alike has the same.
    pub fingerprint: String,
    /// What the fingerprint is made of: the failure without its values.
    pub pattern: String,
    /// How many databases wait with this fingerprint, this one included.
    pub databases: i64,
    /// Of how many accounts they are.
    pub accounts: i64,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When the promise to the customer breaks.
    pub due_at: DateTime<Utc>,
    /// Who has claimed it, by the label of their token.
    pub engineer: Option<String>,
    /// Until when, unless they do something.
    pub claimed_until: Option<DateTime<Utc>>,
    /// What is said to the customer.
    pub note: Option<String>,
    /// The state before the step that failed, where it was saved.
    pub saved: Option<SavedView>,
    /// How it ended, where it has.
    pub closed: Option<ClosedView>,
}

/// A saved state: a dump in custom format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SavedView {
    /// Its length in bytes.
    pub bytes: u64,
    /// The major of the Postgres that wrote it.
    pub postgres_major: u16,
}

/// How an intervention ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClosedView {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: String,
    /// `retry`, `reject` or `cancel`: what became of the request.
    pub outcome: String,
    /// Why, where somebody said.
    pub reason: Option<String>,
}

/// An intervention with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InterventionDetail {
    /// The intervention.
    #[serde(flatten)]
    pub intervention: InterventionView,
    /// The last lines of the attempt's log, at most 200.
    pub lines: Vec<LogLine>,
    /// What was said and done, in the order of time.
    pub history: Vec<EntryView>,
    /// What was adjusted for databases that had failed alike and were delivered with it, the newest first.
    pub solved_before: Vec<OverrideView>,
}

/// Something said or done about an intervention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EntryView {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: String,
    /// `comment`, `claim`, `assign`, `release`, `note`, `retry` or `reject`.
    pub what: String,
    /// The comment, the note, the reason, or to whom it was assigned.
    pub text: Option<String>,
}

/// Something to say: a comment or a note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// At most 4000 characters.
    pub text: String,
}

/// Why something is done, for the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// At most 4000 characters, and not none.
    pub reason: String,
}

/// `POST /api/v1/ops/interventions/{id}/retry`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RetryWanted {
    /// What was done about it, for the audit.
    pub reason: String,
    /// Whether all are queued again that failed alike and that nobody else has claimed.
    #[serde(default)]
    pub alike: bool,
}

/// What was queued again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retried {
    /// The requests.
    pub requests: Vec<Uuid>,
}

/// `POST /api/v1/ops/interventions/{id}/assign`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The engineer, by the label or the id of their token.
    pub to: String,
}

/// A hop on which several accounts have failed alike: new requests wait until it is released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldView {
    /// Its id.
    pub id: Uuid,
    /// Such as `odoo`.
    pub product: String,
    /// The pack's digest; a new pack of the product ends the hold.
    pub pack: String,
    /// Such as `17.0-18.0`.
    pub hop: String,
    /// What failed alike.
    pub fingerprint: String,
    /// The same in words.
    pub pattern: String,
    /// How many accounts had failed when it began.
    pub accounts: i64,
    /// How many requests wait.
    pub waiting: i64,
    /// When it began.
    pub held_at: DateTime<Utc>,
}

/// A hold that was released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Released {
    /// How many requests go on.
    pub freed: u64,
}
