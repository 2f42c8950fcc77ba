//! `pack.toml`, read strictly: an unknown key, a missing file or a target out of reach is an error with its
//! file, line and field.

use std::{collections::BTreeMap, ops::Range};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::Spanned;

use super::{
    Files, path, probes,
    probes::Fatal,
    steps::{StepEntry, StepWritten},
};
use crate::version::Version;

/// The file that makes a folder a pack.
pub const MANIFEST: &str = "pack.toml";

/// The step that ends each hop: whether the database is at the version that the hop leads to.
pub(super) const ARRIVED: &str = "arrived";

/// What is wrong with a pack, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}:{line}: {message}")]
pub struct ManifestError {
    /// The file, by its path inside the pack.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, with the field's name.
    pub message: String,
}

/// Whether a reconcile query's difference fails the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// It does.
    Equal,
    /// It is shown.
    Report,
}

#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) product: String,
    pub(super) title: String,
    pub(super) targets: Vec<Version>,
    pub(super) announced: Vec<Announced>,
    pub(super) neutralize: Vec<Spanned<String>>,
    pub(super) test_by_hand: Vec<String>,
    pub(super) hops: Vec<HopEntry>,
    pub(super) custom: Vec<StepEntry>,
    detect: DetectEntry,
    reconcile: Vec<ReconcileEntry>,
    preflight: Vec<PreflightEntry>,
    backup: Option<BackupEntry>,
}

/// A version that is to come, so that people who ask for it learn when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announced {
    /// The version.
    pub version: Version,
    /// The day on which it is expected to be ready.
    pub expected: NaiveDate,
}

#[derive(Clone, Debug)]
pub(super) struct HopEntry {
    pub(super) from: Version,
    pub(super) to: Version,
    pub(super) steps: Vec<StepEntry>,
}

