//! What the engine says: one JSON line each, on its stderr. The last one of a good run is [`Event::Done`].

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    failure::Failure,
    format::Format,
    pack::{Compare, Fatal},
    version::Version,
};

/// Exit codes of the engine. They repeat what the last event says, so that one checks the other.
pub mod exit {
    /// Everything was done, and [`super::Event::Done`] was said.
    pub const DONE: i64 = 0;
    /// The input is at fault: [`super::Failure::InputRejected`].
    pub const INPUT_REJECTED: i64 = 65;
    /// A pack's script is at fault: [`super::Failure::ScriptFailed`].
    pub const SCRIPT_FAILED: i64 = 66;
    /// Anything else.
    pub const INFRASTRUCTURE: i64 = 70;

    /// The code with which the engine ends when it fails so.
    #[must_use]
    pub const fn of(failure: &super::Failure) -> i64 {
        use super::Failure;
        match failure {
            Failure::InputRejected(_) => INPUT_REJECTED,
            Failure::ScriptFailed(_) => SCRIPT_FAILED,
            Failure::LeaseLost { .. }
            | Failure::Infrastructure { .. }
            | Failure::Released { .. }
            | Failure::Held(_)
            | Failure::DeadlinePassed { .. }
            | Failure::OutOfMemory { .. }
            | Failure::OutOfDisk { .. }
            | Failure::Cancelled
            | Failure::Discrepancy { .. } => INFRASTRUCTURE,
        }
    }
}

/// One line of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The engine lives: said every ten seconds, so that silence means something.
    Alive,
    /// A line for the customer's log.
    Log {
        /// How loud.
        level: Level,
        /// What.
        text: String,
    },
    /// How far the stage is.
    Progress {
        /// Which.
        stage: Stage,
        /// Bytes or steps done.
        done: u64,
        /// Bytes or steps in all.
        total: u64,
    },
    /// What the dump's first bytes tell.
    Sniffed(Sniffed),
    /// The dump is restored.
    Restored(Restored),
    /// A pack has recognised the database.
    Detected(Detected),
    /// A preflight query found something.
    Preflight(Finding),
    /// The tables as they are now: after restore, and again before the dump.
    Tables {
        /// In the order of their names.
        tables: Vec<Table>,
    },
    /// The invariants as they are now: after restore, and again before the dump.
    Reconciled {
        /// In the pack's order.
        invariants: Vec<Invariant>,
    },
    /// A step begins.
    StepStarted {
        /// Its id.
        step: String,
    },
    /// The database was copied before a step.
    Checkpointed(Checkpointed),
    /// A step has ended well.
    StepDone(StepDone),
    /// The files beside the dump, as they go into the result: those that came in and those that the upgrade added.
    Files(Files),
    /// What is not as sound as it should be, before the dump.
    Health(Health),
    /// The run has failed. Nothing follows.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// The run is through. Nothing follows.
    Done {
        /// What was read behind the plan.
        read: Digest,
        /// What was written to stdout.
        wrote: Digest,
    },
}

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For the record.
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Where an attempt is. The order is the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading the first bytes, opening the sandbox.
    Fetch,
    /// The dump goes into Postgres.
    Restore,
    /// Hop by hop.
    Upgrade,
    /// The result comes out and goes to the object store.
    Dump,
    /// The result goes into a second database and is compared.
    Prove,
    /// The report is stored and the ledger told.
    Settle,
}

impl Stage {
    /// All, in the order of time.
    pub const ALL: [Self; 6] =
        [Self::Fetch, Self::Restore, Self::Upgrade, Self::Dump, Self::Prove, Self::Settle];

    /// The word used in the API, in the ledger and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Restore => "restore",
            Self::Upgrade => "upgrade",
            Self::Dump => "dump",
            Self::Prove => "prove",
            Self::Settle => "settle",
        }
    }

    /// How far a whole upgrade is, in percent, that has done so much of so much of this stage.
    #[must_use]
    pub fn percent(self, progress: Option<(u64, u64)>) -> u8 {
        // What the stages of upgrades of real databases took, rounded: a bar need not be more exact than that.
        let (begins, ends) = match self {
            Self::Fetch => (0, 2),
            Self::Restore => (2, 20),
            Self::Upgrade => (20, 75),
            Self::Dump => (75, 88),
            Self::Prove => (88, 98),
            Self::Settle => (98, 100),
        };
        let (done, total) = progress.filter(|&(_, total)| total > 0).unwrap_or((0, 1));
        let within = u64::from(ends - begins) * done.min(total) / total.max(1);
        begins + u8::try_from(within).unwrap_or(0)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a stage"))
    }
}

