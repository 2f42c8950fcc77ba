//! Trying again while the store is out of reach.

use std::time::{Duration, Instant};

use super::{ObjectsError, Result};
use crate::backoff::Backoff;

/// How long failures may follow each other. Progress starts it anew; the SDK makes a few quick retries of its own
/// within each try.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    backoff: Backoff,
    failing_since: Option<Instant>,
}

impl Patience {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, backoff: Backoff::for_service(), failing_since: None }
    }

    pub(super) const fn progress(&mut self) {
        self.backoff.reset();
        self.failing_since = None;
    }

    /// Waits before the next try, or gives `err` back where trying again is no use or went on for too long.
    pub(super) async fn after(&mut self, err: ObjectsError) -> Result<()> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let delay = self.backoff.after_failure();
        if !err.may_pass() || since.elapsed() + delay > self.limit {
            return Err(err);
        }
        tracing::debug!(%err, ?delay, "the object store failed, trying again");
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

/// Repeats one request that is safe to repeat, for as long as `limit` allows.
pub(super) async fn patiently<T, F>(limit: Duration, mut request: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut patience = Patience::new(limit);
    loop {
        match request().await {
            Ok(answer) => return Ok(answer),
            Err(err) => patience.after(err).await?,
        }
    }
}
