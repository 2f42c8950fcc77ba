//! One sandbox: perhaps a Postgres, and the jobs beside it.

use crate::{
    Death, Host, Job, Label, Limits, Running, SandboxError,
    host::Inner,
    postgres::{Postgres, Watch},
};

/// A Postgres of its own and the place beside it, or only the place.
///
/// Dropping it removes nothing; see [`Sandbox::remove`].
pub struct Sandbox {
    pub(crate) host: Host,
    pub(crate) label: Label,
    pub(crate) major: u16,
    pub(crate) limits: Limits,
    pub(crate) postgres: Option<Postgres>,
}

impl Sandbox {
    /// Starts a job. One at a time, but for a watch beside a runner: each may take the job's memory.
    ///
    /// # Errors
    ///
    /// [`SandboxError::ImageMissing`], or what Docker or the system says.
    pub async fn start(&self, job: Job) -> Result<Running, SandboxError> {
        match &self.host.0 {
            Inner::Docker(host) => host.start(self, job).await,
            Inner::Process(host) => host.start(self, job).await,
        }
    }

    /// The major of its Postgres and of its engine.
    #[must_use]
    pub const fn major(&self) -> u16 {
        self.major
    }

    /// Waits for the death of Postgres, which never comes where all is well, or where there is none; cancel safe.
    pub async fn died(&self) -> Death {
        match &self.postgres {
            Some(postgres) => postgres.watch.death().await,
            None => std::future::pending().await,
        }
    }

    /// Removes everything of this request and attempt: running or not, data too.
    ///
    /// # Errors
    ///
    /// See [`Host::remove`]. What is left is found by [`Host::leftovers`].
    pub async fn remove(self) -> Result<(), SandboxError> {
        self.host.remove(&self.label).await
    }

    pub(crate) fn watch(&self) -> Option<Watch> {
        self.postgres.as_ref().map(|postgres| postgres.watch.clone())
    }
}
