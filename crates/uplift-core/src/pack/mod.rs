//! What an operator writes to support a product: a folder of SQL with a `pack.toml`, pinned by its digest.

mod archive;
mod manifest;
mod path;
mod probes;

use std::collections::BTreeMap;

pub use archive::{ArchiveError, MAX_ARCHIVE_BYTES};
pub use manifest::{Compare, MANIFEST, ManifestError};
pub use probes::{Detect, Preflight, Probes, Reconcile, ReconcileQuery};

use crate::{plan, version::Version};
use manifest::{Manifest, StepKind};

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
    pub steps: Vec<plan::Step>,
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

    fn hop(&self, index: usize) -> Hop {
        let hop = &self.manifest.hops[index];
        let steps = hop.steps.iter().map(|step| {
            let (file, action) = match &step.kind {
                StepKind::Sql { file, transaction } => {
                    (file, plan::Action::Sql { transaction: *transaction })
                }
                StepKind::Check { file, message } => (file, plan::Action::Check { message: message.clone() }),
            };
            plan::Step {
                id: format!("{}-{}/{}", hop.from, hop.to, step.name),
                script: self.script(file),
                action,
                timeout_seconds: step.timeout_seconds,
            }
        });
        Hop { from: hop.from.clone(), to: hop.to.clone(), steps: steps.collect() }
    }

    fn script(&self, file: &str) -> plan::Script {
        plan::Script { file: file.to_owned(), text: manifest::text(&self.files, file) }
    }
}

#[cfg(test)]
mod tests;
