//! What an operator writes to support a product: a folder of SQL with a `pack.toml`, pinned by its digest.

mod archive;
mod manifest;
mod path;
mod probes;
mod run;
mod steps;

use std::collections::BTreeMap;

pub use archive::{ArchiveError, MAX_ARCHIVE_BYTES};
pub use manifest::{Announced, Compare, MANIFEST, ManifestError};
pub use probes::{Detect, Fatal, Preflight, Probes, Reconcile, ReconcileQuery};
pub use run::{Dialect, Run, Severity};

use crate::{plan, version::Version};
use manifest::{ARRIVED, Manifest};
pub(crate) use steps::is_variable;
use steps::{StepEntry, StepKind};

/// How long the look whether a hop has arrived may take; it collects statistics as well, which takes minutes on a large
/// database.
const ARRIVE_SECONDS: u64 = 3600;

/// Files of a pack by their path inside it, with `/` between folders.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A pack that was read and found sound: every file that it names is there, every target can be reached.
#[derive(Clone, Debug)]
pub struct Pack {
    manifest: Manifest,
    files: Files,
}

/// A way from one version to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Where it begins.
    pub from: Version,
    /// Where it ends.
    pub to: Version,
    /// What runs, in order.
    pub steps: Vec<Step>,
}

impl Hop {
    /// `1.0-2.0`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.from, self.to)
    }
}

/// A step, by who runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The engine.
    Engine(plan::Step),
    /// The product's own code.
    Run(Run),
}

impl Step {
    /// Hop and name: `1.0-2.0/split-partners`.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Engine(step) => &step.id,
            Self::Run(run) => &run.id,
        }
    }
}

impl Pack {
    /// Reads a pack out of its files.
    ///
    /// # Errors
    /// The first thing that is wrong, with file, line and field.
    pub fn from_files(files: Files) -> Result<Self, ManifestError> {
        let manifest = manifest::read(&files)?;
        Ok(Self { manifest, files })
    }

    /// Its files, `pack.toml` among them.
    #[must_use]
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// Such as `odoo`.
    #[must_use]
    pub fn product(&self) -> &str {
        &self.manifest.product
    }

    /// The product's name, for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.manifest.title
    }

    /// The versions that a customer may ask for.
    #[must_use]
    pub fn targets(&self) -> &[Version] {
        &self.manifest.targets
    }

    /// The versions that are to come.
    #[must_use]
    pub fn announced(&self) -> &[Announced] {
        &self.manifest.announced
    }

    /// Why there is no way between two versions, and where there are ways instead.
    #[must_use]
    pub fn refusal(&self, from: &Version, to: &Version) -> String {
        let title = self.title();
        if from == to {
            return format!("the database is at {title} {to} already: there is nothing to upgrade");
        }
        let supported: Vec<String> =
            self.supported().iter().map(|(from, to)| format!("{from} → {to}")).collect();
        let supported = if supported.is_empty() { "none yet".to_owned() } else { supported.join(", ") };
        let refusal = match self.announced().iter().find(|announced| announced.version == *to) {
            Some(Announced { expected, .. }) => {
                format!("{title} {to} is not ready yet: it is announced for {expected}")
            }
            None => format!("there is no way from {title} {from} to {to}"),
        };
        format!("{refusal}; supported upgrades of {title}: {supported}")
    }

    /// What a person should try in an upgraded database.
    #[must_use]
    pub fn test_by_hand(&self) -> &[String] {
        &self.manifest.test_by_hand
    }

    /// What the engine asks a restored database.
    #[must_use]
    pub fn probes(&self) -> Probes {
        self.manifest.probes(&self.files)
    }

    /// The scripts that make a test copy harmless.
    #[must_use]
    pub fn neutralize(&self) -> Vec<plan::Script> {
        self.manifest.neutralize.iter().map(|file| self.script(file.get_ref())).collect()
    }

    /// The shortest chain of hops between two versions; `None` where there is none, or where the target is
    /// not offered. Empty when the database is there already.
    #[must_use]
    pub fn path(&self, from: &Version, to: &Version) -> Option<Vec<Hop>> {
        if !self.manifest.targets.contains(to) {
            return None;
        }
        let edges: Vec<_> = self.manifest.hops.iter().map(|hop| (&hop.from, &hop.to)).collect();
        let chain = path::shortest(&edges, from, to)?;
        Some(chain.into_iter().map(|index| self.hop(index)).collect())
    }

    /// Every hop.
    pub fn hops(&self) -> impl Iterator<Item = Hop> {
        (0..self.manifest.hops.len()).map(|index| self.hop(index))
    }

    /// The versions from which each offered target can be reached, for messages to people.
    #[must_use]
    pub fn supported(&self) -> Vec<(Version, Version)> {
        let mut supported = Vec::new();
        for from in self.manifest.hops.iter().map(|hop| &hop.from) {
            for to in &self.manifest.targets {
                let known = supported.iter().any(|(a, b)| (a, b) == (from, to));
                if from != to && !known && self.path(from, to).is_some() {
                    supported.push((from.clone(), to.clone()));
                }
            }
        }
        supported.sort();
        supported
    }

    /// What runs behind all hops, where the request carries scripts of the customer's; `None` where the pack has no
    /// use for any.
    #[must_use]
    pub fn custom(&self, target: &Version) -> Option<Vec<Step>> {
        let steps = &self.manifest.custom;
        (!steps.is_empty()).then(|| self.steps("custom", steps, target))
    }

    fn hop(&self, index: usize) -> Hop {
        let hop = &self.manifest.hops[index];
        Hop {
            from: hop.from.clone(),
            to: hop.to.clone(),
            steps: self.steps(&hop.name(), &hop.steps, &hop.to),
        }
    }

    /// Steps on the way to a version, and the look whether the database is there.
    fn steps(&self, group: &str, steps: &[StepEntry], to: &Version) -> Vec<Step> {
        let (file, text) = self.manifest.version_query(&self.files);
        let arrived = plan::Step {
            id: format!("{group}/{ARRIVED}"),
            script: plan::Script { file, text },
            action: plan::Action::Arrive { version: to.clone() },
            checkpoint: false,
            timeout_seconds: ARRIVE_SECONDS,
        };
        let steps = steps.iter().map(|step| self.step(group, step, to));
        steps.chain([Step::Engine(arrived)]).collect()
    }

    fn step(&self, group: &str, step: &StepEntry, to: &Version) -> Step {
        let id = format!("{group}/{}", step.name);
        let &StepEntry { checkpoint, timeout_seconds, .. } = step;
        let (file, action) = match &step.kind {
            StepKind::Sql { file, transaction } => (file, plan::Action::Sql { transaction: *transaction }),
            StepKind::Check { file, message } => (file, plan::Action::Check { message: message.clone() }),
            StepKind::Run(run) => {
                let filled = |text: &String| text.replace("{target}", to.as_str());
                return Step::Run(Run {
                    id,
                    image: filled(&run.image),
                    command: run.command.iter().map(filled).collect(),
                    env: run.env.clone(),
                    log: run.log,
                    fatal: run.fatal.clone(),
                    tolerate: run.tolerate.clone(),
                    filestore: run.filestore,
                    checkpoint,
                    timeout_seconds,
                });
            }
        };
        Step::Engine(plan::Step { id, script: self.script(file), action, checkpoint, timeout_seconds })
    }

    fn script(&self, file: &str) -> plan::Script {
        plan::Script { file: file.to_owned(), text: manifest::text(&self.files, file) }
    }
}

#[cfg(test)]
mod tests;
