//! Multipart uploads that stand on no record. Whoever begins one writes it down before using it; a process that dies
//! in between leaves one that only the object store knows of.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use uplift_platform::{ledger::ExpiredUpload, objects::ObjectsError};

use crate::{
    Context,
    sweep::{Leftover, abort, handled, passable},
};

/// Where uploads are made.
const PREFIX: &str = "requests/";

/// Looks for orphans, several times within the age at which they are ripe, for as long as the store can list uploads.
pub(crate) async fn watch(context: Arc<Context>) {
    let age = Duration::from_secs(context.settings.orphan_seconds);
    // An interval of zero would panic.
    let mut tick = interval((age / 4).max(Duration::from_secs(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match abort_orphans(&context, age).await {
            Err(Leftover::Objects(ObjectsError::Invalid { reason, .. })) => {
                tracing::info!(reason, "the object store cannot list uploads: orphans are not looked for");
                return;
            }
            other => handled("abort orphans", other),
        }
    }
}

/// Aborts what was begun long ago, by the store's own timestamp, and is on no record: nobody is left who would record
/// it. Two clocks are compared here, but a store refuses signatures of a clock that is a quarter of an hour off.
async fn abort_orphans(context: &Context, age: Duration) -> Result<(), Leftover> {
    let pending = context.objects.list_uploads(PREFIX).await?;
    let now = context.clock.now();
    let old = pending.into_iter().filter(|upload| upload.begun_at.is_some_and(|at| at + age < now));
    let old = old.map(|upload| ExpiredUpload { key: upload.key, upload: upload.upload.0 }).collect();
    for orphan in context.ledger.unrecorded_uploads(old).await? {
        passable(abort(context, &orphan).await, &orphan.key)?;
    }
    Ok(())
}
