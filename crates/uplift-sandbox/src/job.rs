//! What runs beside Postgres: started, fed, read, and asked how it ended.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::Stream;
use tokio::{
    io::AsyncWrite,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{Death, SandboxError, docker::Container, postgres::Watch, process::Group, stdin::Stdin};

/// How long a job that failed is held against Postgres: a backend that dies ends the job's connection first and
/// the container a moment later.
const POSTGRES_MAY_FOLLOW: Duration = Duration::from_secs(1);

/// How long a job may go on after Postgres died before it is killed; one that would connect again and again
/// never ends by itself.
const POSTGRES_IS_GONE: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Clone, Debug)]
pub enum Job {
    /// `uplift-engine`: its plan is the first line of its stdin. It may become `bootstrap`, and sees what runners have
    /// written.
    Engine,
    /// `uplift-engine`, where runners find files: it writes there and reaches no Postgres.
    Stage,
    /// `uplift-engine` as the user of runners: it sees all that they have written, and reaches no Postgres.
    Watch,
    /// A pack's own code. It may become `tenant`, reads what was staged, and writes to its scratch folder.
    Runner(Runner),
}

/// A pack's own code. Its environment says where its database is (`PGHOST`, `PGUSER`, `PGDATABASE`), and its files:
/// `UPLIFT_PACK`, `UPLIFT_SCRIPTS`, `UPLIFT_FILESTORE`; `HOME` is its scratch folder.
#[derive(Clone, Debug)]
pub struct Runner {
    /// Name and tag; it must be on the Docker host. Without a slash it is one of ours. Processes have no images: the
    /// command runs with what this machine has.
    pub image: String,
    /// Program and arguments, in place of the image's entrypoint and command.
    pub command: Vec<String>,
    /// More for its environment.
    pub env: Vec<(String, String)>,
}

/// What a job writes, in order for each of its two outputs. Nothing is read ahead: a reader that pauses makes the
/// job pause. Its end says nothing, for a broken connection looks like one: ask [`Handle::wait`], and the job's
/// own last word.
///
/// Keep reading. Docker gives a container that has ended two seconds to hand over what is still in its pipes, and
/// then drops it. A job whose output counts to the last byte ends when its input does, and its reader ends the
/// input when it has everything.
pub type OutputStream = Pin<Box<dyn Stream<Item = Result<Output, SandboxError>> + Send>>;

/// A piece of what a job wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To its stdout.
    Stdout(Bytes),
    /// To its stderr.
    Stderr(Bytes),
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code, while Postgres lived (or with 0, whatever happened to Postgres later).
    Code(i64),
    /// The kernel killed it, or Postgres, at the memory limit.
    OutOfMemory,
    /// It failed because the data directory outgrew its budget.
    OutOfDisk,
    /// It failed because Postgres ended for another reason.
    PostgresDied(Death),
    /// Somebody removed the sandbox.
    Vanished,
}

/// A job that has been started.
pub struct Running {
    /// Where its input goes.
    pub stdin: Stdin,
    /// Where its output comes from.
    pub output: OutputStream,
    /// Asks how it ended, and kills it.
    pub handle: Handle,
}

/// Asks how a job ended, and kills it. Dropping it does neither, but keep it while the job runs: with it goes what
/// wakes a writer when the job has ended.
pub struct Handle {
    body: Body,
    postgres: Option<Watch>,
    _guard: AbortOnDropHandle<()>,
}

/// What a job runs as.
#[derive(Clone)]
pub(crate) enum Body {
    Docker(Container),
    Process(Group),
}

/// How the body of a job came to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended {
    Exited {
        code: i64,
        out_of_memory: bool,
    },
    /// Somebody removed it.
    Vanished,
}

impl Body {
    /// Waits for its end; cancel safe, and may be asked again.
    async fn ended(&self) -> Result<Ended, SandboxError> {
        match self {
            Self::Docker(container) => container.ended().await,
            Self::Process(group) => group.ended().await,
        }
    }

    /// Kills it; one that has ended, or is gone, is fine.
    async fn kill(&self) -> Result<(), SandboxError> {
        match self {
            Self::Docker(container) => container.kill().await,
            Self::Process(group) => group.kill(),
        }
    }
}

impl Running {
    pub(crate) fn new(
        body: Body,
        input: Pin<Box<dyn AsyncWrite + Send>>,
        output: OutputStream,
        postgres: Option<Watch>,
    ) -> Self {
        let ended = CancellationToken::new();
        let stdin = Stdin::new(input, ended.clone().cancelled_owned());
        let guard = AbortOnDropHandle::new(tokio::spawn(guard(body.clone(), postgres.clone(), ended)));
        Self { stdin, output, handle: Handle { body, postgres, _guard: guard } }
    }
}

impl Handle {
    /// Waits for the job's end; cancel safe, and may be asked again.
    ///
    /// # Errors
    ///
    /// Docker did not answer for half a minute.
    pub async fn wait(&self) -> Result<Exit, SandboxError> {
        Ok(match self.body.ended().await? {
            Ended::Exited { code: 0, .. } => Exit::Code(0),
            Ended::Exited { out_of_memory: true, .. } => Exit::OutOfMemory,
            Ended::Exited { code, .. } => match self.postgres_death().await {
                None => Exit::Code(code),
                Some(Death::OutOfDisk) => Exit::OutOfDisk,
                Some(Death::OutOfMemory) => Exit::OutOfMemory,
                Some(death) => Exit::PostgresDied(death),
            },
            Ended::Vanished => Exit::Vanished,
        })
    }

    /// Kills the job. One that has ended is fine.
    ///
    /// # Errors
    ///
    /// What Docker or the system says.
    pub async fn kill(&self) -> Result<(), SandboxError> {
        self.body.kill().await
    }

    async fn postgres_death(&self) -> Option<Death> {
        timeout(POSTGRES_MAY_FOLLOW, self.postgres.as_ref()?.death()).await.ok()
    }
}

/// Says when the job has ended, and kills it when Postgres is gone.
async fn guard(body: Body, postgres: Option<Watch>, ended: CancellationToken) {
    let lonely = async {
        match postgres {
            Some(postgres) => postgres.death().await,
            None => std::future::pending().await,
        };
        sleep(POSTGRES_IS_GONE).await;
        if let Err(error) = body.kill().await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "kill a job whose Postgres died");
        }
        std::future::pending().await
    };
    tokio::select! {
        // An error means that nobody can tell, in which case `Handle::wait` says so.
        _ = body.ended() => ended.cancel(),
        () = lonely => {}
    }
}
