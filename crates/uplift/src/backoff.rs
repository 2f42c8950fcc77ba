//! Pauses between attempts: longer every time, and never the same for everybody.

use std::time::Duration;

/// The next pause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

const FIRST: Duration = Duration::from_millis(500);

impl Backoff {
    /// From half a second up to the longest pause.
    pub(crate) const fn new(longest: Duration) -> Self {
        Self { next: FIRST, longest }
    }

    /// Waits: between half of the pause and all of it, so that many clients do not come back at once.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.next.mul_f64(rand::random_range(0.5..=1.0))).await;
        self.next = (self.next * 2).min(self.longest);
    }

    /// Something went well: the next pause is short again.
    pub(crate) const fn reset(&mut self) {
        self.next = FIRST;
    }
}
