//! An engineer's look into a saved state: a worker restores it into a fresh sandbox, and gives a shell there or tries the
//! rest of the hop. Nothing that happens in one is ever delivered.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// `psql`, for a person.
    Shell,
    /// The steps from the one that failed to the end of its hop.
    DryRun,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionOutcome {
    /// A dry run came to the end of its hop.
    Passed,
    /// A step of a dry run failed.
    Failed,
    /// A person ended it.
    Closed,
    /// Nothing was typed, and nothing said, for too long.
    Idle,
    /// It took longer than a session may.
    TooLong,
    /// Its worker is gone, or none took it.
    Lost,
    /// Something of the platform's own went wrong.
    Broken,
}

impl SessionKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Shell, Self::DryRun];

    /// The word in the ledger and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::DryRun => "dry_run",
        }
    }
}

impl SessionOutcome {
    /// All.
    pub const ALL: [Self; 7] =
        [Self::Passed, Self::Failed, Self::Closed, Self::Idle, Self::TooLong, Self::Lost, Self::Broken];

    /// The word in the ledger and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::TooLong => "too_long",
            Self::Lost => "lost",
            Self::Broken => "broken",
        }
    }
}

impl fmt::Display for SessionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shell => "shell",
            Self::DryRun => "dry run",
        })
    }
}

impl fmt::Display for SessionOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SessionKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no kind of session"))
    }
}

impl FromStr for SessionOutcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|outcome| outcome.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no outcome of a session"))
    }
}

/// What an engineer's client sends to a shell: one JSON message each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToShell {
    /// What was typed, whole lines.
    Input {
        /// With its line breaks.
        text: String,
    },
    /// Ctrl-C: what runs is broken off, the shell goes on.
    Interrupt,
    /// There is no more input: the shell ends when it has done what it was told.
    End,
}

/// What a shell sends to its engineer: one JSON message each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromShell {
    /// The platform says how far it is.
    Said {
        /// One line.
        text: String,
    },
    /// What the shell wrote, without what a terminal would obey.
    Output {
        /// Any part of its lines.
        text: String,
    },
    /// The shell is over, and nothing follows.
    Closed {
        /// How it ended.
        outcome: SessionOutcome,
        /// In words.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        for kind in SessionKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for outcome in SessionOutcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }
}
