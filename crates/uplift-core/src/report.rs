//! What an upgrade did, for programs (`report.json`) and as the source of what people read.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    event::{Files, Finding, Health, Invariant, LeftOut, Module, Stage, Table, Timing},
    format::Format,
    id::{Epoch, OverrideId, PackDigest, RequestId},
    purpose::Purpose,
    scripts::Scripts,
    version::Version,
};

/// The report of a delivered request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which request.
    pub request: RequestId,
    /// Which attempt delivered.
    pub epoch: Epoch,
    /// The customer's name for the database.
    pub database: String,
    /// Test or production.
    pub purpose: Purpose,
    /// Such as `odoo`.
    pub product: String,
    /// Such as `Odoo`, for people.
    pub product_title: String,
    /// The version that came in.
    pub source_version: Version,
    /// The version that goes out.
    pub target_version: Version,
    /// Every version on the way, both ends included.
    pub path: Vec<Version>,
    /// The pack that did it.
    pub pack: PackDigest,
    /// The customer's own scripts, which ran behind the hops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts: Option<Scripts>,
    /// What was adjusted for this database, in the order in which it applied.
    #[serde(default)]
    pub overrides: Vec<OverrideReport>,
    /// sha256 of the dump that came in.
    pub source_sha256: String,
    /// sha256 of the dump that goes out.
    pub result_sha256: String,
    /// Its length in bytes, and the result's.
    pub sizes: Sizes,
    /// What the dump that came in was packed as, and the one that goes out.
    pub formats: Formats,
    /// The major of the Postgres that it ran on.
    pub postgres_major: u16,
    /// The oldest major of Postgres that the result restores on.
    pub restores_from: u16,
    /// What lies beside the result in a zip: what lay beside the dump, byte for byte, and what the upgrade added.
    pub files: Option<Files>,
    /// How many of those the upgrade added.
    #[serde(default)]
    pub files_added: u64,
    /// When the attempt began, and how long each stage took.
    pub started_at: DateTime<Utc>,
    /// In the order of time.
    pub stages: Vec<StageTime>,
    /// In the order of time.
    pub steps: Vec<StepReport>,
    /// What became of each table.
    pub tables: Vec<TableChange>,
    /// The invariants, before and after.
    pub reconcile: Vec<Reconciliation>,
    /// What preflight found.
    pub preflight: Vec<Finding>,
    /// What is not as sound as it should be in the result.
    pub health: Health,
    /// What restore left out.
    pub left_out: Vec<LeftOut>,
    /// Custom modules, which the standard upgrade does not cover.
    pub custom_modules: Vec<Module>,
    /// What a person should try.
    pub test_by_hand: Vec<String>,
    /// Whether the result was neutralized.
    pub neutralized: bool,
    /// Whether the very bytes of the result were restored again and found equal.
    pub proven: bool,
}

/// Something that was adjusted for this database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideReport {
    /// Which.
    pub id: OverrideId,
    /// What it says, such as `before 17.0-18.0/partners: fix.sql`.
    pub says: String,
    /// sha256 of all that it says, its script included.
    pub sha256: String,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub made_at: DateTime<Utc>,
}

/// The formats of both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Formats {
    /// The dump that came in.
    pub source: Format,
    /// The dump that goes out.
    pub result: Format,
}

/// Lengths in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// The dump that came in.
    pub source: u64,
    /// The same after decompression.
    pub expanded: u64,
    /// The restored database.
    pub database: u64,
    /// The dump that goes out.
    pub result: u64,
}

/// How long a stage took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTime {
    /// Which.
    pub stage: Stage,
    /// In milliseconds.
    pub millis: u64,
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// Hop and name.
    pub step: String,
    /// Rows that its statements touched.
    pub rows: u64,
    /// Notices and warnings that it raised.
    pub notices: u64,
    /// In milliseconds.
    pub millis: u64,
    /// What the product's own code said of its parts, the slowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timings: Vec<Timing>,
    /// What the copy cost that was made before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointCost>,
}

/// What a copy of the database cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointCost {
    /// Disk, in bytes.
    pub bytes: u64,
    /// Time, in milliseconds.
    pub millis: u64,
}

/// What became of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChange {
    /// Schema and name.
    pub table: String,
    /// Rows before; `None` where the table is new.
    pub rows_before: Option<u64>,
    /// Rows after; `None` where the table is gone.
    pub rows_after: Option<u64>,
    /// Columns that were not there before.
    pub columns_added: Vec<String>,
    /// Columns that are there no more.
    pub columns_dropped: Vec<String>,
}

/// An invariant before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciliation {
    /// As it was after restore.
    pub before: Invariant,
    /// As it is in the result.
    pub after: Invariant,
    /// Whether the items are equal.
    pub equal: bool,
}

impl Reconciliation {
    /// Puts the invariants of both ends side by side, by name.
    #[must_use]
    pub fn pair(before: &[Invariant], after: &[Invariant]) -> Vec<Self> {
        before
            .iter()
            .filter_map(|before| {
                let after = after.iter().find(|after| after.name == before.name)?;
                Some(Self {
                    before: before.clone(),
                    after: after.clone(),
                    equal: before.items == after.items,
                })
            })
            .collect()
    }
}

/// One label of an invariant, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconciliationRow<'a> {
    /// The label.
    pub label: &'a str,
    /// Its value after restore.
    pub before: Option<&'a str>,
    /// Its value in the result.
    pub after: Option<&'a str>,
}

impl Reconciliation {
    /// The labels of both ends, in order, each with both values.
    #[must_use]
    pub fn rows(&self) -> Vec<ReconciliationRow<'_>> {
        let before: BTreeMap<_, _> = pairs(&self.before.items).collect();
        let after: BTreeMap<_, _> = pairs(&self.after.items).collect();
        let labels: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
        labels
            .into_iter()
            .map(|label| ReconciliationRow {
                label,
                before: before.get(label).copied(),
                after: after.get(label).copied(),
            })
            .collect()
    }
}

fn pairs(items: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    items.iter().map(|(label, value)| (label.as_str(), value.as_str()))
}

impl TableChange {
    /// Every table of either end, in the order of their names.
    #[must_use]
    pub fn between(before: &[Table], after: &[Table]) -> Vec<Self> {
        let find = |tables: &[Table], name: &str| tables.iter().find(|table| table.name == name).cloned();
        let mut names: Vec<&str> = before.iter().chain(after).map(|table| table.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .map(|name| Self::of(name, find(before, name).as_ref(), find(after, name).as_ref()))
            .collect()
    }

    fn of(name: &str, before: Option<&Table>, after: Option<&Table>) -> Self {
        let columns = |table: Option<&Table>| table.map(|table| table.columns.clone()).unwrap_or_default();
        let (old, new) = (columns(before), columns(after));
        let missing_in = |there: &[String], here: &[String]| -> Vec<String> {
            here.iter().filter(|column| !there.contains(column)).cloned().collect()
        };
        Self {
            table: name.to_owned(),
            rows_before: before.map(|table| table.rows),
            rows_after: after.map(|table| table.rows),
            columns_added: missing_in(&old, &new),
            columns_dropped: missing_in(&new, &old),
        }
    }
}
