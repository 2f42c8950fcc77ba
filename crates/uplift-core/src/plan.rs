//! What the engine is told: one JSON line on its stdin, before any bytes.

use serde::{Deserialize, Serialize};

use crate::{
    event::Files,
    format::Format,
    pack::{Probes, ReconcileQuery},
    version::Version,
};

/// One run of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Plan {
    /// Say what the bytes are. Needs no Postgres.
    Sniff(Sniff),
    /// Restore a dump, detect the product, run preflight and the invariants before.
    Restore(Restore),
    /// Restore a saved state, which was looked at before it was saved.
    Reopen(Reopen),
    /// Put files where runners find them. Needs no Postgres.
    Stage(Stage),
    /// Run contiguous SQL steps and checks.
    Apply(Apply),
    /// See that what a runner writes does not outgrow its budget, until the input ends. Needs no Postgres.
    Watch(Watch),
    /// Dump the state before a step that failed.
    Checkpoint(Checkpoint),
    /// Neutralize, run the invariants after, dump.
    Dump(Dump),
    /// Restore the result into a second database and compare.
    Prove(Prove),
}

impl Plan {
    /// How many bytes follow the plan on stdin.
    #[must_use]
    pub fn input_bytes(&self) -> u64 {
        match self {
            Self::Sniff(sniff) => sniff.head_bytes,
            Self::Restore(restore) => restore.input.bytes,
            Self::Reopen(reopen) => reopen.input.bytes,
            Self::Stage(stage) => stage.bytes,
            Self::Dump(dump) => dump.backup.map_or(0, |input| input.bytes),
            Self::Prove(prove) => prove.input.bytes,
            Self::Apply(_) | Self::Watch(_) | Self::Checkpoint(_) => 0,
        }
    }
}

/// The bytes that follow the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Their exact length. Fewer is an infrastructure failure: an attach that breaks looks like a clean end.
    pub bytes: u64,
    /// What they are.
    pub format: Format,
}

/// See [`Plan::Sniff`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sniff {
    /// How many of the dump's first bytes follow.
    pub head_bytes: u64,
    /// How long the dump is as a whole.
    pub total_bytes: u64,
}

/// See [`Plan::Restore`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restore {
    /// The dump.
    pub input: Input,
    /// More than this many bytes after decompression are refused.
    pub max_expanded_bytes: u64,
    /// The version that the customer asked for.
    pub target: Version,
    /// The packs that the database may belong to. Exactly one must recognise it.
    pub packs: Vec<Probes>,
}

/// See [`Plan::Reopen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reopen {
    /// The saved state.
    pub input: Input,
    /// More than this many bytes after decompression are refused.
    pub max_expanded_bytes: u64,
}

/// See [`Plan::Stage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// What the bytes are, and so where they go.
    pub what: Staged,
    /// How many follow.
    pub bytes: u64,
    /// More than this many bytes once unpacked are refused.
    pub max_expanded_bytes: u64,
}

/// What is put where runners find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Staged {
    /// A pack's archive.
    Pack,
    /// The customer's archive of scripts: a zip or a tar, raw or gzip.
    Scripts,
    /// The files of the zip that came in.
    Filestore,
}

/// See [`Plan::Apply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// In the order in which they run.
    pub steps: Vec<Step>,
    /// The step behind them that the database is to be copied for.
    pub checkpoint: Option<String>,
}

/// See [`Plan::Watch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// What runners may write, in bytes.
    pub disk_bytes: u64,
}

/// See [`Plan::Checkpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Where that state is.
    pub state: Kept,
}

/// Where the state before a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// In the database itself: the step was rolled back.
    Work,
    /// In the copy that was made before it.
    Copy,
}

/// One SQL step or check of a hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Hop and name: `1.0-2.0/split-partners`.
    pub id: String,
    /// The script.
    pub script: Script,
    /// What to do with it.
    pub action: Action,
    /// Whether the database is copied before it.
    pub checkpoint: bool,
    /// The step is broken off after this many seconds.
    pub timeout_seconds: u64,
}

/// A file of a pack, inline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Its path inside the pack.
    pub file: String,
    /// Its text.
    pub text: String,
}

/// What a step does with its script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Run it: in one transaction, or statement by statement.
    Sql {
        /// Whether one transaction holds all of it.
        transaction: bool,
    },
    /// Run it as one query that must return no row.
    Check {
        /// What is wrong when it does.
        message: String,
    },
    /// It asks for the version, which must be this one; statistics are collected first.
    Arrive {
        /// Where the hop leads.
        version: Version,
    },
}

/// See [`Plan::Dump`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// What the result is to be.
    pub format: Format,
    /// The zip that came in, again, whose other entries go into the zip that goes out.
    pub backup: Option<Input>,
    /// How many bytes runners may have added to those files; none where they did not have them.
    pub filestore: Option<u64>,
    /// Asks for what goes into a zip's `manifest.json`: rows of a key and a JSON value.
    pub manifest: Option<String>,
    /// The major of the server that the dump came from, where known: the result can be restored there again.
    pub source_major: Option<u16>,
    /// Run before dumping, each in a transaction of its own; empty for production.
    pub neutralize: Vec<Script>,
    /// The invariants, as they apply to the target version.
    pub reconcile: Vec<ReconcileQuery>,
}

/// See [`Plan::Prove`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prove {
    /// The result, as it lies in the object store.
    pub input: Input,
    /// The files beside the dump in a zip, as they were when it came in.
    pub files: Option<Files>,
    /// More than this many bytes after decompression are refused.
    pub max_expanded_bytes: u64,
}
