//! The states of a request and the only ways between them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    event::Digest,
    failure::Failure,
    id::{Epoch, HoldId},
};

/// Where a request is, with what it has there: a result exists only in [`State::Delivered`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// The customer has not completed the upload.
    AwaitingUpload,
    /// A worker may claim it.
    Queued,
    /// A worker holds it.
    Running,
    /// The result lies ready.
    Delivered(Delivery),
    /// A person of ours looks at it.
    Intervention {
        /// Why.
        failure: Failure,
    },
    /// The customer has to change something.
    Rejected {
        /// What.
        failure: Failure,
    },
    /// The customer took it back, or never completed its upload.
    Cancelled,
}

/// What a delivered request has: the names of its objects below the epoch that made them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The attempt that delivered.
    pub epoch: Epoch,
    /// The result's object, such as `result.sql.gz`.
    pub result: String,
    /// The result's length and hash.
    pub digest: Digest,
}

/// The state that an attempt has saved before the step that failed, for whoever looks into it: a dump in custom format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The step that failed on it.
    pub step: String,
    /// The dump's length.
    pub bytes: u64,
    /// The dump's hash.
    pub sha256: String,
    /// The major of the Postgres that wrote it.
    pub postgres_major: u16,
}

/// Why a queued request waits, though a worker could take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Held {
    /// Its way leads over a hop on which other upgrades have failed.
    Hop {
        /// What has to be released.
        hold: HoldId,
        /// Such as `17.0-18.0`.
        hop: String,
    },
    /// Production would not run as its accepted test ran.
    Production {
        /// What differs.
        message: String,
    },
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hop { hop, .. } => write!(
                f,
                "it waits: {hop} has failed for other databases and is being mended; the upgrade begins by itself \
                 when that is done"
            ),
            Self::Production { message } => {
                write!(f, "it waits: {message}; accept a new test, and it begins by itself")
            }
        }
    }
}

/// A state without its data: what the ledger's column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "documented on State")]
pub enum StateCode {
    AwaitingUpload,
    Queued,
    Running,
    Delivered,
    Intervention,
    Rejected,
    Cancelled,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The customer completed the upload.
    Upload,
    /// A worker took it.
    Claim,
    /// An attempt delivered.
    Deliver,
    /// An attempt failed, or its worker did, and another one follows.
    Requeue,
    /// An attempt failed and a person has to look.
    Intervene,
    /// An attempt, or a person, found the input at fault.
    Reject,
    /// A person wants another attempt.
    Retry,
    /// The customer takes it back, or the upload never came.
    Cancel,
}

impl StateCode {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::AwaitingUpload,
        Self::Queued,
        Self::Running,
        Self::Delivered,
        Self::Intervention,
        Self::Rejected,
        Self::Cancelled,
    ];

    /// The word used in the API, in the ledger and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingUpload => "awaiting_upload",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Delivered => "delivered",
            Self::Intervention => "intervention",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// Where a transition leads from here; `None` where it is not allowed.
    #[must_use]
    pub const fn after(self, transition: Transition) -> Option<Self> {
        Some(match (self, transition) {
            (Self::AwaitingUpload, Transition::Upload) => Self::Queued,
            (Self::Queued, Transition::Claim) => Self::Running,
            (Self::Running, Transition::Deliver) => Self::Delivered,
            (Self::Running, Transition::Requeue) => Self::Queued,
            (Self::Running, Transition::Intervene) => Self::Intervention,
            (Self::Running | Self::Intervention, Transition::Reject) => Self::Rejected,
            (Self::Intervention, Transition::Retry) => Self::Queued,
            (
                Self::AwaitingUpload | Self::Queued | Self::Running | Self::Intervention,
                Transition::Cancel,
            ) => Self::Cancelled,
            _ => return None,
        })
    }

    /// Whether nothing can happen to the request any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Rejected | Self::Cancelled)
    }
}

impl State {
    /// The state without its data.
    #[must_use]
    pub const fn code(&self) -> StateCode {
        match self {
            Self::AwaitingUpload => StateCode::AwaitingUpload,
            Self::Queued => StateCode::Queued,
            Self::Running => StateCode::Running,
            Self::Delivered(_) => StateCode::Delivered,
            Self::Intervention { .. } => StateCode::Intervention,
            Self::Rejected { .. } => StateCode::Rejected,
            Self::Cancelled => StateCode::Cancelled,
        }
    }
}

impl Transition {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Upload,
        Self::Claim,
        Self::Deliver,
        Self::Requeue,
        Self::Intervene,
        Self::Reject,
        Self::Retry,
        Self::Cancel,
    ];

    /// The word in the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Claim => "claim",
            Self::Deliver => "deliver",
            Self::Requeue => "requeue",
            Self::Intervene => "intervene",
            Self::Reject => "reject",
            Self::Retry => "retry",
            Self::Cancel => "cancel",
        }
    }
}

impl fmt::Display for StateCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StateCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("`{text}` is not a state: use one of {known}")
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{StateCode, Transition};

    #[test]
    fn states_read_back_what_they_write() {
        for state in StateCode::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    #[test]
    fn nothing_leads_out_of_a_final_state() {
        for state in StateCode::ALL.into_iter().filter(|state| state.is_final()) {
            for transition in Transition::ALL {
                assert_eq!(state.after(transition), None, "{state} {transition:?}");
            }
        }
    }

    proptest! {
        /// Whatever happens, in whatever order: a result comes from a claim, and an end stays an end.
        #[test]
        fn any_history_is_sound(history in prop::collection::vec(0..Transition::ALL.len(), 0..40)) {
            let mut state = StateCode::AwaitingUpload;
            let (mut uploaded, mut claims) = (false, 0);
            for transition in history.into_iter().map(|index| Transition::ALL[index]) {
                let Some(next) = state.after(transition) else { continue };
                prop_assert!(!state.is_final());
                uploaded |= transition == Transition::Upload;
                claims += usize::from(transition == Transition::Claim);
                prop_assert!(next != StateCode::Running || uploaded);
                prop_assert!(next != StateCode::Delivered || (claims > 0 && state == StateCode::Running));
                prop_assert!(next != StateCode::Rejected || claims > 0);
                state = next;
            }
        }

        /// From everywhere that is not an end, an end can be reached.
        #[test]
        fn nothing_is_stuck(index in 0..StateCode::ALL.len()) {
            let state = StateCode::ALL[index];
            prop_assert!(state.is_final() || state.after(Transition::Cancel).is_some());
        }
    }
}
