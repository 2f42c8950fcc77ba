//! The one place that reads the wall clock.

use chrono::{DateTime, Utc};

/// Where the present comes from. Passed in, so that a test decides what time it is.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still.
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// The present, in UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that the others go to")]
    pub fn now(self) -> DateTime<Utc> {
        match self {
            Self::System => Utc::now(),
            Self::Fixed(at) => at,
        }
    }
}