impl HopEntry {
    /// What its steps' ids begin with.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.from, self.to)
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    product: Spanned<String>,
    title: String,
    #[serde(default)]
    targets: Vec<Spanned<Version>>,
    #[serde(default)]
    announced: Vec<Spanned<Announced>>,
    #[serde(default)]
    neutralize: Vec<Spanned<String>>,
    #[serde(default)]
    test_by_hand: Vec<String>,
    detect: DetectEntry,
    #[serde(default)]
    hop: Vec<Spanned<HopWritten>>,
    #[serde(default)]
    custom: CustomWritten,
    #[serde(default)]
    reconcile: Vec<ReconcileEntry>,
    #[serde(default)]
    preflight: Vec<PreflightEntry>,
    backup: Option<BackupEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HopWritten {
    from: Version,
    to: Version,
    #[serde(default)]
    step: Vec<Spanned<StepWritten>>,
}

/// What runs behind all hops where a request carries scripts of the customer's.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomWritten {
    #[serde(default)]
    step: Vec<Spanned<StepWritten>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DetectEntry {
    #[serde(default)]
    requires: Vec<String>,
    version: Spanned<Query>,
    identity: Option<Spanned<Query>>,
    modules: Option<Spanned<Query>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReconcileEntry {
    name: String,
    title: String,
    compare: Compare,
    #[serde(default)]
    requires: Vec<String>,
    queries: BTreeMap<Version, Spanned<Query>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PreflightEntry {
    name: String,
    query: Spanned<Query>,
    meaning: String,
    mend: Option<String>,
    #[serde(default)]
    requires: Vec<String>,
    fatal: Option<Fatal>,
    hop: Option<Spanned<String>>,
}

/// How the product's own backups, which are zips, differ from a dump.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupEntry {
    manifest: Spanned<Query>,
}

/// A query: its text, or the file that holds it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a query, or a table with the key `file`")]
enum Query {
    Inline(String),
    File(QueryFile),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryFile {
    file: String,
}

/// Reads and checks the manifest.
pub(super) fn read(files: &Files) -> Result<Manifest, ManifestError> {
    let at = |line, message| ManifestError { file: MANIFEST.into(), line, message };
    let bytes = files
        .get(MANIFEST)
        .ok_or_else(|| at(1, format!("there is no {MANIFEST}: a pack is a folder that holds one")))?;
    let source = std::str::from_utf8(bytes).map_err(|_| at(1, "the file is not UTF-8".into()))?;
    let written: Written = toml::from_str(source)
        .map_err(|error| at(line(source, error.span().unwrap_or_default()), error.message().to_owned()))?;
    check(written, Reader { source, files })
}

/// The text of a file that [`read`] has found to be there and to be UTF-8.
pub(super) fn text(files: &Files, file: &str) -> String {
    files.get(file).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}

impl Manifest {
    pub(super) fn probes(&self, files: &Files) -> probes::Probes {
        let sql = |query: &Spanned<Query>| match query.get_ref() {
            Query::Inline(sql) => sql.clone(),
            Query::File(QueryFile { file }) => text(files, file),
        };
        let detect = &self.detect;
        probes::Probes {
            product: self.product.clone(),
            detect: probes::Detect {
                requires: detect.requires.clone(),
                version: sql(&detect.version),
                identity: detect.identity.as_ref().map(sql),
                modules: detect.modules.as_ref().map(sql),
            },
            reconcile: self
                .reconcile
                .iter()
                .map(|entry| probes::Reconcile {
                    name: entry.name.clone(),
                    title: entry.title.clone(),
                    compare: entry.compare,
                    requires: entry.requires.clone(),
                    queries: entry.queries.iter().map(|(from, query)| (from.clone(), sql(query))).collect(),
                })
                .collect(),
            preflight: self
                .preflight
                .iter()
                .map(|entry| probes::Preflight {
                    name: entry.name.clone(),
                    query: sql(&entry.query),
                    meaning: entry.meaning.clone(),
                    mend: entry.mend.clone(),
                    requires: entry.requires.clone(),
                    fatal: entry.fatal,
                    hop: entry.hop.as_ref().and_then(|hop| self.ends(hop.get_ref())),
                })
                .collect(),
            manifest: self.backup.as_ref().map(|backup| sql(&backup.manifest)),
        }
    }

    /// The text of the query for the version.
    pub(super) fn version_query(&self, files: &Files) -> (String, String) {
        match self.detect.version.get_ref() {
            Query::Inline(sql) => (MANIFEST.to_owned(), sql.clone()),
            Query::File(QueryFile { file }) => (file.clone(), text(files, file)),
        }
    }

    /// The ends of the hop that is written so: `17.0-18.0`.
    fn ends(&self, name: &str) -> Option<(Version, Version)> {
        let hop = self.hops.iter().find(|hop| hop.name() == name)?;
        Some((hop.from.clone(), hop.to.clone()))
    }

    /// Every query, for checking that its file is there.
    fn queries(&self) -> impl Iterator<Item = &Spanned<Query>> {
        let detect =
            [Some(&self.detect.version), self.detect.identity.as_ref(), self.detect.modules.as_ref()];
        let reconcile = self.reconcile.iter().flat_map(|entry| entry.queries.values());
        let preflight = self.preflight.iter().map(|entry| &entry.query);
        let backup = self.backup.iter().map(|entry| &entry.manifest);
        detect.into_iter().flatten().chain(reconcile).chain(preflight).chain(backup)
    }
}

/// The manifest's source and the pack's files: what an error needs in order to say where.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    source: &'a str,
    files: &'a Files,
}

impl Reader<'_> {
    pub(super) fn error(&self, span: Range<usize>, message: String) -> ManifestError {
        ManifestError { file: MANIFEST.into(), line: line(self.source, span), message }
    }

    pub(super) fn file(&self, field: &str, name: &str, span: Range<usize>) -> Result<String, ManifestError> {
        match self.files.get(name).map(|bytes| std::str::from_utf8(bytes)) {
            Some(Ok(_)) => Ok(name.to_owned()),
            Some(Err(_)) => {
                let message = "the file is not UTF-8".into();
                Err(ManifestError { file: name.to_owned(), line: 1, message })
            }
            None => Err(self.error(span, format!("{field}: the pack holds no file `{name}`"))),
        }
    }

    fn hop(&self, hop: &Spanned<HopWritten>) -> Result<HopEntry, ManifestError> {
        let HopWritten { from, to, step } = hop.get_ref();
        let steps = self.steps(step)?;
        Ok(HopEntry { from: from.clone(), to: to.clone(), steps })
    }

    fn steps(&self, steps: &[Spanned<StepWritten>]) -> Result<Vec<StepEntry>, ManifestError> {
        let mut read: Vec<StepEntry> = Vec::with_capacity(steps.len());
        for written in steps {
            let step = StepWritten::check(written, *self)?;
            if step.name == ARRIVED || read.iter().any(|earlier| earlier.name == step.name) {
                let message = format!("a step before it, or one of our own, is named `{}`", step.name);
                return Err(self.error(written.span(), message));
            }
            read.push(step);
        }
        Ok(read)
    }
}

fn check(written: Written, reader: Reader<'_>) -> Result<Manifest, ManifestError> {
    let name = written.product.get_ref();
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        let message = format!("product: `{name}` is not a name: use a-z, 0-9 and _");
        return Err(reader.error(written.product.span(), message));
    }
    let hops = written.hop.iter().map(|hop| reader.hop(hop)).collect::<Result<Vec<_>, _>>()?;
    let edges: Vec<_> = hops.iter().map(|hop| (&hop.from, &hop.to)).collect();
    for target in &written.targets {
        let reached = edges.iter().any(|(from, _)| {
            *from != target.get_ref() && path::shortest(&edges, from, target.get_ref()).is_some()
        });
        if !reached {
            let message = format!("targets: no hop leads to {}", target.get_ref());
            return Err(reader.error(target.span(), message));
        }
    }
    for announced in &written.announced {
        let version = &announced.get_ref().version;
        if written.targets.iter().any(|target| target.get_ref() == version) {
            let message = format!("announced: {version} is a target already");
            return Err(reader.error(announced.span(), message));
        }
    }
    for file in &written.neutralize {
        reader.file("neutralize", file.get_ref(), file.span())?;
    }
    let custom = reader.steps(&written.custom.step)?;
    let manifest = Manifest {
        product: written.product.into_inner(),
        title: written.title,
        targets: written.targets.into_iter().map(Spanned::into_inner).collect(),
        announced: written.announced.into_iter().map(Spanned::into_inner).collect(),
        neutralize: written.neutralize,
        test_by_hand: written.test_by_hand,
        hops,
        custom,
        detect: written.detect,
        reconcile: written.reconcile,
        preflight: written.preflight,
        backup: written.backup,
    };
    for hop in manifest.preflight.iter().filter_map(|entry| entry.hop.as_ref()) {
        if manifest.ends(hop.get_ref()).is_none() {
            let message = format!("hop: the pack has no hop `{}`: write it as 1.0-2.0", hop.get_ref());
            return Err(reader.error(hop.span(), message));
        }
    }
    for query in manifest.queries() {
        if let Query::File(QueryFile { file }) = query.get_ref() {
            reader.file("file", file, query.span())?;
        }
    }
    Ok(manifest)
}

/// The line, from 1, at which a span begins.
fn line(source: &str, span: Range<usize>) -> usize {
    source.as_bytes()[..span.start.min(source.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}
