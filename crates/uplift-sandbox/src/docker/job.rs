//! Jobs as containers beside Postgres'.

use std::sync::atomic::{AtomicU32, Ordering};

use bollard::{Docker, container::LogOutput};
use futures_util::StreamExt as _;

use super::{
    Host,
    container::{self, Spec, Uid},
    postgres,
};
use crate::{
    Job, Output, Running, Sandbox, SandboxError,
    job::{Body, Ended},
};

/// Numbers the jobs of this process, so that each has a name of its own.
static JOBS: AtomicU32 = AtomicU32::new(1);

/// A container that a job runs in.
#[derive(Clone)]
pub(crate) struct Container {
    docker: Docker,
    id: String,
}

impl Container {
    pub(crate) async fn ended(&self) -> Result<Ended, SandboxError> {
        container::ended(&self.docker, &self.id).await
    }

    pub(crate) async fn kill(&self) -> Result<(), SandboxError> {
        container::kill(&self.docker, &self.id).await
    }
}

impl Host {
    /// Starts a job in a container of its own.
    pub(crate) async fn start(&self, sandbox: &Sandbox, job: Job) -> Result<Running, SandboxError> {
        let spec = self.spec(sandbox, job);
        let launched = container::launch(&self.docker, &self.config.fleet, &sandbox.label, spec);
        let (id, attached) = launched.await?;
        let body = Body::Docker(Container { docker: self.docker.clone(), id });
        let output = Box::pin(attached.output.map(output));
        Ok(Running::new(body, attached.input, output, sandbox.watch()))
    }

    fn spec(&self, sandbox: &Sandbox, job: Job) -> Spec {
        let number = JOBS.fetch_add(1, Ordering::Relaxed);
        let (image, user, entrypoint, env, init) = match job {
            Job::Engine => (self.image("engine", sandbox.major), Uid::ENGINE, Vec::new(), Vec::new(), false),
            Job::Runner { image, command } => (image, Uid::RUNNER, command, runner_env(), true),
        };
        Spec {
            name: sandbox.label.name(&format!("job-{number}")),
            image,
            user,
            entrypoint,
            arguments: Vec::new(),
            env,
            mounts: sandbox.postgres.iter().map(|_| postgres::socket_for_jobs(&sandbox.label)).collect(),
            memory: sandbox.limits.job_memory(),
            cpus: sandbox.limits.cpus,
            pids: sandbox.limits.pids,
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

fn output(read: Result<LogOutput, bollard::errors::Error>) -> Result<Output, SandboxError> {
    match read {
        Ok(LogOutput::StdOut { message }) => Ok(Output::Stdout(message)),
        Ok(LogOutput::StdErr { message }) => Ok(Output::Stderr(message)),
        // What is left of a frame when the connection ends in its middle.
        Ok(LogOutput::StdIn { .. } | LogOutput::Console { .. }) => Err(SandboxError::AttachBroke),
        Err(error) => Err(SandboxError::docker("read a job's output")(error)),
    }
}
