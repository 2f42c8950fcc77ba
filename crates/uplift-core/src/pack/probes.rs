//! What the engine asks a restored database, in the form in which it travels in a plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::Compare;
use crate::version::Version;

/// All questions of one pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// Such as `odoo`.
    pub product: String,
    /// Whether it is this product, and which version.
    pub detect: Detect,
    /// The invariants.
    pub reconcile: Vec<Reconcile>,
    /// What is known to break a hop.
    pub preflight: Vec<Preflight>,
    /// What goes into the `manifest.json` of a zip: rows of a key and a JSON value.
    pub manifest: Option<String>,
}

/// How a database is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Detect {
    /// Relations without which the pack does not apply.
    pub requires: Vec<String>,
    /// One text: the version. No row or NULL: not this product.
    pub version: String,
    /// One text that names the database for life.
    pub identity: Option<String>,
    /// Name and version of each custom module.
    pub modules: Option<String>,
}

/// An invariant, with a query for each range of versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconcile {
    /// Its name.
    pub name: String,
    /// For people.
    pub title: String,
    /// Whether a difference fails the upgrade.
    pub compare: Compare,
    /// Relations without which it is skipped.
    pub requires: Vec<String>,
    /// The query from a version on.
    pub queries: BTreeMap<Version, String>,
}

/// An invariant as it is asked of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileQuery {
    /// Its name.
    pub name: String,
    /// For people.
    pub title: String,
    /// Whether a difference fails the upgrade.
    pub compare: Compare,
    /// Relations without which it is skipped.
    pub requires: Vec<String>,
    /// Rows of a label and a value, both castable to text.
    pub query: String,
}

/// A query for data that is known to break a hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Preflight {
    /// Its name.
    pub name: String,
    /// Each row is a problem.
    pub query: String,
    /// What the rows mean.
    pub meaning: String,
    /// The SQL that mends them.
    pub mend: Option<String>,
    /// Relations without which it is not asked.
    pub requires: Vec<String>,
    /// Whether the upgrade cannot go on with them, and whose business that is.
    pub fatal: Option<Fatal>,
    /// The ends of the hop that they would break; it is asked where that is on the way, else always.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
    pub hop: Option<(Version, Version)>,
}

/// What becomes of a request whose database holds what the upgrade cannot go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Fatal {
    /// The customer mends it.
    Rejected,
    /// A person of ours looks.
    Intervention,
}

impl Preflight {
    /// Whether it concerns an upgrade from one version to another.
    #[must_use]
    pub fn concerns(&self, from: &Version, to: &Version) -> bool {
        self.hop.as_ref().is_none_or(|(begins, ends)| from <= begins && ends <= to)
    }
}

impl Reconcile {
    /// The query for a version: the one with the highest start that is not above it.
    #[must_use]
    pub fn at(&self, version: &Version) -> Option<ReconcileQuery> {
        let (_, query) = self.queries.range(..=version).next_back()?;
        Some(ReconcileQuery {
            name: self.name.clone(),
            title: self.title.clone(),
            compare: self.compare,
            requires: self.requires.clone(),
            query: query.clone(),
        })
    }
}

impl Probes {
    /// The invariants as they are asked of one version.
    #[must_use]
    pub fn reconcile_at(&self, version: &Version) -> Vec<ReconcileQuery> {
        self.reconcile.iter().filter_map(|reconcile| reconcile.at(version)).collect()
    }
}
