//! The way of one attempt: fetch → restore → upgrade → dump → prove → settle.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use uplift_core::{
    Failure, Format, Purpose,
    event::{Checkpointed, Event, Finding, Invariant, Level, Sniffed, Stage},
    failure::ScriptFailure,
    key,
    pack::Compare,
    plan::{self, Plan},
    report::Reconciliation,
    request::Delivery,
};
use uplift_platform::{
    boot::spans,
    ledger::{LedgerError, Request},
    objects::{Expect, Reader, Writer},
};
use uplift_sandbox::{Job, Label, Sandbox};

use crate::{
    context::Context,
    engine::{self, Input, Run},
    facts::Facts,
    keeper::Hold,
    logbook::Logbook,
    outcome::{Ended, chain, of_sandbox, of_source},
    packs::{self, Packs},
    patience::patiently,
    report,
    result::Stored,
    spans::{Steps, within},
    way::Way,
};

/// How much of a dump is looked at before anything else is done: `pg_dump`'s head is some hundred bytes long.
const HEAD_BYTES: u64 = 1 << 20;

/// Runs one attempt up to the point where only the ledger has to be told.
pub(crate) async fn run(
    context: &Context,
    hold: &Hold,
    request: &Request,
    log: &Logbook,
    label: &Label,
    known: &Known,
) -> Result<Delivery, Ended> {
    let mut attempt = Attempt { context, hold, request, log, facts: Facts::default() };
    let fetch = async {
        attempt.enter(Stage::Fetch).await?;
        let packs = packs::load(context, request.pack.as_ref()).await?;
        let sniffed = attempt.sniff(label).await?;
        let sandbox = attempt.open(label, &sniffed).await?;
        Ok((packs, sniffed, sandbox))
    };
    let (packs, sniffed, sandbox) = within(spans::stage(Stage::Fetch), fetch).await?;
    within(spans::stage(Stage::Restore), attempt.restore(&sandbox, &sniffed, &packs)).await?;
    let way = attempt.choose(packs).await?;
    let proven = request.purpose == Purpose::Production || context.config.prove_tests;
    let result = match attempt.make(&sandbox, &way, &sniffed, proven).await {
        Ok(result) => result,
        Err(ended) => {
            known.get_or_init(|| ended.failure());
            attempt.save_state(&sandbox, &way, &ended).await;
            return Err(ended);
        }
    };
    let made = report::Made { way: &way, major: sandbox.major(), sniffed: &sniffed, result: &result, proven };
    within(spans::report(), attempt.publish(&made)).await
}

/// The failure of an attempt whose state is still being saved: what makes the attempt stop then does not change it.
pub(crate) type Known = OnceLock<Option<Failure>>;

/// An attempt on its way.
pub(crate) struct Attempt<'a> {
    pub(crate) context: &'a Context,
    pub(crate) hold: &'a Hold,
    pub(crate) request: &'a Request,
    pub(crate) log: &'a Logbook,
    pub(crate) facts: Facts,
}

