//! What the program's exit code says.

use std::{io, process::ExitCode};

use thiserror::Error;
use uplift_core::request::StateCode;

use crate::client::ApiError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Delivered, or the command did what it was asked to.
    Ok,
    /// Something else failed, or the request was cancelled.
    Error,
    /// The arguments are wrong.
    Usage,
    /// The token is missing, unknown, or not allowed to do this.
    Auth,
    /// The dump, or what was asked of it, cannot be upgraded as it is.
    Rejected,
    /// The upgrade failed, and the platform's engineers have it.
    Intervention,
    /// `--timeout` passed; the upgrade goes on.
    TimedOut,
    /// Ctrl-C; what was handed in goes on.
    Interrupted,
}

/// The table at the end of the help.
pub(crate) const HELP: &str = "\
Exit codes:
    0  delivered; without --wait: uploaded; for other commands: done
    1  an error, or the request was cancelled
    2  the arguments are wrong
    4  the token is missing, unknown, or not allowed to do this
   10  rejected: the dump cannot be upgraded as it is, and the message says why
   11  in intervention: the upgrade failed, and the platform's engineers have it
   12  --timeout passed; the upgrade goes on
  130  interrupted with Ctrl-C; what was handed in goes on
`status REQUEST`, `log -f` and `--wait` end with the code of the request: a failed upgrade is never 0.";

/// An argument that only the command itself can judge.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// A dump that is not worth sending.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct NotADump(pub(crate) String);

/// There is no token to show.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct NoToken(pub(crate) String);

impl Exit {
    /// The number that the caller sees.
    #[must_use]
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Auth => 4,
            Self::Rejected => 10,
            Self::Intervention => 11,
            Self::TimedOut => 12,
            Self::Interrupted => 130,
        }
    }

    /// What a request's state means to a script. What is still under way is no failure.
    #[must_use]
    pub(crate) const fn of_state(state: StateCode) -> Self {
        match state {
            StateCode::AwaitingUpload | StateCode::Queued | StateCode::Running | StateCode::Delivered => {
                Self::Ok
            }
            StateCode::Rejected => Self::Rejected,
            StateCode::Intervention => Self::Intervention,
            StateCode::Cancelled => Self::Error,
        }
    }

    /// What an error means to a script.
    #[must_use]
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.downcast_ref::<UsageError>().is_some() {
            Self::Usage
        } else if error.downcast_ref::<NotADump>().is_some() {
            Self::Rejected
        } else if error.downcast_ref::<NoToken>().is_some() {
            Self::Auth
        } else {
            match error.downcast_ref::<ApiError>().and_then(ApiError::status) {
                Some(401 | 403) => Self::Auth,
                _ => Self::Error,
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Whether the one who read our output went away, as `| head` does: nobody is left to tell.
#[must_use]
pub(crate) fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use uplift_core::request::StateCode;

    use super::{Exit, HELP, NoToken, NotADump, UsageError};
    use crate::client::ApiError;

    #[test]
    fn the_help_names_every_code() {
        let documented: Vec<u8> = HELP
            .lines()
            .filter_map(|line| line.trim_start().split_once("  ").and_then(|(code, _)| code.parse().ok()))
            .collect();
        use Exit::{Auth, Error, Interrupted, Intervention, Ok, Rejected, TimedOut, Usage};
        let all = [Ok, Error, Usage, Auth, Rejected, Intervention, TimedOut, Interrupted];
        assert_eq!(documented, all.map(Exit::code));
    }

    #[test]
    fn only_what_goes_well_is_zero() {
        let zero = |state: &StateCode| Exit::of_state(*state).code() == 0;
        let good: Vec<StateCode> = StateCode::ALL.into_iter().filter(zero).collect();
        use StateCode::{AwaitingUpload, Delivered, Queued, Running};
        assert_eq!(good, [AwaitingUpload, Queued, Running, Delivered]);
    }

    #[test]
    fn an_error_keeps_its_code_below_any_context() {
        let answer = |status| ApiError::Answer { status, kind: String::new(), message: "no".into() };
        let code = |error: anyhow::Error| Exit::of(&error.context("list requests").context("look")).code();
        assert_eq!(code(answer(401).into()), 4);
        assert_eq!(code(answer(403).into()), 4);
        assert_eq!(code(answer(404).into()), 1);
        assert_eq!(code(NoToken("none".into()).into()), 4);
        assert_eq!(code(UsageError("no".into()).into()), 2);
        assert_eq!(code(NotADump("empty".into()).into()), 10);
        let missing = std::fs::read("/nonexistent").context("read").unwrap_err();
        assert_eq!(code(missing), 1);
    }
}
