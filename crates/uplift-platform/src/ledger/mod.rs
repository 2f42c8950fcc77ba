//! The ledger: the truth about every request.
//!
//! Every change of a request's state goes through [`transition`], which also writes the audit; the one
//! exception is the claim, which is a function in the ledger itself. What an attempt writes takes a
//! [`uplift_core::Lease`] and matches on all of it.

mod account;
mod alone;
mod attempt;
mod circumstances;
mod conflict;
mod estimate;
mod event;
mod history;
mod hold;
mod intervention;
mod json;
mod log;
mod login;
mod metrics;
mod notification;
mod overrides;
mod pack;
mod production;
mod request;
mod retention;
mod schema;
mod session;
mod settle;
mod submission;
mod sweep;
mod transition;
mod worker;

use std::time::Duration;

use sqlx::PgPool;
use thiserror::Error;
use uplift_core::sla;

pub use account::{Bearer, IssuedToken, Role};
pub use attempt::{Claimed, Renewed, StepTime};
pub use circumstances::Circumstances;
pub use conflict::Conflict;
pub use estimate::{Estimate, Likeness};
pub use event::Told;
pub use history::{AttemptEntry, StepEntry};
pub use hold::{HELD_AFTER_ACCOUNTS, HeldHop};
pub use intervention::{Closed, Entry, Intervention, Which};
pub use log::{LogLine, LogPage};
pub use login::Login;
pub use metrics::{Durations, Kept, Metrics, Past, Sample};
pub use notification::{Due, Notification, Sent, Way, Webhook};
pub use overrides::{OverrideEntry, Removed};
pub use pack::PackEntry;
pub use request::{Filter, Request};
pub use retention::Outdated;
pub use session::{Opening, Session, SessionEnded, SessionEntry, SessionLogLine};
pub use settle::Settlement;
pub use submission::{Source, Submission, Submitted};
pub use sweep::{CancelledUpload, DeadAttempt, ExpiredUpload, Hintable, Swept, SweptLeases};
pub use worker::{WorkerEntry, WorkerState};

/// The ledger, by a pool of connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    pool: PgPool,
    /// What is promised to new requests: from the upload's completion to delivery.
    promise: Duration,
}

/// What can go wrong with the ledger.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// A statement matched no row because another worker, or the sweep, holds the request now.
    #[error("the lease on request {0} is lost")]
    LeaseLost(uplift_core::RequestId),
    /// A session was ended by others, or its lease has run out.
    #[error("session {0} is over")]
    SessionOver(uplift_core::SessionId),
    /// Nothing of that name, or nothing that the caller may see.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The request's state does not allow it, or something that it needs is missing.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The ledger holds something that this program does not understand.
    #[error("the ledger holds {0}: is this program older than its ledger?")]
    Unreadable(String),
    /// The ledger cannot be reached, or refused a statement.
    #[error("ask the ledger")]
    Database(#[from] sqlx::Error),
    /// The ledger's schema could not be brought up to date.
    #[error("migrate the ledger")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl LedgerError {
    /// Whether the ledger is out of reach, so that the same may succeed later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Database(
                sqlx::Error::Io(_)
                // What comes of a proxy that lets us in while there is no ledger behind it.
                | sqlx::Error::Protocol(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
            ) => true,
            // Connection failures, too many connections or no memory, and a server that goes down or comes up.
            Self::Database(sqlx::Error::Database(error)) => error
                .code()
                .is_some_and(|code| ["08", "53", "57P"].iter().any(|class| code.starts_with(class))),
            _ => false,
        }
    }
}

impl Ledger {
    const fn of(pool: PgPool) -> Self {
        Self { pool, promise: sla::TARGET }
    }

    /// The same ledger, which promises this to new requests; else [`sla::TARGET`].
    #[must_use]
    pub const fn promising(mut self, promise: Duration) -> Self {
        self.promise = promise;
        self
    }

    /// Whether the ledger answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }
}
