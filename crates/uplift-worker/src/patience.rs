//! Asking the ledger again while it is away: hours of work are worth the wait.

use std::time::Duration;

use tokio::time::sleep;
use uplift_platform::ledger::LedgerError;

use crate::outcome::chain;

/// How long to wait before the ledger is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Asks until the ledger answers. What bounds it is the lease: where the ledger is away for too long, the keeper
/// cannot renew either, and stops the attempt in time.
///
/// # Errors
/// What the ledger answers.
pub(crate) async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, LedgerError>
where
    F: Future<Output = Result<T, LedgerError>>,
{
    loop {
        match ask().await {
            Err(error) if error.is_unavailable() => {
                tracing::warn!(error = chain(&error), "the ledger is away; asking again");
                sleep(AGAIN).await;
            }
            answer => return answer,
        }
    }
}
