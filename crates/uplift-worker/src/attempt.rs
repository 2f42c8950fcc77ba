//! One attempt, from claim to settlement. Whatever happens in between, its sandbox is removed and the ledger is
//! told, or the lease is lost and nothing is told.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};
use tracing::Instrument as _;
use uplift_core::{Failure, event::Level, request::StateCode};
use uplift_platform::{
    boot::trace,
    ledger::{LedgerError, Request, Settlement},
};
use uplift_sandbox::Label;

use crate::{
    context::Context,
    keeper::{Hold, Stop},
    logbook::Logbook,
    outcome::{Ended, chain},
    stages,
};

/// How long removing a sandbox may take before it is left to the reaper.
const REMOVAL: Duration = Duration::from_secs(60);

/// Runs an attempt to its end.
pub(crate) async fn run(context: Arc<Context>, hold: Hold, request: Request) {
    let span = tracing::info_span!(
        "attempt",
        request.id = %request.id,
        attempt.epoch = %hold.lease().epoch(),
        worker.id = %context.worker,
        request.purpose = %request.purpose,
    );
    if let Some(traceparent) = &request.traceparent {
        trace::link(&span, traceparent);
    }
    async {
        tracing::info!("claimed");
        let settlement = upgrade(&context, &hold, &request).await;
        match settlement {
            Some(settlement) => settle(&context, &hold, &settlement).await,
            None => tracing::warn!("stopped without a word to the ledger: the lease is lost"),
        }
        hold.end();
    }
    .instrument(span)
    .await;
}

/// Does the work; `None` where the lease is lost and nothing may be said any more.
async fn upgrade(context: &Context, hold: &Hold, request: &Request) -> Option<Settlement> {
    let log = Logbook::open(hold.clone(), context.ledger.clone(), context.clock);
    let label = Label { request: request.id, epoch: hold.lease().epoch(), worker: context.worker };
    let ended = tokio::select! {
        stop = hold.stopped() => Err(Ended::Stopped(stop)),
        done = stages::run(context, hold, request, &log, &label) => done,
    };
    // Before anything is told: who reads "delivered" finds nothing left behind.
    match timeout(REMOVAL, context.host.remove(&label)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(error = chain(&error), "remove a sandbox; the reaper will"),
        Err(_) => tracing::warn!("removing a sandbox takes too long; the reaper will"),
    }
    let settlement = match ended {
        Ok(delivery) => Settlement::Delivered(delivery),
        Err(Ended::Failed(failure)) => Settlement::Failed(*failure),
        Err(Ended::Stopped(Stop::LeaseLost)) => return None,
        Err(Ended::Stopped(Stop::Cancelled)) => Settlement::Failed(Failure::Cancelled),
        Err(Ended::Stopped(Stop::Released(reason))) => Settlement::Failed(Failure::Released { reason }),
        Err(Ended::Stopped(Stop::DeadlinePassed)) => Settlement::Failed(Failure::DeadlinePassed {
            place: hold.stage().to_string(),
            seconds: context.attempt_limit().as_secs(),
        }),
    };
    say_farewell(&log, &settlement).await;
    log.close().await;
    Some(settlement)
}

async fn say_farewell(log: &Logbook, settlement: &Settlement) {
    match settlement {
        Settlement::Delivered(delivery) => {
            log.info(format!(
                "delivered: {} bytes, sha256 {}",
                delivery.digest.bytes, delivery.digest.sha256
            ))
            .await;
        }
        Settlement::Failed(failure) => log.say(Level::Error, &failure.to_string()).await,
    }
}

/// Tells the ledger, however long it takes to come back; a lease that is lost meanwhile ends it.
async fn settle(context: &Context, hold: &Hold, settlement: &Settlement) {
    loop {
        match context.ledger.settle(hold.lease(), settlement).await {
            Ok(state) => return report(settlement, state),
            Err(LedgerError::LeaseLost(_)) => {
                return tracing::warn!("settled nothing: the lease is lost");
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "settle; trying again");
                tokio::select! {
                    () = sleep(Duration::from_secs(1)) => {}
                    () = lost(hold) => return tracing::warn!("settled nothing: the lease is lost"),
                }
            }
        }
    }
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
        Settlement::Failed(failure @ (Failure::Infrastructure { .. } | Failure::Released { .. })) => {
            tracing::warn!(request.state = %state, %failure, "settled");
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
