//! The upgrade: every hop's steps, one after another. Contiguous steps of the engine are one run of it; what runs the
//! product's own code is a run of its own, before which its files are put in place.

use uplift_core::{
    Format, Scripts,
    event::{Event, Sniffed, Stage},
    key,
    pack::{MAX_ARCHIVE_BYTES, Step},
    plan::{self, Plan, Staged},
};
use uplift_platform::objects::Expect;
use uplift_sandbox::{Job, Sandbox};

use crate::{
    engine::Input,
    outcome::{Ended, of_objects},
    spans::Steps,
    stages::Attempt,
    way::Way,
};

/// What a customer's scripts may take once they are unpacked, in bytes.
const MAX_SCRIPTS: u64 = 256 << 20;

/// Progress is told in so many parts of a step, since a run of one may take most of the time.
const PARTS: u64 = 1000;

impl Attempt<'_> {
    /// Runs all steps of the way.
    pub(crate) async fn upgrade(
        &mut self,
        sandbox: &Sandbox,
        way: &Way,
        sniffed: &Sniffed,
    ) -> Result<(), Ended> {
        self.enter(Stage::Upgrade).await?;
        let steps: Vec<&Step> = way.steps().collect();
        self.run_steps(sandbox, way, &steps, sniffed).await
    }

    /// Runs some of them.
    pub(crate) async fn run_steps(
        &mut self,
        sandbox: &Sandbox,
        way: &Way,
        steps: &[&Step],
        sniffed: &Sniffed,
    ) -> Result<(), Ended> {
        self.facts.total_steps = steps.len() as u64;
        if steps.iter().any(|step| matches!(step, Step::Run(_))) {
            self.stage_files(sandbox, way, sniffed).await?;
        }
        let mut batch = Vec::new();
        for step in steps {
            match step {
                Step::Engine(step) => batch.push(step.clone()),
                Step::Run(run) => {
                    let checkpoint = run.checkpoint.then(|| run.id.clone());
                    self.apply(sandbox, std::mem::take(&mut batch), checkpoint).await?;
                    self.run_runner(sandbox, run, self.has_filestore(way, sniffed)).await?;
                }
            }
        }
        self.apply(sandbox, batch, None).await
    }

    /// Runs the engine's own steps, and copies the database for the run behind them.
    async fn apply(
        &mut self,
        sandbox: &Sandbox,
        steps: Vec<plan::Step>,
        checkpoint: Option<String>,
    ) -> Result<(), Ended> {
        if steps.is_empty() && checkpoint.is_none() {
            return Ok(());
        }
        let plan = Plan::Apply(plan::Apply { steps, checkpoint });
        self.run(sandbox, "upgrade", &plan, Input::Empty, None).await.map(drop)
    }

    /// Puts a pack's files, the customer's scripts and the zip's filestore where runs find them.
    async fn stage_files(&mut self, sandbox: &Sandbox, way: &Way, sniffed: &Sniffed) -> Result<(), Ended> {
        let place = "stage";
        let pack = self.context.objects.get(&key::pack(&way.digest), MAX_ARCHIVE_BYTES as u64).await;
        let pack = pack.map_err(|error| of_objects(&error, place))?;
        let bytes = pack.len() as u64;
        self.stage(sandbox, Staged::Pack, bytes, bytes, Input::Bytes(pack)).await?;
        if let Some(Scripts { bytes, sha256 }) = self.request.scripts.clone() {
            let expect = Expect { bytes, etag: None, sha256: Some(sha256) };
            let mut scripts = self.context.objects.open(&key::scripts(self.request.id), expect);
            self.stage(sandbox, Staged::Scripts, bytes, MAX_SCRIPTS, Input::Scripts(&mut scripts)).await?;
            self.log.info(format!("your own scripts are at hand: {bytes} bytes")).await;
        }
        if self.has_filestore(way, sniffed) {
            let mut source = self.source();
            let bytes = self.source_bytes();
            let limit = self.context.config.max_expanded_bytes.min(self.context.config.disk_bytes);
            self.stage(sandbox, Staged::Filestore, bytes, limit, Input::Source(&mut source)).await?;
            self.log.info("the files of the zip are at hand for the upgrade").await;
        }
        Ok(())
    }

    /// Whether runs have the files of the zip: where one wants them, and where what it adds to them can come back.
    pub(crate) fn has_filestore(&self, way: &Way, sniffed: &Sniffed) -> bool {
        (sniffed.format, self.result_format(sniffed)) == (Format::Zip, Format::Zip) && way.wants_filestore()
    }

    async fn stage(
        &mut self,
        sandbox: &Sandbox,
        what: Staged,
        bytes: u64,
        max_expanded_bytes: u64,
        input: Input<'_>,
    ) -> Result<(), Ended> {
        let plan = Plan::Stage(plan::Stage { what, bytes, max_expanded_bytes });
        self.run_as(Job::Stage, sandbox, "stage", &plan, input, None).await.map(drop)
    }

    /// What is said of a step by this side, as if the engine had said it.
    pub(crate) async fn happen(&mut self, event: Event, steps: &mut Steps) -> Result<(), Ended> {
        steps.hear(&event);
        self.facts.learn(&event);
        self.tell(event).await
    }

    /// How far the upgrade is, as the steps that are done tell.
    pub(crate) fn progress_of_steps(&self) {
        self.progress_within(0, 1);
    }

    /// How far the upgrade is, where the step that runs tells how far that is.
    pub(crate) fn progress_within(&self, done: u64, total: u64) {
        let steps = self.facts.steps.len() as u64;
        // What a program says of itself may be any number.
        let within = PARTS.saturating_mul(done.min(total)) / total.max(1);
        self.hold.progress(PARTS * steps + within.min(PARTS - 1), PARTS * self.facts.total_steps);
    }
}
