//! What has to happen though nobody asks: lost leases, hints, uploads that nobody will complete.
//!
//! Every dispatcher sweeps. A round that fails is logged and the next one tries again: everything here looks at
//! what is, and remembers nothing.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::TaskTracker;
use uplift_core::key;
use uplift_platform::{
    ledger::{CancelledUpload, DeadAttempt, ExpiredUpload, Hintable, LedgerError},
    objects::{ObjectsError, UploadId},
};

use crate::{Context, notify, orphans, retention};

/// A worker that was not seen for this long leaves the list.
const FORGET_WORKERS: Duration = Duration::from_secs(600);

/// Starts sweeping. The tasks end when the context says so.
///
/// There are several, so that an object store that is slow or down delays no request.
pub(crate) fn start(context: &Arc<Context>, sets_cors: bool) -> TaskTracker {
    let tasks = TaskTracker::new();
    tasks.spawn(watch_requests(Arc::clone(context)));
    // Whatever tidying up is at can be broken off: the next round, or another dispatcher, does it again.
    tasks.spawn(context.stopping.clone().run_until_cancelled_owned(tidy_up(Arc::clone(context))));
    tasks.spawn(context.stopping.clone().run_until_cancelled_owned(orphans::watch(Arc::clone(context))));
    tasks.spawn(context.stopping.clone().run_until_cancelled_owned(notify::run(Arc::clone(context))));
    if sets_cors {
        tasks.spawn(context.stopping.clone().run_until_cancelled_owned(open_to_pages(Arc::clone(context))));
    }
    tasks.close();
    tasks
}

/// Has the object store take parts from pages: once it is there, and once for all.
async fn open_to_pages(context: Arc<Context>) {
    let mut tick = ticks(&context);
    loop {
        tick.tick().await;
        match context.objects.allow_pages().await {
            Ok(changed) => {
                tracing::info!(changed, "the object store takes parts from pages");
                return;
            }
            Err(error @ (ObjectsError::Denied { .. } | ObjectsError::Invalid { .. })) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "dumps cannot be uploaded on the page until the bucket's rules for other origins allow PUT and any \
                     header: set them, and `sets_cors = false` in [objects]"
                );
                return;
            }
            Err(error) => handled("open the object store to pages", Err(error)),
        }
    }
}

/// Ends lost attempts, and hints at what can be claimed: at every tick, and at once when a request was queued.
async fn watch_requests(context: Arc<Context>) {
    let mut tick = ticks(&context);
    loop {
        tokio::select! {
            () = context.stopping.cancelled() => return,
            _ = tick.tick() => handled("sweep leases", sweep_leases(&context).await),
            () = context.queued.notified() => {}
        }
        handled("send hints", send_hints(&context).await);
        handled("tell events", tell_events(&context).await);
    }
}

/// Removes what was left behind.
async fn tidy_up(context: Arc<Context>) {
    let mut tick = ticks(&context);
    loop {
        tick.tick().await;
        handled("cancel stale uploads", cancel_stale_uploads(&context).await);
        handled("remove cancelled uploads", remove_cancelled_uploads(&context).await);
        handled("abort expired uploads", abort_expired_uploads(&context).await);
        handled("remove dead objects", remove_dead_objects(&context).await);
        handled("remove stale checkpoints", remove_stale_checkpoints(&context).await);
        handled("keep nothing for too long", retention::keep(&context).await);
        handled("end lost sessions", context.ledger.sweep_sessions().await.map(drop));
        handled("forget logins", context.ledger.forget_logins().await);
        handled("forget workers", context.ledger.forget_workers(FORGET_WORKERS).await.map(drop));
    }
}

