//! The ledger's Postgres: a private cluster, from the programs of this machine.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use secrecy::SecretString;
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStderr},
    time::{sleep, timeout},
};
use uplift_sandbox::local::{
    Account, End, Process, Programs, Signal, accepts, make_socket_directory, remove_socket_directory, run,
    running_on, spawn,
};

/// How long the server may take to start, which includes going through the log of one that was killed, and to stop.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a server that we find may take to end at once before it is killed.
const IMMEDIATE: Duration = Duration::from_secs(10);

/// How much of what a server said before it ended is shown; bytes.
const LAST_WORDS: usize = 2000;

/// The server, which ends when we do.
pub(super) struct Cluster {
    server: Child,
    process: Process,
    /// Where the socket's directory is, or the link to it.
    place: PathBuf,
    url: SecretString,
}

impl Cluster {
    /// Starts the cluster of a state directory; makes it at the first time.
    pub(super) async fn start(directory: &Path) -> Result<Self> {
        // `postgres` comes with Debian's packages. It is another user than the sandboxes' where that can be.
        let account = Account::unprivileged(&["postgres", "nobody"])?;
        let home = directory.join("ledger");
        fs::create_dir_all(&home).context("make the ledger's directory")?;
        account.own(&home).context("give the ledger's directory to its user")?;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700))
            .context("close the ledger's directory")?;
        enterable(&home, &account).await?;
        let data = home.join("data");
        let programs = programs(&data)?;
        end_stale(&data).await?;
        if !data.is_dir() {
            make(&home, &data, &account, &programs).await?;
        }
        let place = home.join("socket");
        let socket = make_socket_directory(&place, &account).context("make the socket's directory")?;
        let mut command = account.command(End::Quit, programs.program("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(&socket).args(["-c", "listen_addresses="]);
        command.args(["-c", "timezone=UTC", "-c", "log_destination=stderr", "-c", "logging_collector=off"]);
        command.stdout(Stdio::null());
        let mut server = spawn(command).await.context("start postgres with setpriv")?;
        let process = Process::of(&server).context("start postgres")?;
        let log = tokio::spawn(listen(server.stderr.take()));
        tokio::select! {
            () = accepts(&data, &process) => {}
            _ = server.wait() => bail!("it has ended, and said last: {}", log.await.unwrap_or_default()),
            () = sleep(PATIENCE) => bail!("it does not accept after {} s", PATIENCE.as_secs()),
        }
        let url = url(&socket).into();
        Ok(Self { server, process, place, url })
    }

    /// How the ledger is reached: by the socket, in a directory that nobody else may enter.
    pub(super) fn url(&self) -> &SecretString {
        &self.url
    }

    /// Stops the server in order.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.process.signal(Signal::INT);
        let stopped = timeout(PATIENCE, self.server.wait()).await;
        remove_socket_directory(&self.place);
        match stopped {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => bail!("it ended with {status}"),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => bail!("it does not end"),
        }
    }
}

/// The programs that understand a cluster; the newest where there is none yet.
fn programs(data: &Path) -> Result<Programs> {
    let mut found = Programs::find();
    let Ok(version) = fs::read_to_string(data.join("PG_VERSION")) else {
        let newest = found.pop_last().map(|(_, programs)| programs);
        return newest.context("there is no Postgres on this machine: install Debian's package postgresql");
    };
    let version = version.trim();
    let programs = version.parse().ok().and_then(|major: u16| found.remove(&major));
    programs.with_context(|| {
        format!("the ledger was made by PostgreSQL {version}, which is not on this machine: install postgresql-{version}")
    })
}

async fn enterable(home: &Path, account: &Account) -> Result<()> {
    let mut test = account.command(End::Kill, "test");
    test.arg("-w").arg(home);
    run(test, "look at the ledger's directory").await.map(drop).with_context(|| {
        format!(
            "{} cannot be entered by user {}, as whom Postgres runs in place of root: name a --data-dir that others may \
             enter, such as one below /var/lib",
            home.display(),
            account.name()
        )
    })
}

/// Ends the server of a process that was killed, should it still be at it.
async fn end_stale(data: &Path) -> Result<()> {
    let Some(stale) = running_on(data) else { return Ok(()) };
    tracing::warn!(pid = stale.pid(), "a Postgres of an earlier process still runs: it is ended");
    let begun = Instant::now();
    while stale.is_alive() {
        let waited = begun.elapsed();
        if waited > PATIENCE {
            bail!(
                "process {}, which is a Postgres on {}, does not end: kill it",
                stale.pid(),
                data.display()
            );
        }
        stale.signal(if waited > IMMEDIATE { Signal::KILL } else { Signal::QUIT });
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Makes the cluster beside its place and moves it there, so that one who is killed leaves no half of one.
async fn make(home: &Path, data: &Path, account: &Account, programs: &Programs) -> Result<()> {
    let fresh = home.join("data.new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).context("remove a half-made cluster")?;
    }
    let mut initdb = account.command(End::Kill, programs.program("initdb"));
    initdb.arg("--pgdata").arg(&fresh);
    initdb.args([
        "--username=uplift",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-instructions",
    ]);
    run(initdb, "make the ledger's cluster").await?;
    fs::rename(&fresh, data).context("move the new cluster into its place")
}

/// The cluster holds nothing but the ledger, so that its first database will do.
fn url(socket: &Path) -> String {
    let mut url = url::Url::parse("postgres://uplift@localhost/postgres").expect("it is a URL");
    url.query_pairs_mut().append_pair("host", &socket.to_string_lossy());
    url.into()
}

/// Hands the server's log to ours, and gives its end.
async fn listen(stderr: Option<ChildStderr>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let (mut last, mut block) = (Vec::new(), vec![0; 4096]);
    while let Ok(count @ 1..) = stderr.read(&mut block).await {
        last.extend_from_slice(&block[..count]);
        let end = last.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        for line in String::from_utf8_lossy(&last[..end]).lines() {
            tracing::debug!(postgres = line, "the ledger's Postgres");
        }
        let kept = last.len().saturating_sub(LAST_WORDS);
        last.drain(..kept);
    }
    String::from_utf8_lossy(&last).trim().to_owned()
}
