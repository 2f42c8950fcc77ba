//! The state before a step that failed, saved for whoever looks into it.

use uplift_core::{
    Failure,
    event::{Level, Stage},
    key,
    pack::Step,
    plan::{self, Action, Kept, Plan},
    request::Saved,
};
use uplift_sandbox::Sandbox;

use crate::{
    engine::Input,
    outcome::Ended,
    patience::patiently,
    result::Storing,
    stages::{Attempt, Way},
};

impl Attempt<'_> {
    /// Saves the state before the step that failed, where there is one, and where a person will look. What failed stays the
    /// failure, whatever becomes of this.
    pub(crate) async fn save_state(&mut self, sandbox: &Sandbox, way: &Way, ended: &Ended) {
        let Ended::Failed(failure) = ended else { return };
        let (Some(state), step) = (state_before(way, failure), failure.place()) else { return };
        self.log.info(format!("saving the state before {step}")).await;
        if let Err(error) = self.save(sandbox, state, step).await {
            tracing::warn!(failure.code = error.code(), failure.place = step, "save the state before a step");
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

/// Where the state before the failing step is; none where it is the dump itself, or where it was not kept.
fn state_before(way: &Way, failure: &Failure) -> Option<Kept> {
    let place = match failure {
        Failure::ScriptFailed(_) | Failure::DeadlinePassed { .. } | Failure::OutOfMemory { .. } => {
            failure.place()
        }
        // Of a run: its scratch folder is full, and Postgres is well. Without a Postgres nothing can be saved, which is
        // found out soon enough.
        Failure::OutOfDisk { place } => place,
        _ => return None,
    };
    match way.steps().find(|step| step.id() == place) {
        Some(Step::Run(run)) => run.checkpoint.then_some(Kept::Copy),
        Some(Step::Engine(step)) => match step.action {
            Action::Sql { transaction: false } => step.checkpoint.then_some(Kept::Copy),
            Action::Sql { .. } | Action::Check { .. } | Action::Arrive { .. } => Some(Kept::Work),
        },
        // What follows the hops: neutralizing, reconciling, proving.
        None if place != Stage::Upgrade.as_str() => Some(Kept::Work),
        None => None,
    }
}
