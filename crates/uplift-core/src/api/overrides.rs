//! The words about scripts that were adjusted for one database.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::overrides::Change;

/// `POST /api/v1/ops/overrides`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewOverride {
    /// A request of the database, or an intervention.
    pub subject: Uuid,
    /// The step that it is about: `17.0-18.0/partners`, or its name alone within the intervention's hop.
    pub step: String,
    /// What is to be other than in the pack.
    pub change: Change,
    /// Why.
    pub reason: String,
}

/// Something adjusted for one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OverrideView {
    /// Its id.
    pub id: Uuid,
    /// The customer's account.
    pub account: String,
    /// The customer's name for the database.
    pub database: String,
    /// Such as `odoo`.
    pub product: String,
    /// Such as `17.0-18.0`, or `custom`.
    pub hop: String,
    /// The step's name within the hop.
    pub step: String,
    /// In a line, such as `before 17.0-18.0/partners: fix.sql`.
    pub says: String,
    /// What is other than in the pack.
    pub change: Change,
    /// sha256 of all that it says, in lower-case hexadecimal.
    pub sha256: String,
    /// Why.
    pub reason: String,
    /// The intervention that it was made in.
    pub intervention: Option<Uuid>,
    /// The digest of the pack that it was written against.
    pub pack: Option<String>,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// By whom.
    pub made_by: String,
    /// When, by whom and why it was removed, where it was.
    pub removed: Option<RemovedView>,
}

/// How an override ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RemovedView {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: String,
    /// Why.
    pub because: String,
}
