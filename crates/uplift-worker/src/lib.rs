//! The worker: claim → run → settle, in the order in which the modules stand here.
//!
//! It pumps bytes and never looks into them: whatever understands a dump runs in the sandbox. It has no disk and
//! no state of its own; what it knows of a request stands in the ledger.

mod attempt;
mod context;
mod engine;
mod facts;
mod health;
pub mod keeper;
mod logbook;
mod outcome;
mod packs;
mod page;
mod patience;
mod reaper;
mod report;
mod result;
mod runner;
mod saved;
mod sessions;
mod slots;
mod spans;
mod stages;
mod upgrade;
mod way;

use std::sync::Arc;

use anyhow::Result;
use tokio_util::sync::CancellationToken;
use uplift_platform::Config;

use crate::context::Context;

pub use crate::context::sandbox;

/// Works until told to stop, and then until what runs has finished or was handed back.
///
/// # Errors
/// The ledger or the sandboxes' host cannot be reached at the start.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<()> {
    // It may take until a dispatcher has brought the ledger up to date.
    let Some(context) = shutdown.run_until_cancelled(Context::connect(&config)).await else { return Ok(()) };
    let context = Arc::new(context?);
    let keeper = keeper::Keeper::start(&config.ledger.url).await?;
    let helpers = CancellationToken::new();
    let health = tokio::spawn(health::serve(context.clone(), helpers.clone()));
    let reaper = tokio::spawn(reaper::run(context.clone(), helpers.clone()));
    tracing::info!(worker.id = %context.worker, slots = context.config.slots, "ready");
    tokio::join!(
        slots::run(&context, &keeper, config.hints, shutdown.clone()),
        sessions::run(&context, &keeper, shutdown),
    );
    helpers.cancel();
    let (health, _) = tokio::join!(health, reaper);
    if let Err(error) = context.ledger.goodbye(context.worker).await {
        tracing::warn!(%error, "say good-bye to the ledger; it will forget this worker by itself");
    }
    health??;
    tracing::info!(worker.id = %context.worker, "stopped");
    Ok(())
}
