//! Why an attempt ended without a result, and what becomes of its request. The list is closed.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::request::Held;

/// Why an attempt ended without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Failure {
    /// The customer's input is at fault: not a dump, truncated, an unknown product, a version with no path.
    InputRejected(Rejection),
    /// A pack's script failed on this database's data.
    ScriptFailed(ScriptFailure),
    /// The worker did not renew in time.
    LeaseLost {
        /// Where the attempt stood.
        place: String,
    },
    /// Something of ours broke.
    Infrastructure {
        /// Where the attempt stood.
        place: String,
        /// What broke.
        message: String,
    },
    /// The worker gave the request back unharmed: it drains, or a dependency is down.
    Released {
        /// Why.
        reason: String,
    },
    /// The upgrade leads over a hop that is held.
    Held(Held),
    /// A step, a stage or the whole attempt took too long.
    DeadlinePassed {
        /// What took too long: the step's id, the stage, or `attempt`.
        place: String,
        /// How long it was given, in seconds.
        seconds: u64,
    },
    /// A container was killed for its memory.
    OutOfMemory {
        /// Where the attempt stood.
        place: String,
    },
    /// The sandbox went over its disk budget.
    OutOfDisk {
        /// Where the attempt stood.
        place: String,
    },
    /// The customer took the request back.
    Cancelled,
    /// The customer finds something wrong in what was delivered. No attempt ends with it.
    Discrepancy {
        /// What they say.
        message: String,
    },
}

/// What is wrong with an input, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// What happened, to what, and what to do next.
    pub message: String,
    /// The line of the dump, after decompression, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The statement, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// What Postgres called it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
}

impl Rejection {
    /// A rejection that no line of the dump explains.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

/// Which statement of which script failed, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptFailure {
    /// The step's id: `1.0-2.0/split-partners`, or `neutralize`, `reconcile`, `prove`.
    pub step: String,
    /// The script's path inside the pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in that file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The statement, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// What Postgres called it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// What happened.
    pub message: String,
    /// What Postgres adds: the rows concerned. Customer's data: never in a platform log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Failure {
    /// A failure of the customer's input.
    #[must_use]
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::InputRejected(Rejection::new(message))
    }

    /// The attempt as a whole took longer than it may.
    #[must_use]
    pub fn attempt_too_long(given: Duration) -> Self {
        Self::DeadlinePassed { place: "attempt".to_owned(), seconds: given.as_secs() }
    }

    /// The word used in the API, in the ledger and in metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InputRejected(_) => "input_rejected",
            Self::ScriptFailed(_) => "script_failed",
            Self::LeaseLost { .. } => "lease_lost",
            Self::Infrastructure { .. } => "infrastructure",
            Self::Released { .. } => "released",
            Self::Held(_) => "held",
            Self::DeadlinePassed { .. } => "deadline_passed",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::OutOfDisk { .. } => "out_of_disk",
            Self::Cancelled => "cancelled",
            Self::Discrepancy { .. } => "discrepancy",
        }
    }

    /// Where the attempt stood, as far as the failure tells: two failures of one code at one place are the
    /// same failure again.
    #[must_use]
    pub fn place(&self) -> &str {
        match self {
            Self::ScriptFailed(script) => &script.step,
            Self::LeaseLost { place }
            | Self::Infrastructure { place, .. }
            | Self::DeadlinePassed { place, .. }
            | Self::OutOfMemory { place }
            | Self::OutOfDisk { place } => place,
            Self::Discrepancy { .. } => "result",
            Self::InputRejected(_) | Self::Released { .. } | Self::Held(_) | Self::Cancelled => "",
        }
    }

    /// What becomes of the request, given the failures of its earlier counted attempts (code and place).
    #[must_use]
    pub fn verdict(&self, earlier: &[(String, String)]) -> Verdict {
        let of_this_code = earlier.iter().filter(|(code, _)| code == self.code()).count();
        let again = earlier.iter().any(|(code, place)| code == self.code() && place == self.place());
        match self {
            Self::InputRejected(_) => Verdict::Reject,
            Self::Cancelled => Verdict::Cancel,
            Self::ScriptFailed(_) | Self::Discrepancy { .. } => Verdict::Intervene,
            Self::Released { .. } | Self::Held(_) => {
                Verdict::Requeue { after: Duration::ZERO, counts: false }
            }
            Self::LeaseLost { .. } if of_this_code == 0 => {
                Verdict::Requeue { after: Duration::ZERO, counts: true }
            }
            Self::LeaseLost { .. } | Self::Infrastructure { .. } => {
                if again || earlier.len() >= MAX_RETRIES {
                    Verdict::Intervene
                } else {
                    Verdict::Requeue { after: backoff(earlier.len()), counts: true }
                }
            }
            // There is one size of slot today; a bigger one would be worth one more try.
            Self::DeadlinePassed { .. } | Self::OutOfMemory { .. } | Self::OutOfDisk { .. } => {
                Verdict::Intervene
            }
        }
    }
}

