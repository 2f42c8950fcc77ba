//! What can be upgraded to what, and how long it takes.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::pack::{Detect, Preflight};

/// A product that can be upgraded, as its current pack has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProductView {
    /// Such as `odoo`.
    pub product: String,
    /// Its name, for people.
    pub title: String,
    /// The versions that may be asked for.
    pub targets: Vec<String>,
    /// Those that are to come.
    pub announced: Vec<AnnouncedView>,
    /// How to tell that a database is of this product, and at which version.
    pub detect: Detect,
}

/// A version that is to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnnouncedView {
    /// The version.
    pub version: String,
    /// The day on which it is expected to be ready.
    pub expected: NaiveDate,
}

/// `GET /api/v1/products/{product}/way`: how a database would get from one version to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WayView {
    /// The versions on the way, the target the last one; empty where there is no way.
    pub versions: Vec<String>,
    /// Why there is no way, and where there are ways instead.
    pub refusal: Option<String>,
    /// What to ask the database before it is upgraded: each row is a problem.
    pub preflight: Vec<Preflight>,
    /// How long it takes, where that is known.
    pub estimate: Option<EstimateView>,
}

/// How long an upgrade takes, by how long those before it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EstimateView {
    /// Half of those before took no longer, in seconds.
    pub p50_seconds: u64,
    /// Nine of ten took no longer, in seconds.
    pub p90_seconds: u64,
    /// Whether those were of this very database; else of others that went the same way and were about as large.
    pub own: bool,
    /// How many those were.
    pub samples: u64,
    /// Whether this one has been running for longer than nine in ten.
    pub longer_than_usual: bool,
}
