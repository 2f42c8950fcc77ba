//! The one loop that owns concurrency: it takes a slot, waits for a hint or for its turn to look, claims, and
//! sends the attempt on its way.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uplift_platform::{
    Listener,
    hints::{Hint, HintsConfig},
    ledger::Claimed,
};

use crate::{
    attempt::{self, REMOVAL},
    context::Context,
    keeper::{Hold, Keeper, Stop},
    outcome::chain,
    spans::Claiming,
};

/// How often the ledger is told that this worker lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long to wait when a dependency is down.
const UNWELL: Duration = Duration::from_secs(3);

/// What a look at the ledger brought.
enum Claim {
    /// A request, and when it was asked for.
    Taken { claimed: Box<Claimed>, asked_at: Instant },
    /// There is nothing to claim.
    Nothing,
    /// Something that an attempt would need is down.
    Unwell,
}

/// Runs until told to stop and until every slot is free again.
pub(crate) async fn run(
    context: &Arc<Context>,
    keeper: &Keeper,
    hints: HintsConfig,
    shutdown: CancellationToken,
) {
    let heart = tokio::spawn(heartbeat(context.clone()));
    let slots = Arc::new(Semaphore::new(usize::from(context.config.slots)));
    let mut listener = Listener::start(hints);
    let mut running = JoinSet::new();
    let mut holds: Vec<Hold> = Vec::new();
    let mut eager = false;
    loop {
        let Some(permit) = free_slot(&slots, &mut listener, &shutdown).await else { break };
        // What is claimable may be more than was hinted at, so one success is followed by another look.
        let hint = if eager { None } else { wait(context, &mut listener, &shutdown).await };
        if shutdown.is_cancelled() {
            break;
        }
        let claiming = Claiming::begin(context.worker, hint.as_ref());
        let claimed = claim(context).await;
        eager = matches!(claimed, Claim::Taken { .. });
        match (hint, &claimed) {
            // Another worker may be well.
            (Some(hint), Claim::Unwell) => hint.requeue().await,
            (Some(hint), _) => hint.ack().await,
            (None, _) => {}
        }
        if matches!(claimed, Claim::Unwell) {
            listener.pause().await;
            sleep(UNWELL).await;
        }
        if let Claim::Taken { claimed, asked_at } = claimed {
            holds.retain(Hold::is_live);
            let span = claiming.taken(&claimed);
            let Claimed { lease, request } = *claimed;
            let hold = span.in_scope(|| keeper.hold(lease, asked_at, context.deadlines()));
            holds.push(hold.clone());
            running.spawn(occupied(
                context.clone(),
                permit,
                attempt::run(context.clone(), hold, request, span),
            ));
        }
        while let Some(ended) = running.try_join_next() {
            report(ended);
        }
    }
    listener.pause().await;
    drain(context, running, &holds).await;
    heart.abort();
}

/// A permit for one more request; `None` once the worker stops. While none is free, hints go to others.
async fn free_slot(
    slots: &Arc<Semaphore>,
    listener: &mut Listener,
    shutdown: &CancellationToken,
) -> Option<OwnedSemaphorePermit> {
    if slots.available_permits() == 0 {
        listener.pause().await;
    }
    tokio::select! {
        () = shutdown.cancelled() => None,
        permit = slots.clone().acquire_owned() => permit.ok(),
    }
}

/// Waits for a hint, or until it is time to look at the ledger without one.
async fn wait(context: &Context, listener: &mut Listener, shutdown: &CancellationToken) -> Option<Hint> {
    let poll = Duration::from_secs(context.config.poll_seconds);
    tokio::select! {
        () = shutdown.cancelled() => None,
        hint = timeout(poll, listener.next()) => hint.ok(),
    }
}

/// The best claimable request, unless something that the attempt would need is down: then nothing is claimed,
/// and no attempt is wasted.
async fn claim(context: &Context) -> Claim {
    let well =
        tokio::try_join!(async { context.objects.ping().await.map_err(|error| error.to_string()) }, async {
            context.host.ping().await.map_err(|error| error.to_string())
        },);
    if let Err(error) = well {
        tracing::warn!(error, "not claiming while a dependency is down");
        return Claim::Unwell;
    }
    // The lease is counted from before the question, so that this side never believes in it for too long.
    let asked_at = Instant::now();
    // A worker that is well ends its attempt itself, and says why; the sweep ends what is still there after that.
    let attempt = context.deadlines().attempt + REMOVAL;
    match context.ledger.claim(context.worker, attempt).await {
        Ok(Some(claimed)) => Claim::Taken { claimed: Box::new(claimed), asked_at },
        Ok(None) => Claim::Nothing,
        Err(error) => {
            tracing::warn!(error = chain(&error), "claim");
            Claim::Unwell
        }
    }
}

/// An attempt with the slot that it occupies, which is free again however it ends.
async fn occupied(context: Arc<Context>, permit: OwnedSemaphorePermit, attempt: impl Future<Output = ()>) {
    let _slot = Slot::occupy(context, permit);
    attempt.await;
}

struct Slot {
    context: Arc<Context>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    fn occupy(context: Arc<Context>, permit: OwnedSemaphorePermit) -> Self {
        context.busy.fetch_add(1, Ordering::Relaxed);
        Self { context, _permit: permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.context.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A panic is a defect of ours; its request is claimed again once its lease has run out.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an attempt broke");
    }
}

/// Lets what runs finish for a while, then hands it back.
async fn drain(context: &Context, mut running: JoinSet<()>, holds: &[Hold]) {
    context.draining.store(true, Ordering::Relaxed);
    let grace = Duration::from_secs(context.config.grace_seconds);
    let finished = async {
        while let Some(ended) = running.join_next().await {
            report(ended);
        }
    };
    if timeout(grace, finished).await.is_err() {
        for hold in holds {
            hold.stop(Stop::Released("the worker is being stopped".into()));
        }
        while let Some(ended) = running.join_next().await {
            report(ended);
        }
    }
}

async fn heartbeat(context: Arc<Context>) {
    loop {
        if let Err(error) = context.ledger.heartbeat(&context.state()).await {
            tracing::warn!(error = chain(&error), "tell the ledger that this worker lives");
        }
        sleep(HEARTBEAT).await;
    }
}
