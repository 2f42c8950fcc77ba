//! What the engine is told: one JSON line on its stdin, before any bytes.

use serde::{Deserialize, Serialize};

use crate::{
    event::Files,
    format::Format,
    pack::{Probes, ReconcileQuery},
};

/// One run of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Plan {
    /// Say what the bytes are. Needs no Postgres.
    Sniff(Sniff),
    /// Restore a dump, detect the product, run preflight and the invariants before.
    Restore(Restore),
    /// Run contiguous SQL steps and checks.
    Apply(Apply),
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
            Self::Dump(dump) => dump.backup.map_or(0, |input| input.bytes),
            Self::Prove(prove) => prove.input.bytes,
            Self::Apply(_) => 0,
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
    /// The packs that the database may belong to. Exactly one must recognise it.
    pub packs: Vec<Probes>,
}

/// See [`Plan::Apply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// In the order in which they run.
    pub steps: Vec<Step>,
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
}

/// See [`Plan::Dump`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// What the result is to be.
    pub format: Format,
    /// The zip that came in, again, whose other entries go into the zip that goes out.
    pub backup: Option<Input>,
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
