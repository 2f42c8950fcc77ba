//! Removes what is kept for too long: what was handed in, and then everything of a request but its row and the audit.

use std::time::Duration;

use uplift_core::{RequestId, key};
use uplift_platform::ledger::Outdated;

use crate::{
    Context,
    sweep::{Leftover, passable},
};

const DAY: u64 = 24 * 3600;

/// Removes what is due.
pub(crate) async fn keep(context: &Context) -> Result<(), Leftover> {
    let days = |days: u64| Duration::from_secs(days * DAY);
    let (source, result) = (days(context.settings.source_days), days(context.settings.result_days));
    for Outdated { request, whole } in context.ledger.outdated(source, result).await? {
        let removed =
            if whole { remove(context, request).await } else { remove_source(context, request).await };
        passable(removed, &key::request_prefix(request))?;
    }
    Ok(())
}

/// Removes everything of a request that has ended.
pub(crate) async fn remove(context: &Context, request: RequestId) -> Result<(), Leftover> {
    context.objects.delete_prefix(&key::request_prefix(request)).await?;
    context.ledger.deleted(request).await?;
    tracing::info!(request.id = %request, "everything of a request was removed");
    Ok(())
}

/// Removes what was handed in.
async fn remove_source(context: &Context, request: RequestId) -> Result<(), Leftover> {
    for key in [key::source(request), key::scripts(request)] {
        context.objects.delete_prefix(&key).await?;
    }
    context.ledger.source_deleted(request).await?;
    tracing::info!(request.id = %request, "the dump of a request was removed");
    Ok(())
}
