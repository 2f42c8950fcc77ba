//! Waiting longer after each failure, with jitter so that a fleet does not come back all at once.

use std::time::Duration;

use rand::Rng as _;

/// Exponential delays between two bounds.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    least: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    /// The bounds used towards every service: 0.2 s after the first failure, never more than 10 s.
    pub(crate) const fn for_service() -> Self {
        Self { least: Duration::from_millis(200), most: Duration::from_secs(10), failures: 0 }
    }

    /// How many failures came in a row.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Forgets the failures: something worked.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure; returns the time to wait before the next try, between half of this step and all of it.
    pub(crate) fn after_failure(&mut self) -> Duration {
        // 2^16 steps of the least delay are far beyond any `most`, and the shift cannot overflow.
        let step = self.least.saturating_mul(1 << self.failures.min(16)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        step.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_bound_and_start_again_after_a_success() {
        let mut backoff = Backoff::for_service();
        for upper in [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            let delay = backoff.after_failure();
            assert!(
                delay <= Duration::from_millis(upper) && delay >= Duration::from_millis(upper / 2),
                "{delay:?}"
            );
        }
        backoff.reset();
        assert!(backoff.after_failure() <= Duration::from_millis(200));
        assert_eq!(backoff.failures(), 1);
    }
}
