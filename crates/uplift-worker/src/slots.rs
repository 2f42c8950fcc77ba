//! The one loop that owns concurrency: it takes a slot, waits for a hint or for its turn to look, claims, and
//! sends the attempt on its way.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use uplift_platform::{
    Listener,
    hints::{Hint, HintsConfig},
    ledger::Claimed,
};

use crate::{
    attempt,
    context::Context,
    keeper::{Hold, Keeper, Stop},
};

/// How often the ledger is told that this worker lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long to wait when a dependency is down.
const UNWELL: Duration = Duration::from_secs(3);

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
        let claimed = claim(context).await;
        eager = claimed.is_some();
        if let Some(hint) = hint {
            hint.ack().await;
        }
        if let Some((claimed, claimed_at)) = claimed {
            holds.retain(Hold::is_live);
            let hold = keeper.hold(claimed.lease, claimed_at, context.attempt_limit());
            holds.push(hold.clone());
            running.spawn(occupied(
                context.clone(),
                permit,
                attempt::run(context.clone(), hold, claimed.request),
            ));
        }
        while running.try_join_next().is_some() {}
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
async fn claim(context: &Context) -> Option<(Claimed, Instant)> {
    let well =
        tokio::try_join!(async { context.objects.ping().await.map_err(|error| error.to_string()) }, async {
            context.host.ping().await.map_err(|error| error.to_string())
        },);
    if let Err(error) = well {
        tracing::warn!(error, "not claiming while a dependency is down");
        tokio::time::sleep(UNWELL).await;
        return None;
    }
    // The lease is counted from before the question, so that this side never believes in it for too long.
    let asked_at = Instant::now();
    match context.ledger.claim(context.worker, context.attempt_limit()).await {
        Ok(claimed) => claimed.map(|claimed| (claimed, asked_at)),
        Err(error) => {
            tracing::warn!(error = %anyhow::Error::new(error), "claim");
            tokio::time::sleep(UNWELL).await;
            None
        }
    }
}

async fn occupied(context: Arc<Context>, permit: OwnedSemaphorePermit, attempt: impl Future<Output = ()>) {
    context.busy.fetch_add(1, Ordering::Relaxed);
    attempt.await;
    context.busy.fetch_sub(1, Ordering::Relaxed);
    drop(permit);
}

/// Lets what runs finish for a while, then hands it back.
async fn drain(context: &Context, mut running: JoinSet<()>, holds: &[Hold]) {
    context.draining.store(true, Ordering::Relaxed);
    let grace = Duration::from_secs(context.config.grace_seconds);
    let finished = async { while running.join_next().await.is_some() {} };
    if timeout(grace, finished).await.is_err() {
        for hold in holds {
            hold.stop(Stop::Released("the worker is being stopped".into()));
        }
        while running.join_next().await.is_some() {}
    }
}

async fn heartbeat(context: Arc<Context>) {
    loop {
        if let Err(error) = context.ledger.heartbeat(&context.state()).await {
            tracing::warn!(error = %anyhow::Error::new(error), "tell the ledger that this worker lives");
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}
