//! The words about looks into saved states.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{FailureView, LogLine};
use crate::session::{SessionKind, SessionOutcome};

/// A shell, or a dry run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    /// Its id.
    pub id: Uuid,
    /// The intervention whose state it looks into.
    pub intervention: Uuid,
    /// What it is for.
    pub kind: SessionKind,
    /// Whether a shell may write; what it writes is gone with it.
    pub writable: bool,
    /// When it was asked for.
    pub opened_at: DateTime<Utc>,
    /// By whom.
    pub opened_by: String,
    /// When a worker took it.
    pub started_at: Option<DateTime<Utc>>,
    /// How it ended, where it has.
    pub ended: Option<SessionEnd>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionEnd {
    /// When.
    pub at: DateTime<Utc>,
    /// How.
    pub outcome: SessionOutcome,
    /// In words.
    pub message: String,
    /// What failed in a dry run: file, line, statement, SQLSTATE, or the product's own last words.
    pub failure: Option<FailureView>,
}

/// A session with lines of its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionLog {
    /// The session.
    pub session: SessionView,
    /// What a dry run said, or what was typed into a shell.
    pub lines: Vec<SessionLine>,
}

/// A line of a session's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionLine {
    /// Its number; ask for those behind it.
    pub number: u64,
    /// Whether a person typed it.
    pub typed: bool,
    /// The line.
    #[serde(flatten)]
    pub line: LogLine,
}
