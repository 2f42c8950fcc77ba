//! One sandbox: perhaps a Postgres, and the jobs beside it.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{
    Death, Host, Job, Label, Limits, Running, SandboxError,
    container::{self, Spec, Uid},
    postgres::{self, Postgres},
};

/// Numbers the jobs of this process, so that each has a name of its own.
static JOBS: AtomicU32 = AtomicU32::new(1);

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
    /// Starts a job. One at a time, or they share the job's memory unasked.
    ///
    /// # Errors
    ///
    /// [`SandboxError::ImageMissing`], or what Docker says.
    pub async fn start(&self, job: Job) -> Result<Running, SandboxError> {
        let docker = &self.host.docker;
        let spec = self.spec(job);
        let (id, attached) = container::launch(docker, &self.host.config.fleet, &self.label, spec).await?;
        let postgres = self.postgres.as_ref().map(|postgres| postgres.watch.clone());
        Ok(Running::new(docker.clone(), id, attached, postgres))
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

    /// Removes everything of this request and attempt: running or not, volumes too.
    ///
    /// # Errors
    ///
    /// See [`Host::remove`]. What is left is found by [`Host::leftovers`].
    pub async fn remove(self) -> Result<(), SandboxError> {
        self.host.remove(&self.label).await
    }

    fn spec(&self, job: Job) -> Spec {
        let number = JOBS.fetch_add(1, Ordering::Relaxed);
        let (image, user, entrypoint, env, init) = match job {
            Job::Engine => {
                (self.host.image("engine", self.major), Uid::ENGINE, Vec::new(), Vec::new(), false)
            }
            Job::Runner { image, command } => (image, Uid::RUNNER, command, runner_env(), true),
        };
        Spec {
            name: self.label.name(&format!("job-{number}")),
            image,
            user,
            entrypoint,
            arguments: Vec::new(),
            env,
            mounts: self.postgres.iter().map(|_| postgres::socket_for_jobs(&self.label)).collect(),
            memory: self.limits.job_memory(),
            cpus: self.limits.cpus,
            pids: self.limits.pids,
            stdin: true,
            init,
        }
    }
}

/// What a runner finds its database by. It has no home, and writes nowhere but in `/tmp`.
fn runner_env() -> Vec<String> {
    let socket = postgres::SOCKET_DIRECTORY;
    vec![format!("PGHOST={socket}"), "PGUSER=tenant".into(), "PGDATABASE=work".into(), "HOME=/tmp".into()]
}
