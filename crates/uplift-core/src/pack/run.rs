//! A step that runs the product's own code, in an image of the pack's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A program of the product's, run to completion beside the job's Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Hop and name: `7.0-8.0/update`.
    pub id: String,
    /// Name and tag. Without a slash it is one of Uplift's own, such as `tryton:7.0`.
    pub image: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// More for its environment.
    pub env: BTreeMap<String, String>,
    /// How its log reads.
    pub log: Dialect,
    /// What may not be logged at, whatever the exit code says.
    pub fatal: Vec<Severity>,
    /// Regular expressions; a line that one of them finds something in is not fatal.
    pub tolerate: Vec<String>,
    /// Whether the files of a zip are unpacked for it.
    pub filestore: bool,
    /// Whether the database is copied before it.
    pub checkpoint: bool,
    /// It is killed after this many seconds.
    pub timeout_seconds: u64,
}

/// How a program writes its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Lines of whatever.
    #[default]
    Plain,
    /// `2026-11-25 10:00:00,000 7 INFO work odoo.modules.loading: Module sale loaded in 0.52s, 130 queries …`
    Odoo,
    /// `7 140… [2026-11-25 10:00:00,000] INFO trytond.modules sale:loading sale.xml`
    Tryton,
}

/// How bad a line is, by its program's own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the record.
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
    /// Everything failed.
    Critical,
}