/// See [`Event::Sniffed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sniffed {
    /// What the dump is.
    pub format: Format,
    /// The major of the server that was dumped, where the dump says so.
    pub server_major: Option<u16>,
    /// The major of the `pg_dump` that wrote it, where the dump says so.
    pub dump_major: Option<u16>,
}

/// See [`Event::Restored`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// Statements that ran, `COPY` included.
    pub statements: u64,
    /// Rows that `COPY` brought in.
    pub rows: u64,
    /// The dump's size after decompression, in bytes.
    pub expanded_bytes: u64,
    /// The restored database's size, in bytes.
    pub database_bytes: u64,
    /// What was left out, by kind.
    pub left_out: Vec<LeftOut>,
    /// What lay beside the dump in a zip.
    pub files: Option<Files>,
}

/// The files of a zip, its dump and its manifest aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// How many.
    pub count: u64,
    /// How long they are when unpacked, together, in bytes.
    pub bytes: u64,
    /// sha256 over name, length and CRC-32 of each, in the zip's order: what is equal here is equal there.
    pub sha256: String,
}

impl Files {
    /// No files at all.
    #[must_use]
    pub fn none() -> Self {
        Self { count: 0, bytes: 0, sha256: format!("{:x}", Sha256::digest([])) }
    }
}

/// A kind of statement that restore leaves out, and how often it stood in the dump.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Such as `OWNER` or `GRANT`.
    pub what: String,
    /// How many.
    pub count: u64,
}

/// See [`Event::Detected`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detected {
    /// The pack's product.
    pub product: String,
    /// The version found.
    pub version: Version,
    /// What names this database for life, where the pack can tell.
    pub identity: Option<String>,
    /// Custom modules, which the standard upgrade does not cover.
    pub modules: Vec<Module>,
}

/// A module that the customer added to the product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its technical name.
    pub name: String,
    /// Its version, as it says itself.
    pub version: String,
}

/// Something that preflight found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The query's name.
    pub name: String,
    /// What it means.
    pub meaning: String,
    /// The SQL that mends it, where the pack knows one.
    pub mend: Option<String>,
    /// Whether the upgrade cannot go on with it, and whose business that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fatal: Option<Fatal>,
    /// How many rows it concerns.
    pub rows: u64,
    /// The first of them, as lines for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Schema and name: `public.res_partner`.
    pub name: String,
    /// Exact number of rows.
    pub rows: u64,
    /// Names of its columns, in the table's order.
    pub columns: Vec<String>,
}

/// What a reconcile query said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invariant {
    /// The query's name.
    pub name: String,
    /// Its title, for people.
    pub title: String,
    /// Whether a difference fails the upgrade.
    pub compare: Compare,
    /// Its rows: a label and a value each, in the order of the labels.
    pub items: Vec<(String, String)>,
    /// Why it did not run, if it did not.
    pub skipped: Option<String>,
}

/// See [`Event::StepDone`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDone {
    /// The step's id.
    pub step: String,
    /// Rows that its statements touched.
    pub rows: u64,
    /// Notices and warnings that it raised.
    pub notices: u64,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// What the product's own code said of its parts, the slowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timings: Vec<Timing>,
}

/// How long a part of a step took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// The part: a module's name.
    pub part: String,
    /// In milliseconds.
    pub millis: u64,
}

/// See [`Event::Checkpointed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpointed {
    /// The step that it was made for.
    pub step: String,
    /// What the copy takes, in bytes.
    pub bytes: u64,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// See [`Event::Health`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Constraints that are not validated: `public.t.name`.
    pub invalid_constraints: Vec<String>,
    /// Indexes that are not valid.
    pub invalid_indexes: Vec<String>,
    /// Sequences that stand below the greatest value of the column that they feed.
    pub sequences_behind: Vec<String>,
}

/// Length and sha256 of a run of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How many.
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

#[cfg(test)]
mod tests {
    use super::{Event, Stage};

    #[test]
    fn stages_read_back_what_they_write() {
        for stage in Stage::ALL {
            assert_eq!(stage.as_str().parse(), Ok(stage));
        }
    }

    #[test]
    fn a_sign_of_life_is_one_word() {
        assert_eq!(serde_json::to_string(&Event::Alive).unwrap(), r#"{"event":"alive"}"#);
    }
}