impl Attempt<'_> {
    pub(crate) async fn enter(&mut self, stage: Stage) -> Result<(), Ended> {
        self.facts.enter(Some(stage));
        self.hold.enter(stage);
        told(self.context.ledger.stage_entered(self.hold.lease(), stage).await)
    }

    /// Looks at the dump's first bytes, in a sandbox like everything that looks at them.
    pub(crate) async fn sniff(&mut self, label: &Label) -> Result<Sniffed, Ended> {
        let place = "fetch";
        let head = self.head().await?;
        let plan =
            Plan::Sniff(plan::Sniff { head_bytes: head.len() as u64, total_bytes: self.source_bytes() });
        let limits = self.context.limits();
        let sandbox = self.context.host.without_postgres(label, &limits).await;
        let sandbox = sandbox.map_err(|error| of_sandbox(&error, place))?;
        let mut sniffed = None;
        let run = Run { place, job: Job::Engine, plan: &plan, input: Input::Bytes(head), output: None };
        let mut session = engine::start(&sandbox, run).await?;
        while let Some(event) = session.next().await? {
            if let Event::Sniffed(found) = event {
                sniffed = Some(found);
            }
        }
        session.finish().await?;
        sniffed.ok_or_else(|| broken(place, "the engine did not say what the dump is"))
    }

    async fn head(&self) -> Result<Bytes, Ended> {
        let wanted = usize::try_from(HEAD_BYTES.min(self.source_bytes())).unwrap_or(usize::MAX);
        let mut reader = self.source();
        let mut head = BytesMut::new();
        while head.len() < wanted
            && let Some(chunk) = reader.next().await.map_err(|error| of_source(&error, "fetch"))?
        {
            head.extend_from_slice(&chunk);
        }
        head.truncate(wanted);
        Ok(head.freeze())
    }

    /// Opens a sandbox with the smallest Postgres that understands the dump.
    async fn open(&mut self, label: &Label, sniffed: &Sniffed) -> Result<Sandbox, Ended> {
        let host = &self.context.host;
        let majors = host.majors().await.map_err(|error| of_sandbox(&error, "fetch"))?;
        let needed = sniffed.server_major.max(sniffed.dump_major);
        let fitting = match needed {
            Some(needed) => majors.iter().find(|&&major| major >= needed),
            None => majors.last(),
        };
        let Some(&major) = fitting else {
            let known: Vec<String> = majors.iter().map(u16::to_string).collect();
            return Err(Failure::rejected(format!(
                "the dump comes from PostgreSQL {}, which is newer than what is supported ({}): dump it with \
                 an older server and pg_dump, or ask us to support it",
                needed.map_or_else(|| "?".to_owned(), |major| major.to_string()),
                known.join(", "),
            ))
            .into());
        };
        let sandbox = self.context.open_sandbox(label, major).await;
        let sandbox = sandbox.map_err(|error| of_sandbox(&error, "fetch"))?;
        self.log
            .info(format!("PostgreSQL {major} is ready for a dump of {} bytes", self.source_bytes()))
            .await;
        Ok(sandbox)
    }

    async fn restore(&mut self, sandbox: &Sandbox, sniffed: &Sniffed, packs: &Packs) -> Result<(), Ended> {
        self.enter(Stage::Restore).await?;
        let plan = Plan::Restore(plan::Restore {
            input: self.input(sniffed.format),
            max_expanded_bytes: self.context.config.max_expanded_bytes,
            target: self.request.target.clone(),
            packs: packs.iter().map(|(_, pack)| pack.probes()).collect(),
        });
        let mut reader = self.source();
        let ran = self.run(sandbox, "restore", &plan, Input::Source(&mut reader), None).await?;
        // The reader has checked length and hash only if it came to the end; the engine's count says it did.
        if ran.read.bytes != self.source_bytes() {
            return Err(broken("restore", "the engine ended before the dump did"));
        }
        let pinned =
            patiently(|| self.context.ledger.pin_source(self.hold.lease(), &ran.read.sha256)).await?;
        if pinned != ran.read.sha256 {
            let message = "the dump in the object store is not what was announced: upload it again";
            return Err(Failure::rejected(message).into());
        }
        self.facts.source_sha256 = Some(pinned);
        Ok(())
    }

    /// Upgrades, dumps and proves.
    async fn make(
        &mut self,
        sandbox: &Sandbox,
        way: &Way,
        sniffed: &Sniffed,
        proven: bool,
    ) -> Result<Stored, Ended> {
        within(spans::stage(Stage::Upgrade), self.upgrade(sandbox, way, sniffed)).await?;
        let result = within(spans::stage(Stage::Dump), self.dump(sandbox, way, sniffed)).await?;
        if proven {
            within(spans::stage(Stage::Prove), self.prove(sandbox, &result)).await?;
        }
        Ok(result)
    }

    /// Stores the report and the log beside the result.
    async fn publish(&mut self, made: &report::Made<'_>) -> Result<Delivery, Ended> {
        self.enter(Stage::Settle).await?;
        self.facts.enter(None);
        let report = report::assemble(self.context, self.hold.lease(), self.request, &self.facts, made)?;
        report::store(self.context, self.hold.lease(), &report).await?;
        report::store_log(self.context, self.hold.lease()).await?;
        Ok(Delivery {
            epoch: self.hold.lease().epoch(),
            result: made.result.name.clone(),
            digest: uplift_core::event::Digest {
                bytes: made.result.written.bytes,
                sha256: made.result.written.sha256.clone(),
            },
        })
    }

    /// Runs the engine; what it says goes to the customer's log, to the ledger and into the report.
    pub(crate) async fn run(
        &mut self,
        sandbox: &Sandbox,
        place: &str,
        plan: &Plan,
        input: Input<'_>,
        output: Option<&mut Writer>,
    ) -> Result<engine::Ran, Ended> {
        self.run_as(Job::Engine, sandbox, place, plan, input, output).await
    }

    /// The same, as a job that reaches other things.
    pub(crate) async fn run_as(
        &mut self,
        job: Job,
        sandbox: &Sandbox,
        place: &str,
        plan: &Plan,
        input: Input<'_>,
        output: Option<&mut Writer>,
    ) -> Result<engine::Ran, Ended> {
        let mut session = engine::start(sandbox, Run { place, job, plan, input, output }).await?;
        let mut steps = Steps::default();
        let ran = self.listen(&mut session, &mut steps).await;
        steps.end(ran.as_ref().err());
        if ran.is_err() {
            session.kill().await;
        }
        ran
    }

    async fn listen(
        &mut self,
        session: &mut engine::Session<'_>,
        steps: &mut Steps,
    ) -> Result<engine::Ran, Ended> {
        while let Some(event) = session.next().await? {
            self.happen(event, steps).await?;
        }
        session.finish().await
    }

    pub(crate) async fn tell(&mut self, event: Event) -> Result<(), Ended> {
        let lease = self.hold.lease();
        match event {
            Event::Log { level, text } => self.log.say(level, &text).await,
            Event::Progress { done, total, .. } => self.hold.progress(done, total),
            Event::StepStarted { step } => {
                self.log.info(format!("step {step}")).await;
                self.progress_of_steps();
                let cost = self.facts.checkpoint_of(&step);
                self.record(self.context.ledger.step_started(lease, &step, cost)).await?;
            }
            Event::StepDone(done) => {
                let seconds = std::time::Duration::from_millis(done.millis).as_secs_f64();
                self.log.info(format!("step {} done: {} rows, {seconds:.1} s", done.step, done.rows)).await;
                self.progress_of_steps();
                self.record(self.context.ledger.step_done(lease, &done)).await?;
            }
            Event::Checkpointed(Checkpointed { step, bytes, millis }) => {
                let seconds = std::time::Duration::from_millis(millis).as_secs_f64();
                self.log
                    .info(format!("copied the database before {step}: {bytes} bytes, {seconds:.1} s"))
                    .await;
            }
            Event::Preflight(Finding { name, rows, meaning, mend, examples, .. }) => {
                let mend = mend.map(|mend| format!("\nthis mends it: {}", mend.trim())).unwrap_or_default();
                let examples: String = examples.iter().map(|row| format!("\n  {row}")).collect();
                let text = format!("{name}: {rows} rows; {meaning}{examples}{mend}");
                self.log.say(Level::Warning, &text).await;
            }
            Event::Reconciled { invariants } if self.hold.stage() == Stage::Dump => {
                self.reconcile(&invariants)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Records a step of an attempt. A session leaves nothing in the ledger but its log.
    async fn record(&self, recorded: impl Future<Output = Result<(), LedgerError>>) -> Result<(), Ended> {
        if self.hold.session().is_some() { Ok(()) } else { told(recorded.await) }
    }

    /// An invariant that has to be equal and is not: the upgrade is wrong, whatever else it did.
    fn reconcile(&self, after: &[Invariant]) -> Result<(), Ended> {
        for pair in Reconciliation::pair(&self.facts.invariants[0], after) {
            // What ran before and cannot run any more was not compared, which is no better than a difference.
            let asked = pair.before.compare == Compare::Equal && pair.before.skipped.is_none();
            if asked && (pair.after.skipped.is_some() || !pair.equal) {
                let detail = match &pair.after.skipped {
                    Some(why) => format!("it could not be compared: {why}"),
                    None => report::first_difference(&pair),
                };
                return Err(Failure::ScriptFailed(ScriptFailure {
                    step: "reconcile".into(),
                    message: format!("{} differs after the upgrade", pair.before.title),
                    detail: Some(detail),
                    ..ScriptFailure::default()
                })
                .into());
            }
        }
        Ok(())
    }

    /// The dump from its beginning. Read again, it has to be what it was the first time.
    pub(crate) fn source(&self) -> Reader {
        let expect = Expect {
            bytes: self.source_bytes(),
            etag: self.request.source_etag.clone(),
            sha256: self.facts.source_sha256.clone().or_else(|| self.request.source_sha256.clone()),
        };
        self.context.objects.open(&key::source(self.request.id), expect)
    }

    /// The dump as the engine is told of it.
    pub(crate) fn input(&self, format: Format) -> plan::Input {
        plan::Input { bytes: self.source_bytes(), format }
    }

    pub(crate) fn source_bytes(&self) -> u64 {
        self.request.source_bytes.unwrap_or(0)
    }
}

/// What was to be recorded is nice to have; a lost lease is not to be overlooked.
fn told(recorded: Result<(), LedgerError>) -> Result<(), Ended> {
    match recorded {
        Err(error @ LedgerError::LeaseLost(_)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(error = chain(&error), "record a step or a stage");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

pub(crate) fn broken(place: &str, message: &str) -> Ended {
    Failure::Infrastructure { place: place.to_owned(), message: message.to_owned() }.into()
}
