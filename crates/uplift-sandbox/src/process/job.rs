//! Jobs as process groups beside Postgres.

use std::{
    env, io,
    path::Path,
    pin::Pin,
    process::Stdio,
    task::{Context, Poll},
};

use futures_util::{StreamExt as _, stream};
use tokio::{
    io::AsyncWrite,
    process::{Child, ChildStdin, Command},
    sync::watch,
};
use tokio_util::io::ReaderStream;

use super::{
    Host,
    cluster::{code, noted},
    directory::{Directory, Ending},
};
use crate::{
    Job, Output, OutputStream, Runner, Running, Sandbox, SandboxError,
    job::{Body, Ended},
    local::{End, Process, spawn},
};

/// What is read from a pipe at once; a pipe holds as much.
const BLOCK: usize = 64 * 1024;

/// Leads the job's process group, and takes the whole of it along when this process ends: the death signal reaches a
/// child, and no child of that. The job's stdin goes by another number, for a shell gives what it runs in the
/// background an empty one.
const LEADER: &str =
    r#"trap "kill -KILL 0" TERM; exec 3<&0; "$@" <&3 3<&- & exec <&- 3<&- >&- 2>&-; wait $!"#;

/// A process group that a job runs in.
#[derive(Clone)]
pub(crate) struct Group {
    leader: Process,
    ended: watch::Receiver<Option<Ended>>,
}

impl Group {
    pub(crate) async fn ended(&self) -> Result<Ended, SandboxError> {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(Option::is_some).await;
        // Who would say so lives as long as the runtime.
        ended.ok().and_then(|ended| *ended).ok_or_else(|| {
            SandboxError::system("wait for a job")(io::Error::other("nobody waits for it any more"))
        })
    }

    pub(crate) fn kill(&self) -> Result<(), SandboxError> {
        self.leader.kill_group();
        Ok(())
    }
}

impl Host {
    /// Starts a job as a process group of its own.
    pub(crate) async fn start(&self, sandbox: &Sandbox, job: Job) -> Result<Running, SandboxError> {
        let machine = self.machine();
        let doing = "start a job";
        let directory = match &sandbox.postgres {
            Some(_) => Directory::of(&machine.root, &sandbox.label),
            None => Directory::make(&machine.root, &sandbox.label, &machine.account)?,
        };
        let programs = machine.programs(sandbox.major)?;
        let mut command = machine.account.command(End::Term, "sh");
        command.args(["-c", LEADER, "sh"]);
        surroundings(&mut command, &directory, programs.directory());
        match job {
            Job::Engine | Job::Stage | Job::Watch => command.arg(&machine.engine),
            Job::Runner(Runner { image, command: words, env }) => {
                tracing::warn!(image, "a process has no image: the command runs with what this machine has");
                command
                    .args(words)
                    .env("PGUSER", "tenant")
                    .env("PGDATABASE", "work")
                    .env("UPLIFT_PACK", directory.stage().join("pack"))
                    .env("UPLIFT_SCRIPTS", directory.stage().join("scripts"))
                    .env("UPLIFT_FILESTORE", directory.scratch().join("filestore"))
                    .envs(env)
            }
        };
        command.stdin(Stdio::piped()).current_dir(directory.scratch());
        let mut child = spawn(command).await.map_err(SandboxError::system(doing))?;
        let leader = noted(&child, &directory, Ending::Kill).map_err(SandboxError::system(doing))?;
        let (input, output) = pipes(&mut child)
            .ok_or_else(|| SandboxError::system(doing)(io::Error::other("it has no pipes")))?;
        let (sender, ended) = watch::channel(None);
        tokio::spawn(attend(child, leader.clone(), directory, sender));
        Ok(Running::new(Body::Process(Group { leader, ended }), input, output, sandbox.watch()))
    }
}

/// What a job finds around it. Nothing of this process's environment is in it, for there are secrets there.
fn surroundings(command: &mut Command, directory: &Directory, programs: &Path) {
    let inherited = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([programs.to_owned()].into_iter().chain(env::split_paths(&inherited)));
    command.env_clear().env("PATH", path.unwrap_or(inherited)).env("LC_ALL", "C.UTF-8");
    command
        .env("PGHOST", directory.socket())
        .env("HOME", directory.scratch())
        .env("TMPDIR", directory.scratch())
        .env("UPLIFT_STAGE", directory.stage())
        .env("UPLIFT_SCRATCH", directory.scratch());
}

fn pipes(child: &mut Child) -> Option<(Pin<Box<dyn AsyncWrite + Send>>, OutputStream)> {
    let (stdin, stdout, stderr) = (child.stdin.take()?, child.stdout.take()?, child.stderr.take()?);
    let read = |result: io::Result<_>| result.map_err(SandboxError::system("read a job's output"));
    let stdout = ReaderStream::with_capacity(stdout, BLOCK).map(move |bytes| read(bytes).map(Output::Stdout));
    let stderr = ReaderStream::with_capacity(stderr, BLOCK).map(move |bytes| read(bytes).map(Output::Stderr));
    Some((Box::pin(Pipe(Some(stdin))), Box::pin(stream::select(stdout, stderr))))
}

/// Waits for the job's end, and says how it was.
async fn attend(
    mut child: Child,
    leader: Process,
    directory: Directory,
    ended: watch::Sender<Option<Ended>>,
) {
    let status = child.wait().await;
    // A job that has ended takes along what it left running, as a container does.
    leader.kill_group();
    directory.forget(&leader, Ending::Kill);
    ended.send_replace(Some(match status {
        _ if directory.is_removed() => Ended::Vanished,
        Ok(status) => Ended::Exited { code: code(status), out_of_memory: false },
        Err(_) => Ended::Exited { code: -1, out_of_memory: false },
    }));
}

/// A pipe that ends when it is shut down, as a socket does.
struct Pipe(Option<ChildStdin>);

impl Pipe {
    fn open(&mut self) -> Option<Pin<&mut ChildStdin>> {
        self.0.as_mut().map(Pin::new)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.open() {
            Some(pipe) => pipe.poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open().map_or(Poll::Ready(Ok(())), |pipe| pipe.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}
