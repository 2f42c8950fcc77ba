//! Engineers' looks into saved states, in slots of their own: a day of debugging takes none from upgrades. A session is
//! taken by looking at the ledger; it ends with its sandbox removed and the ledger told why, whatever happened.

mod dry_run;
mod printable;
mod shell;
mod socket;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use uplift_core::{
    Epoch, Failure, Lease, RequestId,
    event::Level,
    key,
    plan::{self, Plan},
    session::SessionOutcome,
};
use uplift_platform::{
    config::StageSeconds,
    ledger::{LedgerError, Opening, Session},
    objects::Expect,
};
use uplift_sandbox::{Label, Sandbox};

use crate::{
    attempt::{self, EndedWhenDropped},
    context::Context,
    engine::Input,
    facts::Facts,
    keeper::{self, Hold, Keeper, Stop},
    logbook::Logbook,
    outcome::{Ended, chain, of_sandbox},
    stages::{Attempt, broken},
};

/// How often the ledger is asked for a session while a slot is free: a person waits.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait when the ledger is away.
const UNWELL: Duration = Duration::from_secs(5);

/// How a session ends, and what its engineer reads of it.
pub(crate) struct Ending {
    outcome: SessionOutcome,
    message: String,
    failure: Option<Failure>,
}

/// Runs sessions until told to stop; those that run then are ended at once, since another worker restores their state just
/// as well.
pub(crate) async fn run(context: &Arc<Context>, keeper: &Keeper, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(usize::from(context.config.session_slots)));
    let mut running = JoinSet::new();
    let mut holds: Vec<Hold> = Vec::new();
    let look = async {
        // Without slots this waits for ever.
        while let Ok(permit) = slots.clone().acquire_owned().await {
            let (lease, session, claimed_at) = next(context).await;
            let hold = keeper.hold_session(session.id, lease, claimed_at, limits(context, &session));
            tracing::info!(session.id = %session.id, request.id = %session.request.id, "a session begins");
            holds.retain(Hold::is_live);
            holds.push(hold.clone());
            running.spawn(occupied(context.clone(), permit, hold, session));
            while let Some(ended) = running.try_join_next() {
                report(ended);
            }
        }
    };
    shutdown.run_until_cancelled(look).await;
    for hold in &holds {
        hold.stop(Stop::Released("its worker is being stopped: open another".into()));
    }
    while let Some(ended) = running.join_next().await {
        report(ended);
    }
}

/// A panic is a defect of ours; the sweep ends its session, and the reaper removes its sandbox.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a session broke");
    }
}

/// The next session, however long there is none, and when it was asked for.
async fn next(context: &Context) -> (Lease, Session, Instant) {
    loop {
        let asked_at = Instant::now();
        match context.ledger.claim_session(context.worker).await {
            Ok(Some((lease, session))) => return (lease, session, asked_at),
            Ok(None) => sleep(LOOK).await,
            Err(error) => {
                tracing::warn!(error = chain(&error), "look for sessions");
                sleep(UNWELL).await;
            }
        }
    }
}

/// A shell may take as long as a session may; a dry run as long as an attempt, since it does the same work.
fn limits(context: &Context, session: &Session) -> keeper::Limits {
    let attempt = match session.opening {
        Opening::Shell { .. } => context.config.session_seconds,
        Opening::DryRun => context.config.attempt_seconds,
    };
    keeper::Limits { attempt: Duration::from_secs(attempt), stages: StageSeconds::none() }
}

async fn occupied(context: Arc<Context>, _slot: OwnedSemaphorePermit, hold: Hold, session: Session) {
    let _ended = EndedWhenDropped(hold.clone());
    let label = Label { request: RequestId(session.id.0), epoch: Epoch(0), worker: context.worker };
    let log = Logbook::open(hold.clone(), context.ledger.clone(), context.clock);
    let mut opened = Attempt {
        context: &context,
        hold: &hold,
        request: &session.request,
        log: &log,
        facts: Facts::default(),
    };
    let ending = match &session.opening {
        Opening::DryRun => tokio::select! {
            stop = hold.stopped() => stopped(stop),
            ending = dry_run::run(&mut opened, &label, &session) => ending,
        },
        Opening::Shell { writable, dispatcher } => {
            let door = shell::Door {
                dispatcher,
                secret: session.secret.as_deref().unwrap_or_default(),
                writable: *writable,
            };
            shell::run(&mut opened, &label, &session, &door).await
        }
    };
    let level = if ending.outcome == SessionOutcome::Passed { Level::Info } else { Level::Warning };
    log.last(level, &ending.message).await;
    log.close().await;
    attempt::remove(&context, &label).await;
    let told = context
        .ledger
        .end_session(session.id, context.worker, ending.outcome, &ending.message, ending.failure.as_ref())
        .await;
    match told {
        Ok(()) | Err(LedgerError::SessionOver(_)) => {}
        // The sweep ends it.
        Err(error) => tracing::warn!(error = chain(&error), "tell how a session ended"),
    }
    tracing::info!(session.id = %session.id, outcome = %ending.outcome, "a session has ended");
}

impl Attempt<'_> {
    /// A sandbox with the state as it was saved.
    async fn reopen(&mut self, label: &Label, session: &Session) -> Result<Sandbox, Ended> {
        let place = "reopen";
        let saved = &session.saved;
        self.log.info(format!("restoring the state before {}: {} bytes", saved.step, saved.bytes)).await;
        let sandbox = self.context.open_sandbox(label, saved.postgres_major).await;
        let sandbox = sandbox.map_err(|error| of_sandbox(&error, place))?;
        let input = plan::Input { bytes: saved.bytes, format: uplift_core::Format::Custom };
        let plan =
            Plan::Reopen(plan::Reopen { input, max_expanded_bytes: self.context.config.max_expanded_bytes });
        let lease = self.hold.lease();
        let expect = Expect { bytes: saved.bytes, etag: None, sha256: Some(saved.sha256.clone()) };
        let mut state = self.context.objects.open(&key::checkpoint(lease.request(), lease.epoch()), expect);
        let ran = self.run(&sandbox, place, &plan, Input::Result(&mut state), None).await?;
        if ran.read.bytes != saved.bytes {
            return Err(broken(place, "the engine ended before the saved state did"));
        }
        Ok(sandbox)
    }
}

/// How a session ends that was stopped.
fn stopped(stop: Stop) -> Ending {
    let (outcome, message) = match stop {
        Stop::LeaseLost => (SessionOutcome::Lost, "the ledger was away for too long".to_owned()),
        Stop::DeadlinePassed { given, .. } => {
            (SessionOutcome::TooLong, format!("it may take {} s, which are over", given.as_secs()))
        }
        Stop::Released(why) => (SessionOutcome::Closed, why),
        // What a customer takes back is closed, and its sessions with it, for that reason.
        Stop::Cancelled => (SessionOutcome::Closed, "the request was taken back".to_owned()),
    };
    Ending { outcome, message, failure: None }
}

/// How a session ends in which something did not work: a step of the pack's, or something of ours.
fn ended(ended: Ended) -> Ending {
    match ended {
        Ended::Stopped(stop) => stopped(stop),
        Ended::Failed(failure) => {
            let outcome = match *failure {
                Failure::Infrastructure { .. } | Failure::Released { .. } => SessionOutcome::Broken,
                _ => SessionOutcome::Failed,
            };
            Ending { outcome, message: failure.to_string(), failure: Some(*failure) }
        }
    }
}