fn ticks(context: &Context) -> tokio::time::Interval {
    // An interval of zero would panic.
    let mut tick = interval(Duration::from_secs(context.settings.sweep_seconds.max(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

async fn sweep_leases(context: &Context) -> Result<(), LedgerError> {
    let swept = context.ledger.sweep_leases(context.attempt).await?;
    for (request, error) in swept.failed {
        let error = format!("{:#}", anyhow::Error::from(error));
        tracing::error!(request.id = %request, error, "an attempt could not be ended; the next round tries again");
    }
    for swept in swept.ended {
        tracing::warn!(
            request.id = %swept.request,
            attempt.epoch = %swept.epoch,
            failure = swept.failure.code(),
            state = %swept.state,
            "an attempt was ended: its worker is gone or too slow"
        );
    }
    Ok(())
}

async fn send_hints(context: &Context) -> Result<(), LedgerError> {
    if !context.hints.connected() {
        // Nothing is marked, so that all are sent in the first round that has a broker.
        return Ok(());
    }
    let hintable = context.ledger.take_hintable(context.hint_ttl).await?;
    // Side by side, since each waits for the broker's disk.
    let sent = join_all(hintable.iter().map(|hint| publish(context, hint))).await;
    let unsent: Vec<_> = hintable.iter().zip(sent).filter(|(_, sent)| !sent).collect();
    for (hint, _) in &unsent {
        context.ledger.hint_failed(hint.request).await?;
    }
    if !unsent.is_empty() {
        tracing::debug!(unsent = unsent.len(), "hints wait for the broker, until the next round");
    } else if !hintable.is_empty() {
        // There may be more than one look takes: look again, unless a tick is due first.
        context.queued.notify_one();
    }
    Ok(())
}

async fn tell_events(context: &Context) -> Result<(), LedgerError> {
    if !context.hints.connected() {
        return Ok(());
    }
    let events = context.ledger.take_events().await?;
    let mut told = Vec::new();
    // One behind the other: who listens hears them in their order.
    for event in &events {
        if let Err(error) = context.hints.tell(&event.topic, event.id, &event.body).await {
            tracing::debug!(event.topic, error = %error, "an event was not told; the next round tells it");
            break;
        }
        told.push(event.id);
    }
    if !told.is_empty() {
        context.ledger.events_told(&told).await?;
    }
    Ok(())
}

async fn publish(context: &Context, hint: &Hintable) -> bool {
    match context.hints.publish(hint.purpose, hint.request, hint.traceparent.as_deref()).await {
        Ok(()) => true,
        Err(error) => {
            // The publisher itself warns, once, when it loses the broker.
            tracing::debug!(request.id = %hint.request, error = %error, "a hint was not sent");
            false
        }
    }
}

async fn cancel_stale_uploads(context: &Context) -> Result<(), LedgerError> {
    let after = Duration::from_secs(context.settings.upload_hours * 3600);
    let cancelled = context.ledger.cancel_stale_uploads(after).await?;
    if cancelled > 0 {
        tracing::info!(cancelled, "requests were cancelled: their uploads never came");
    }
    Ok(())
}

async fn remove_cancelled_uploads(context: &Context) -> Result<(), Leftover> {
    for cancelled in context.ledger.cancelled_uploads().await? {
        let prefix = key::request_prefix(cancelled.request);
        passable(remove_cancelled(context, cancelled, &prefix).await, &prefix)?;
    }
    Ok(())
}

/// A cancelled request may have parts of a dump and of scripts, or the whole objects. None is of use to anybody.
async fn remove_cancelled(
    context: &Context,
    cancelled: CancelledUpload,
    prefix: &str,
) -> Result<(), Leftover> {
    let CancelledUpload { request, source, scripts } = cancelled;
    context.objects.abort_upload(&key::source(request), &UploadId(source)).await?;
    if let Some(scripts) = scripts {
        context.objects.abort_upload(&key::scripts(request), &UploadId(scripts)).await?;
    }
    context.objects.delete_prefix(prefix).await?;
    context.ledger.upload_removed(request).await?;
    tracing::info!(request.id = %request, "what a cancelled request had uploaded was removed");
    Ok(())
}

async fn abort_expired_uploads(context: &Context) -> Result<(), Leftover> {
    for expired in context.ledger.expired_uploads().await? {
        passable(abort(context, &expired).await, &expired.key)?;
    }
    Ok(())
}

/// What an attempt stored that did not deliver is of use to nobody, but for the state that it has saved.
async fn remove_dead_objects(context: &Context) -> Result<(), Leftover> {
    for DeadAttempt { request, epoch, saved } in context.ledger.dead_attempts().await? {
        let prefix = key::attempt_prefix(request, epoch);
        let removed = async {
            context.objects.delete_prefix(&prefix).await?;
            if !saved {
                context.objects.delete_prefix(&key::checkpoint(request, epoch)).await?;
            }
            Ok(context.ledger.attempt_swept(request, epoch).await?)
        };
        passable(removed.await, &prefix)?;
    }
    Ok(())
}

/// The state before a step that failed is of use until its request has come to its end.
async fn remove_stale_checkpoints(context: &Context) -> Result<(), Leftover> {
    for (request, epoch) in context.ledger.stale_checkpoints().await? {
        let key = key::checkpoint(request, epoch);
        let removed = async {
            context.objects.delete_prefix(&key).await?;
            Ok(context.ledger.checkpoint_swept(request, epoch).await?)
        };
        passable(removed.await, &key)?;
    }
    Ok(())
}

pub(crate) async fn abort(context: &Context, expired: &ExpiredUpload) -> Result<(), Leftover> {
    context.objects.abort_upload(&expired.key, &UploadId(expired.upload.clone())).await?;
    context.ledger.upload_ended(&expired.key, &expired.upload).await?;
    tracing::info!(key = expired.key, "an upload that nobody will complete was aborted");
    Ok(())
}

/// Lets the others have their turn after one that the store refuses; not while the store or the ledger is down.
pub(crate) fn passable(removed: Result<(), Leftover>, key: &str) -> Result<(), Leftover> {
    match removed {
        Err(Leftover::Objects(error)) if !matches!(error, ObjectsError::Unavailable { .. }) => {
            tracing::warn!(key, error = %error, "an upload could not be removed; the next round tries again");
            Ok(())
        }
        other => other,
    }
}

/// Why something was not removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Leftover {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Objects(#[from] ObjectsError),
}

/// The one log of a step that failed.
pub(crate) fn handled<E: Into<anyhow::Error>>(step: &str, result: Result<(), E>) {
    if let Err(error) = result {
        tracing::warn!(
            step,
            error = format!("{:#}", error.into()),
            "a step of the sweep failed; the next round repeats it"
        );
    }
}
