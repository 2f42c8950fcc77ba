//! Removes what dead workers left on this host: whatever the ledger says has no live lease. Nothing is
//! removed while the ledger is out of reach.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uplift_sandbox::Label;

use crate::{context::Context, outcome::chain};

/// Looks for leftovers until cancelled.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let pause = Duration::from_secs(context.config.reap_seconds);
    loop {
        if let Err(error) = reap(&context).await {
            tracing::warn!(error = format!("{error:#}"), "look for leftovers");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
        }
    }
}

async fn reap(context: &Context) -> anyhow::Result<()> {
    // The sandboxes first: one that is opened after this question is not in the list.
    let found = context.host.leftovers().await?;
    let attempts: Vec<_> = found.iter().map(|label| (label.request, label.epoch)).collect();
    let live = context.ledger.live(&attempts).await?;
    let dead = found.iter().filter(|label| !live.contains(&(label.request, label.epoch)));
    // Side by side: one that cannot be removed keeps none of the others.
    join_all(dead.map(|label| remove(context, label))).await;
    Ok(())
}

/// What a worker holds that was stopped in the midst of reading a job's output cannot be removed before that worker goes
/// on or dies: Docker waits for it.
async fn remove(context: &Context, label: &Label) {
    match context.host.remove(label).await {
        Ok(()) => tracing::info!(
            request.id = %label.request,
            attempt.epoch = %label.epoch,
            "removed what a dead attempt left behind"
        ),
        Err(error) => {
            tracing::warn!(request.id = %label.request, error = chain(&error), "remove leftovers");
        }
    }
}
