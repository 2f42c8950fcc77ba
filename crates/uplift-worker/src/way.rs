//! How a database gets to its target: the pack that recognised it, its hops, and what a customer's own scripts add.

use uplift_core::{
    Failure, Override, Pack, PackDigest, Purpose,
    failure::ScriptFailure,
    overrides,
    pack::{Hop, Step},
};
use uplift_platform::ledger::OverrideEntry;

use crate::{
    outcome::Ended,
    packs::{self, Packs},
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
    pub(crate) layer: Vec<OverrideEntry>,
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
            return Err(Failure::rejected(pack.refusal(version, target)).into());
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
        let mut custom = self.custom(&pack)?;
        let path: Vec<&str> = hops.iter().map(|hop| hop.to.as_str()).collect();
        let path = path.join(" → ");
        self.log.info(format!("{} {} → {path}", pack.title(), detected.version)).await;
        let layer = self.adjust(&mut hops, &mut custom).await?;
        Ok(Way { digest, pack, hops, custom, layer })
    }

    /// The steps behind the hops that run the customer's own scripts.
    fn custom(&self, pack: &Pack) -> Result<Vec<Step>, Ended> {
        match (&self.request.scripts, pack.custom(&self.request.target)) {
            (None, _) => Ok(Vec::new()),
            (Some(_), Some(custom)) => Ok(custom),
            (Some(_), None) => {
                let message = format!(
                    "upgrades of {} run no scripts of a customer's own: send the dump without them",
                    pack.title()
                );
                Err(Failure::rejected(message).into())
            }
        }
    }

    /// The way that a clean run would take now, for a request whose product and version are known.
    pub(crate) async fn way_now(&mut self) -> Result<Way, Ended> {
        // A retried test takes the pack that is current, production stays with its own.
        let pinned = self.request.pack.as_ref().filter(|_| self.request.purpose == Purpose::Production);
        let packs = packs::load(self.context, pinned).await?;
        let known = self.request.product.as_deref().zip(self.request.source_version.as_ref());
        let (product, version) =
            known.ok_or_else(|| broken("session", "the request's product is not known"))?;
        let chosen = packs.into_iter().find(|(_, pack)| pack.product() == product);
        let (digest, pack) = chosen.ok_or_else(|| broken("session", "its product has no pack"))?;
        let target = &self.request.target;
        let Some(mut hops) = pack.path(version, target).filter(|hops| !hops.is_empty()) else {
            return Err(Failure::rejected(pack.refusal(version, target)).into());
        };
        let mut custom = self.custom(&pack)?;
        let layer = self.adjust(&mut hops, &mut custom).await?;
        Ok(Way { digest, pack, hops, custom, layer })
    }

    /// Changes the steps by what was adjusted for this database, and says so.
    async fn adjust(
        &mut self,
        hops: &mut [Hop],
        custom: &mut Vec<Step>,
    ) -> Result<Vec<OverrideEntry>, Ended> {
        let (lease, ledger) = (self.hold.lease(), &self.context.ledger);
        let layer = match self.hold.session() {
            None => patiently(|| ledger.layer(lease)).await?,
            Some(_) => patiently(|| ledger.layer_now(self.request.id)).await?,
        };
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
        Ok(layer)
    }
}
