//! The state before a step that failed, saved for whoever looks into it.

use std::time::Duration;

use tokio::time::timeout;
use uplift_core::{
    Failure,
    event::{Level, Stage},
    key,
    pack::{Run, Step},
    plan::{self, Kept, Plan},
    request::Saved,
};
use uplift_sandbox::Sandbox;

use crate::{engine::Input, outcome::Ended, patience::patiently, result::Storing, stages::Attempt, way::Way};

/// How long saving may take where dumping has no deadline.
const LONGEST: Duration = Duration::from_secs(7200);

/// Where an attempt can fail once its hops are through.
const BEHIND_THE_HOPS: [&str; 4] = ["neutralize", "reconcile", "dump", "prove"];

impl Attempt<'_> {
    /// Saves the state before the step that failed, where there is one, and where a person will look. What failed stays the
    /// failure, whatever becomes of this.
    pub(crate) async fn save_state(&mut self, sandbox: &Sandbox, way: &Way, ended: &Ended) {
        let Ended::Failed(failure) = ended else { return };
        let (Some(state), step) = (state_before(way, failure), failure.place()) else { return };
        self.log.info(format!("saving the state before {step}")).await;
        let given = self.context.deadlines().stages.limit(Stage::Dump).unwrap_or(LONGEST);
        let saved = match timeout(given, self.save(sandbox, state, step)).await {
            Ok(saved) => saved.err().map(|error| error.code()),
            Err(_) => Some("deadline_passed"),
        };
        if let Some(code) = saved {
            tracing::warn!(failure.code = code, failure.place = step, "save the state before a step");
            self.log.say(Level::Warning, "the state could not be saved").await;
        }
    }

    async fn save(&mut self, sandbox: &Sandbox, state: Kept, step: &str) -> Result<(), Ended> {
        let lease = self.hold.lease();
        let key = key::checkpoint(lease.request(), lease.epoch());
        let plan = Plan::Checkpoint(plan::Checkpoint { state });
        let storing = Storing { place: "checkpoint", plan: &plan, key: &key, input: Input::Empty };
        let (written, _) = self.store(sandbox, storing).await?;
        let saved = Saved {
            step: step.to_owned(),
            bytes: written.bytes,
            sha256: written.sha256,
            postgres_major: sandbox.major(),
        };
        self.log.info(format!("the state before {step} is saved: {} bytes", saved.bytes)).await;
        let lease = self.hold.lease();
        patiently(|| self.context.ledger.checkpoint_saved(lease, &saved)).await?;
        Ok(())
    }
}

/// Where the state before the failing step is; none where that is the dump itself. A step whose pack wants no copy has
/// left what it left.
fn state_before(way: &Way, failure: &Failure) -> Option<Kept> {
    let place = match failure {
        Failure::ScriptFailed(_)
        | Failure::DeadlinePassed { .. }
        | Failure::OutOfMemory { .. }
        // Of a run: its scratch folder is full, and Postgres is well. Without a Postgres nothing can be saved, which is
        // found out soon enough.
        | Failure::OutOfDisk { .. } => failure.place(),
        _ => return None,
    };
    match way.steps().find(|step| step.id() == place) {
        Some(Step::Run(Run { checkpoint, .. }) | Step::Engine(plan::Step { checkpoint, .. })) => {
            Some(if *checkpoint { Kept::Copy } else { Kept::Work })
        }
        None => BEHIND_THE_HOPS.contains(&place).then_some(Kept::Work),
    }
}
