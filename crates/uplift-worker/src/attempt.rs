//! One attempt, from claim to settlement. Whatever happens in between, its sandbox is removed and the ledger is
//! told, or the lease is lost and nothing is told.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};
use tracing::{Instrument as _, Span};
use uplift_core::{
    Failure,
    event::Level,
    key,
    request::{Delivery, StateCode},
};
use uplift_platform::{
    boot::{spans, trace::Work},
    ledger::{LedgerError, Request, Settlement},
};
use uplift_sandbox::Label;

use crate::{
    context::Context,
    keeper::{Hold, Stop},
    logbook::Logbook,
    outcome::{Ended, chain},
    spans::within,
    stages,
};

/// How long removing a sandbox may take before it is left to the reaper.
pub(crate) const REMOVAL: Duration = Duration::from_secs(60);

/// Runs an attempt to its end, within its span.
pub(crate) async fn run(context: Arc<Context>, hold: Hold, request: Request, span: Span) {
    let work = Work::begin(span);
    let code = async {
        tracing::info!("claimed");
        let _ended = EndedWhenDropped(hold.clone());
        upgrade(&context, &hold, &request).await
    }
    .instrument(work.span())
    .await;
    work.end(code);
}

/// However work ends, by a panic too: what was held for it is kept no longer.
pub(crate) struct EndedWhenDropped(pub(crate) Hold);

impl Drop for EndedWhenDropped {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Does the work, removes its sandbox and tells the ledger. Gives the code of what went wrong, if anything did.
async fn upgrade(context: &Context, hold: &Hold, request: &Request) -> Option<&'static str> {
    let log = Logbook::open(hold.clone(), context.ledger.clone(), context.clock);
    let label = Label { request: request.id, epoch: hold.lease().epoch(), worker: context.worker };
    let known = stages::Known::new();
    let ended = tokio::select! {
        stop = hold.stopped() => Err(match (stop, known.get()) {
            (Stop::DeadlinePassed { .. } | Stop::Released(_), Some(Some(failure))) => failure.clone().into(),
            (stop, _) => Ended::Stopped(stop),
        }),
        done = stages::run(context, hold, request, &log, &label, &known) => done,
    };
    let code = ended.as_ref().err().map(Ended::code);
    let Some(settlement) = settlement(ended) else {
        tracing::warn!("stopped without a word to the ledger: the lease is lost");
        remove(context, &label).await;
        remove_stored(context, &label).await;
        return code;
    };
    say_farewell(&log, &settlement).await;
    log.close().await;
    // Who reads "delivered" finds nothing left behind; who is given the request back does not wait for it.
    let settling = within(spans::settle(), settle(context, hold, &settlement));
    let settled = if matches!(settlement, Settlement::Failed(Failure::Released { .. })) {
        let settled = settling.await;
        remove(context, &label).await;
        settled
    } else {
        remove(context, &label).await;
        settling.await
    };
    code.or(settled.err().map(|lost| lost.code()))
}

pub(crate) async fn remove(context: &Context, label: &Label) {
    match timeout(REMOVAL, context.host.remove(label)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(error = chain(&error), "remove a sandbox; the reaper will"),
        Err(_) => tracing::warn!("removing a sandbox takes too long; the reaper will"),
    }
}

/// What an attempt has stored that lost its lease will never be delivered. The sweep removes it, too, but may have come
/// by while this worker was held up.
async fn remove_stored(context: &Context, label: &Label) {
    let prefix = key::attempt_prefix(label.request, label.epoch);
    if let Err(error) = context.objects.delete_prefix(&prefix).await {
        tracing::warn!(error = chain(&error), "remove what a lost attempt had stored");
    }
    let saved = key::checkpoint(label.request, label.epoch);
    if let Err(error) = context.objects.delete_prefix(&saved).await {
        tracing::warn!(error = chain(&error), "remove the state that a lost attempt had saved");
    }
}

/// What there is to tell the ledger; `None` where the lease is lost and nothing may be said any more.
fn settlement(ended: Result<Delivery, Ended>) -> Option<Settlement> {
    Some(match ended {
        Ok(delivery) => Settlement::Delivered(delivery),
        Err(Ended::Failed(failure)) => Settlement::Failed(*failure),
        Err(Ended::Stopped(Stop::LeaseLost)) => return None,
        Err(Ended::Stopped(Stop::Cancelled)) => Settlement::Failed(Failure::Cancelled),
        Err(Ended::Stopped(Stop::Released(reason))) => Settlement::Failed(Failure::Released { reason }),
        Err(Ended::Stopped(Stop::DeadlinePassed { stage: None, given })) => {
            Settlement::Failed(Failure::attempt_too_long(given))
        }
        Err(Ended::Stopped(Stop::DeadlinePassed { stage: Some(stage), given })) => {
            Settlement::Failed(Failure::DeadlinePassed { place: stage.to_string(), seconds: given.as_secs() })
        }
    })
}

async fn say_farewell(log: &Logbook, settlement: &Settlement) {
    match settlement {
        Settlement::Delivered(delivery) => {
            let digest = &delivery.digest;
            log.last(Level::Info, &format!("delivered: {} bytes, sha256 {}", digest.bytes, digest.sha256))
                .await;
        }
        Settlement::Failed(held @ Failure::Held(_)) => log.last(Level::Warning, &held.to_string()).await,
        Settlement::Failed(failure) => log.last(Level::Error, &failure.to_string()).await,
    }
}

/// Tells the ledger, however long it takes to come back; a lease that is lost meanwhile ends it.
async fn settle(context: &Context, hold: &Hold, settlement: &Settlement) -> Result<(), Ended> {
    loop {
        match context.ledger.settle(hold.lease(), settlement).await {
            Ok(state) => {
                report(settlement, state);
                return Ok(());
            }
            Err(LedgerError::LeaseLost(_)) => break,
            Err(error) => {
                tracing::warn!(error = chain(&error), "settle; trying again");
                tokio::select! {
                    () = sleep(Duration::from_secs(1)) => {}
                    () = lost(hold) => break,
                }
            }
        }
    }
    tracing::warn!("settled nothing: the lease is lost");
    Err(Stop::LeaseLost.into())
}

/// Other reasons to stop come too late once there is something to settle.
async fn lost(hold: &Hold) {
    if hold.stopped().await != Stop::LeaseLost {
        std::future::pending::<()>().await;
    }
}

/// The platform's log names code and place; messages may hold a customer's rows and go to its own log only.
fn report(settlement: &Settlement, state: StateCode) {
    match settlement {
        Settlement::Delivered(delivery) => {
            tracing::info!(request.state = %state, result.bytes = delivery.digest.bytes, "settled");
        }
        Settlement::Failed(failure) => {
            tracing::info!(
                request.state = %state,
                failure.code = failure.code(),
                failure.place = failure.place(),
                "settled"
            );
        }
    }
}
