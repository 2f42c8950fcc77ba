//! The Postgres of a sandbox: copied, started, seen to accept, and watched until its end.

use std::{
    fs, io,
    os::unix::{fs::MetadataExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStderr},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    directory::{Directory, Ending},
    host::Machine,
    template::Template,
};
use crate::{
    Death, Limits, SandboxError,
    local::{End, Process, Signal, accepts, run, spawn},
    postgres::{Lines, Postgres, State, Watch, accepting},
};

/// How often it is looked at how much room the cluster takes.
const LOOK: Duration = Duration::from_secs(1);

/// How long the log of a server that has ended is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Starts a Postgres on a copy of the template, and waits until it accepts.
pub(super) async fn start(
    machine: &Machine,
    directory: &Directory,
    template: &Template,
    limits: &Limits,
) -> Result<Postgres, SandboxError> {
    let account = &machine.account;
    directory.make_cluster(account).map_err(SandboxError::system("make a cluster's directory"))?;
    let mut copy = account.command(End::Kill, "cp");
    // The fresh segment of the log is all zeroes, and takes no room as a hole.
    copy.args(["--archive", "--sparse=always"]).arg(template.cluster.join(".")).arg(directory.data());
    run(copy, "copy a cluster").await?;

    let mut server = account.command(End::Quit, &template.server);
    server.arg("-D").arg(directory.data()).arg("-k").arg(directory.socket()).args(limits.postgres_settings());
    server.env_clear().env("LC_ALL", "C.UTF-8").envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    server.stdout(Stdio::null());
    let child = spawn(server).await.map_err(SandboxError::system("start Postgres"))?;
    let process = noted(&child, directory, Ending::Quit).map_err(SandboxError::system("start Postgres"))?;
    let (states, state) = watch::channel(State::Starting);
    let following = follow(child, process, directory.clone(), limits.disk_bytes, states);
    let watching = AbortOnDropHandle::new(tokio::spawn(following));
    accepting(state.clone()).await?;
    Ok(Postgres { watch: Watch(state), _watching: watching })
}

/// Puts a process that was just started on the sandbox's record.
pub(super) fn noted(child: &Child, directory: &Directory, ending: Ending) -> io::Result<Process> {
    let process = Process::of(child)?;
    directory.note(&process, ending)?;
    Ok(process)
}

/// Says when it accepts, ends it above its disk budget, and says how it ended.
async fn follow(
    mut child: Child,
    process: Process,
    directory: Directory,
    budget: u64,
    states: watch::Sender<State>,
) {
    let said = AbortOnDropHandle::new(tokio::spawn(last_words(child.stderr.take())));
    let status = {
        let ended = child.wait();
        tokio::pin!(ended);
        let watched = async {
            accepts(&directory.data(), &process).await;
            states.send_replace(State::Accepting);
            within_budget(&directory, budget).await;
            states.send_replace(State::Dead(Death::OutOfDisk));
            process.signal(Signal::QUIT);
        };
        tokio::select! {
            status = &mut ended => status,
            () = watched => ended.await,
        }
    };
    directory.forget(&process, Ending::Quit);
    if matches!(&*states.borrow(), State::Dead(_)) {
        return;
    }
    let said = timeout(LAST_WORDS, said).await.ok().and_then(Result::ok).unwrap_or_default();
    let death = match status {
        _ if directory.is_removed() => Death::Vanished,
        Ok(status) => Death::Exited { code: code(status), said },
        Err(error) => Death::Unknown { why: error.to_string() },
    };
    states.send_replace(State::Dead(death));
}

/// The last lines of the server's log.
async fn last_words(stderr: Option<ChildStderr>) -> String {
    let mut lines = Lines::default();
    let mut block = vec![0; 4096];
    if let Some(mut stderr) = stderr {
        while let Ok(count @ 1..) = stderr.read(&mut block).await {
            lines.push(&block[..count]);
        }
    }
    lines.tail()
}

/// Returns once the cluster takes more than its budget.
async fn within_budget(directory: &Directory, budget: u64) {
    loop {
        sleep(LOOK).await;
        let data = directory.data();
        let used = tokio::task::spawn_blocking(move || used(&data)).await.unwrap_or(0);
        if used > budget {
            tracing::warn!(used, budget, "a sandbox's Postgres outgrew its disk budget");
            return;
        }
    }
}

/// What a directory takes on disk; bytes. Files come and go meanwhile, which is no error here.
fn used(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => used(&entry.path()),
            Ok(found) => found.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// As a shell tells it: 128 and the signal, for what a signal has ended.
pub(super) fn code(status: ExitStatus) -> i64 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    i64::from(code.unwrap_or(-1))
}
