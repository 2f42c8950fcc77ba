//! How a database gets to its target: the pack that recognised it, its hops, and what a customer's own scripts add.

use uplift_core::{
    Failure, Override, Pack, PackDigest, Version,
    failure::ScriptFailure,
    overrides,
    pack::{Hop, Step},
    report::OverrideReport,
};

use crate::{
    outcome::Ended,
    packs::Packs,
    patience::patiently,
    stages::{Attempt, broken},
};

/// How a database gets to its target.
pub(crate) struct Way {
    pub(crate) digest: PackDigest,
    pub(crate) pack: Pack,
    pub(crate) hops: Vec<Hop>,
    /// What runs the customer's scripts, behind the hops.
    pub(crate) custom: Vec<Step>,
    /// What was adjusted for this database, in the order in which it applies.
    pub(crate) overrides: Vec<OverrideReport>,
}

impl Way {
    /// All steps, in order.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.hops.iter().flat_map(|hop| &hop.steps).chain(&self.custom)
    }

    /// Whether a step wants the files of a zip.
    pub(crate) fn wants_filestore(&self) -> bool {
        self.steps().any(|step| matches!(step, Step::Run(run) if run.filestore))
    }
}

impl Attempt<'_> {
    /// The pack that recognised the database, and its way to the target.
    pub(crate) async fn choose(&mut self, packs: Packs) -> Result<Way, Ended> {
        let detected = self.facts.detected.clone();
        let detected =
            detected.ok_or_else(|| broken("restore", "the engine did not say what the product is"))?;
        let chosen = packs.into_iter().find(|(_, pack)| pack.product() == detected.product);
        let (digest, pack) = chosen.ok_or_else(|| broken("restore", "the engine named an unknown pack"))?;
        let target = &self.request.target;
        let hops = pack.path(&detected.version, target).filter(|hops| !hops.is_empty());
        // A dump that goes nowhere must not decide what the database's name stands for.
        let identity = detected.identity.as_deref().filter(|_| hops.is_some());
        let (lease, ledger) = (self.hold.lease(), &self.context.ledger);
        let (product, version) = (&detected.product, &detected.version);
        let known = patiently(|| ledger.detected(lease, product, version, &digest, identity)).await?;
        let Some(mut hops) = hops else {
            return Err(Failure::rejected(no_path(&pack, version, target)).into());
        };
        if identity.is_some() && known.as_deref() != identity {
            return Err(Failure::ScriptFailed(ScriptFailure {
                step: "identity".into(),
                message: format!(
                    "this dump is of another database than the earlier ones under the name `{}`",
                    self.request.database_name
                ),
                ..ScriptFailure::default()
            })
            .into());
        }
        let names: Vec<String> = hops.iter().map(Hop::name).collect();
        if let Some(held) = patiently(|| ledger.held(lease, &digest, &names)).await? {
            return Err(Failure::Held(held).into());
        }
        let mut custom = match (&self.request.scripts, pack.custom(target)) {
            (None, _) => Vec::new(),
            (Some(_), Some(custom)) => custom,
            (Some(_), None) => {
                let message = format!(
                    "upgrades of {} run no scripts of a customer's own: send the dump without them",
                    pack.title()
                );
                return Err(Failure::rejected(message).into());
            }
        };
        let path: Vec<&str> = hops.iter().map(|hop| hop.to.as_str()).collect();
        let path = path.join(" → ");
        self.log.info(format!("{} {} → {path}", pack.title(), detected.version)).await;
        let overrides = self.adjust(&mut hops, &mut custom).await?;
        Ok(Way { digest, pack, hops, custom, overrides })
    }

    /// Changes the steps by what was adjusted for this database, and says so.
    async fn adjust(
        &mut self,
        hops: &mut [Hop],
        custom: &mut Vec<Step>,
    ) -> Result<Vec<OverrideReport>, Ended> {
        let (lease, ledger) = (self.hold.lease(), &self.context.ledger);
        let layer = patiently(|| ledger.layer(lease)).await?;
        let changes: Vec<Override> = layer.iter().map(|entry| entry.change.clone()).collect();
        overrides::apply(&changes, hops, custom).map_err(|(index, misfit)| {
            Failure::ScriptFailed(ScriptFailure {
                step: changes[index].target(),
                message: format!("override {} does not fit: {misfit}", layer[index].id),
                ..ScriptFailure::default()
            })
        })?;
        for entry in &layer {
            self.log.info(format!("adjusted for this database: {}", entry.change)).await;
        }
        let reported = layer.into_iter().map(|entry| OverrideReport {
            id: entry.id,
            says: entry.change.to_string(),
            sha256: entry.sha256,
            reason: entry.reason,
            made_at: entry.made_at,
        });
        Ok(reported.collect())
    }
}

fn no_path(pack: &Pack, from: &Version, to: &Version) -> String {
    if from == to {
        return format!("the database is at {} {to} already: there is nothing to upgrade", pack.title());
    }
    let supported: Vec<String> = pack.supported().iter().map(|(from, to)| format!("{from} → {to}")).collect();
    let supported = if supported.is_empty() { "none yet".to_owned() } else { supported.join(", ") };
    format!("there is no way from {} {from} to {to}; supported upgrades of {0}: {supported}", pack.title())
}