/// A request that failed this often in ways that all differ is a person's business, too.
const MAX_RETRIES: usize = 4;

/// 10 s, 20 s, 40 s … for the first, second, third failure.
fn backoff(earlier: usize) -> Duration {
    Duration::from_secs(10 << earlier.min(5))
}

/// What becomes of a request whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another attempt.
    Requeue {
        /// Not before this long from now.
        after: Duration,
        /// Whether the attempt counts as a failed one.
        counts: bool,
    },
    /// The customer is told what to change.
    Reject,
    /// A person of ours looks.
    Intervene,
    /// It ends here.
    Cancel,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InputRejected(rejection) => {
                f.write_str(&rejection.message)?;
                if let Some(line) = rejection.line {
                    write!(f, " (line {line} of the dump)")?;
                }
                Ok(())
            }
            Self::ScriptFailed(script) => {
                write!(f, "step {} failed", script.step)?;
                if let (Some(file), Some(line)) = (&script.file, script.line) {
                    write!(f, " at {file}:{line}")?;
                }
                write!(f, ": {}", script.message)
            }
            Self::LeaseLost { place } => write!(f, "the worker went silent during {place}"),
            Self::Infrastructure { place, message } => write!(f, "{place}: {message}"),
            Self::Released { reason } => write!(f, "given back: {reason}"),
            Self::Held(held) => held.fmt(f),
            Self::DeadlinePassed { place, seconds } => {
                write!(f, "{place} took longer than the {seconds} s it is given")
            }
            Self::OutOfMemory { place } => write!(f, "{place} ran out of memory"),
            Self::OutOfDisk { place } => write!(f, "{place} ran out of disk"),
            Self::Cancelled => f.write_str("cancelled by the customer"),
            Self::Discrepancy { message } => write!(f, "the customer reports: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Failure, ScriptFailure, Verdict};

    fn infrastructure(place: &str) -> Failure {
        Failure::Infrastructure { place: place.into(), message: "it broke".into() }
    }

    fn earlier(failures: &[Failure]) -> Vec<(String, String)> {
        failures.iter().map(|failure| (failure.code().into(), failure.place().into())).collect()
    }

    #[test]
    fn a_failed_script_is_a_persons_business_at_once() {
        assert_eq!(Failure::ScriptFailed(ScriptFailure::default()).verdict(&[]), Verdict::Intervene);
    }

    #[test]
    fn the_first_lost_lease_costs_no_time() {
        let lost = Failure::LeaseLost { place: "restore".into() };
        assert_eq!(lost.verdict(&[]), Verdict::Requeue { after: Duration::ZERO, counts: true });
        assert_eq!(lost.verdict(&earlier(std::slice::from_ref(&lost))), Verdict::Intervene);
        let elsewhere = Failure::LeaseLost { place: "dump".into() };
        assert!(matches!(elsewhere.verdict(&earlier(&[lost])), Verdict::Requeue { counts: true, .. }));
    }

    #[test]
    fn the_same_failure_at_the_same_place_is_not_tried_a_third_time() {
        let failure = infrastructure("dump");
        assert!(matches!(failure.verdict(&[]), Verdict::Requeue { counts: true, .. }));
        assert_eq!(failure.verdict(&earlier(&[infrastructure("dump")])), Verdict::Intervene);
        assert!(matches!(
            failure.verdict(&earlier(&[infrastructure("restore")])),
            Verdict::Requeue { counts: true, .. }
        ));
    }

    #[test]
    fn failures_that_always_differ_end_too() {
        let places = earlier(&["a", "b", "c", "d"].map(infrastructure));
        assert_eq!(infrastructure("e").verdict(&places), Verdict::Intervene);
    }

    #[test]
    fn a_released_request_has_lost_nothing() {
        let released = Failure::Released { reason: "draining".into() };
        assert_eq!(released.verdict(&[]), Verdict::Requeue { after: Duration::ZERO, counts: false });
    }
}
