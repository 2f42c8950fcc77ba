//! Steps as `pack.toml` writes them.

use std::{collections::BTreeMap, ops::Range};

use regex_lite::Regex;
use serde::Deserialize;
use toml::Spanned;

use super::{
    ManifestError,
    manifest::Reader,
    run::{Dialect, Severity},
};

/// How long a step may take when the pack does not say.
const DEFAULT_TIMEOUT_SECONDS: u64 = 3600;

/// A step that was found sound.
#[derive(Clone, Debug)]
pub(super) struct StepEntry {
    pub(super) name: String,
    pub(super) kind: StepKind,
    pub(super) checkpoint: bool,
    pub(super) timeout_seconds: u64,
}

#[derive(Clone, Debug)]
pub(super) enum StepKind {
    Sql { file: String, transaction: bool },
    Check { file: String, message: String },
    Run(RunWritten),
}

impl StepKind {
    /// Whether what it does stays done when it fails later on.
    const fn commits_by_itself(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Sql { transaction: false, .. })
    }
}

/// A step as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepWritten {
    name: String,
    sql: Option<Spanned<String>>,
    transaction: Option<bool>,
    check: Option<Spanned<String>>,
    message: Option<String>,
    run: Option<Spanned<RunWritten>>,
    checkpoint: Option<bool>,
    timeout_seconds: Option<u64>,
}

/// What a step runs of the product's own code, and how its log is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunWritten {
    pub(super) image: String,
    pub(super) command: Vec<String>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) log: Dialect,
    #[serde(default)]
    pub(super) fatal: Vec<Severity>,
    #[serde(default)]
    pub(super) tolerate: Vec<String>,
    #[serde(default)]
    pub(super) filestore: bool,
}

impl StepWritten {
    /// The step, where it says one thing and says it whole.
    pub(super) fn check(written: &Spanned<Self>, reader: Reader<'_>) -> Result<StepEntry, ManifestError> {
        let (span, step) = (written.span(), written.get_ref());
        let wrong = |message: &str| reader.error(span.clone(), format!("step `{}`: {message}", step.name));
        if step.name.is_empty() || step.name.contains(['/', '\n']) {
            return Err(wrong("a name is a word, without a `/`"));
        }
        let kind = match (&step.sql, &step.check, &step.run) {
            (Some(sql), None, None) => StepKind::Sql {
                file: reader.file("sql", sql.get_ref(), sql.span())?,
                transaction: step.transaction.unwrap_or(true),
            },
            (None, Some(check), None) => StepKind::Check {
                file: reader.file("check", check.get_ref(), check.span())?,
                message: step.message.clone().ok_or_else(|| wrong("a `check` needs a `message`"))?,
            },
            (None, None, Some(run)) => {
                run.get_ref().check(&|message| reader.error(run.span(), message))?;
                StepKind::Run(run.get_ref().clone())
            }
            _ => return Err(wrong("write one of `sql`, `check` and `run`")),
        };
        if step.message.is_some() && !matches!(kind, StepKind::Check { .. }) {
            return Err(wrong("`message` belongs to a `check`"));
        }
        if step.transaction.is_some() && !matches!(kind, StepKind::Sql { .. }) {
            return Err(wrong("`transaction` belongs to `sql`"));
        }
        if step.checkpoint.is_some() && !kind.commits_by_itself() {
            return Err(wrong(
                "`checkpoint` belongs to a `run` and to an `sql` with `transaction = false`: what other steps \
                 did is rolled back when they fail",
            ));
        }
        Ok(StepEntry {
            name: step.name.clone(),
            checkpoint: kind.commits_by_itself() && step.checkpoint.unwrap_or(true),
            kind,
            timeout_seconds: step.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS),
        })
    }
}

impl RunWritten {
    fn check(&self, error: &dyn Fn(String) -> ManifestError) -> Result<(), ManifestError> {
        if self.image.is_empty() || self.image.contains(char::is_whitespace) {
            return Err(error(format!("image: `{}` is not the name of an image", self.image)));
        }
        if self.command.is_empty() {
            return Err(error("command: there is none; write it as a list of words".into()));
        }
        for name in self.env.keys() {
            if !is_variable(name) {
                return Err(error(format!("env: `{name}` is not the name of a variable, or one of our own")));
            }
        }
        for pattern in &self.tolerate {
            Regex::new(pattern).map_err(|why| error(format!("tolerate: `{pattern}`: {why}")))?;
        }
        Ok(())
    }
}

/// Whether a pack may set it: what leads to the database is not the pack's to say.
pub(crate) fn is_variable(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let range: Range<usize> = 1..100;
    range.contains(&name.len())
        && name.bytes().all(letters)
        && !["PG", "UPLIFT_", "LD_"].iter().any(|ours| name.starts_with(ours))
        && !matches!(name, "HOME" | "PATH")
}
