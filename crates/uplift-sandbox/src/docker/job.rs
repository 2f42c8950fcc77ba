//! Jobs as containers beside Postgres'.

use std::sync::atomic::{AtomicU32, Ordering};

use bollard::{Docker, container::LogOutput};
use futures_util::StreamExt as _;

use super::{
    Host,
    container::{self, Spec, Uid},
    files, postgres,
};
use crate::{
    Job, Output, Running, Sandbox, SandboxError,
    job::{Body, Ended},
};

/// What a watch may take, in bytes.
const WATCH_MEMORY: u64 = 64 << 20;

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
        let engine = || self.image("engine", sandbox.major);
        let label = &sandbox.label;
        // A watch takes next to nothing, and comes on top of the run that it watches.
        let memory = if matches!(job, Job::Watch) { WATCH_MEMORY } else { sandbox.limits.job_memory() };
        let mut mounts = Vec::new();
        if sandbox.postgres.is_some() {
            mounts = match &job {
                Job::Engine => vec![postgres::socket_for_jobs(label), files::scratch(label, true)],
                Job::Stage => vec![files::stage(label, false), files::scratch(label, false)],
                Job::Watch => vec![files::scratch(label, true)],
                Job::Runner(_) => {
                    vec![
                        postgres::socket_for_jobs(label),
                        files::stage(label, true),
                        files::scratch(label, false),
                    ]
                }
            };
        }
        let (image, user, entrypoint, env, init) = match job {
            Job::Engine | Job::Stage => (engine(), Uid::ENGINE, Vec::new(), Vec::new(), false),
            Job::Watch => (engine(), Uid::RUNNER, Vec::new(), Vec::new(), false),
            Job::Runner(runner) => {
                let image = self.runner_image(&runner.image);
                (image, Uid::RUNNER, runner.command, runner_env(runner.env), true)
            }
        };
        Spec {
            name: sandbox.label.name(&format!("job-{number}")),
            image,
            user,
            entrypoint,
            arguments: Vec::new(),
            env,
            mounts,
            memory,
            cpus: sandbox.limits.cpus,
            pids: sandbox.limits.pids,
            stdin: true,
            init,
        }
    }

    /// A pack's image: a name without a slash is one of ours.
    fn runner_image(&self, name: &str) -> String {
        if name.contains('/') { name.to_owned() } else { format!("{}/{name}", self.config.images) }
    }
}

/// What a runner finds its database and its files by.
fn runner_env(more: Vec<(String, String)>) -> Vec<String> {
    let (socket, stage, scratch) = (postgres::SOCKET_DIRECTORY, files::STAGE, files::SCRATCH);
    let ours = [
        format!("PGHOST={socket}"),
        "PGUSER=tenant".into(),
        "PGDATABASE=work".into(),
        format!("HOME={scratch}"),
        format!("UPLIFT_PACK={stage}/pack"),
        format!("UPLIFT_SCRIPTS={stage}/scripts"),
        format!("UPLIFT_FILESTORE={scratch}/filestore"),
    ];
    ours.into_iter().chain(more.into_iter().map(|(name, value)| format!("{name}={value}"))).collect()
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
