//! Private Postgres servers: one with the sandbox's settings, to restore into, and one as an operator runs for the
//! ledger, which loses nothing.

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use uplift_tests::{postgres::tool, repository};

/// Postgres does not run as root: whoever owns the cluster then.
const NOBODY: u32 = 65534;

/// The superuser, by the name that the sandbox's scripts expect.
const BOOTSTRAP: &str = "bootstrap";

/// What `uplift-sandbox` gives a Postgres whose sandbox may take 1 GiB of memory and 4 GiB of disk, as the harness's
/// fleets may: the same server by hand as in the fleet.
const SANDBOX: &str = "
shared_buffers = 128MB
maintenance_work_mem = 64MB
work_mem = 8MB
effective_cache_size = 256MB
max_wal_size = 512MB
min_wal_size = 32MB
max_parallel_workers = 2
max_parallel_workers_per_gather = 2
max_parallel_maintenance_workers = 2
";

/// Postgres as it comes: what was committed is on the disk. Room for the fleets' connections.
const LEDGER: &str = "
shared_buffers = 256MB
max_connections = 300
fsync = on
synchronous_commit = on
";

/// A server that is thrown away with this value.
pub(crate) struct Cluster {
    directory: TempDir,
    server: Child,
    port: u16,
}

impl Cluster {
    /// A server like the sandbox's, with its roles and its template.
    pub(crate) fn sandbox() -> Self {
        let text = |name: &str| fs::read_to_string(repository("docker/postgres").join(name)).unwrap();
        let cluster = Self::start(&format!("{}{SANDBOX}", text("postgresql.conf")));
        let init = repository("docker/postgres/init.sql");
        check(cluster.psql(BOOTSTRAP, "postgres").arg("-f").arg(init));
        cluster
    }

    /// A server like an operator's.
    pub(crate) fn ledger() -> Self {
        Self::start(LEDGER)
    }

    fn start(settings: &str) -> Self {
        // Not in /tmp, which may be memory: the disk is part of what is measured.
        let directory = tempfile::Builder::new().prefix("uplift-bench-").tempdir_in("/var/tmp").unwrap();
        if is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = directory.path().join("data");
        check(unprivileged("initdb").arg("--pgdata").arg(&data).args([
            "--username=bootstrap",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let conf = data.join("postgresql.conf");
        let text = fs::read_to_string(&conf).unwrap();
        let socket = directory.path().display();
        let place = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{socket}'\n\
             logging_collector = off\n"
        );
        fs::write(&conf, format!("{text}\n{settings}\n{place}")).unwrap();
        let server = unprivileged("postgres").arg("-D").arg(&data).stderr(Stdio::null()).spawn().unwrap();
        let cluster = Self { directory, server, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !cluster.client("pg_isready", BOOTSTRAP, "postgres").output().unwrap().status.success() {
            assert!(Instant::now() < deadline, "the server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        cluster
    }

    /// How a database is reached over TCP, as the superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{BOOTSTRAP}@127.0.0.1:{}/{database}", self.port)
    }

    /// The directory of the server's socket.
    pub(crate) fn socket(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Removes a database, so that all runs begin alike.
    pub(crate) fn drop_database(&self, name: &str) {
        self.sql("control", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        self.sql("control", "CHECKPOINT");
    }

    /// Runs a statement as the superuser.
    pub(crate) fn sql(&self, database: &str, statement: &str) {
        check(self.psql(BOOTSTRAP, database).args(["-c", statement]));
    }

    /// A shell in which `psql`, `pg_dump` and `createdb` reach this server, as somebody's.
    pub(crate) fn shell(&self, user: &str, script: &str) -> Command {
        let mut shell = Command::new("bash");
        let path = format!("{}:/usr/bin:/bin", tool("").display());
        shell.args(["-euo", "pipefail", "-c", script]);
        shell.env("PATH", path).env("PGHOST", self.socket()).env("PGPORT", self.port.to_string());
        shell.env("PGUSER", user).env("PGOPTIONS", "-c client_min_messages=error");
        shell
    }

    fn psql(&self, user: &str, database: &str) -> Command {
        let mut psql = self.client("psql", user, database);
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]);
        psql
    }

    fn client(&self, program: &str, user: &str, database: &str) -> Command {
        let mut command = Command::new(tool(program));
        command.arg("--host").arg(self.socket()).args(["--port", &self.port.to_string()]);
        command.args(["--username", user, "--dbname", database]);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.directory.path().join("data");
        let stop = unprivileged("pg_ctl")
            .args(["stop", "--mode=immediate", "--silent", "--pgdata"])
            .arg(data)
            .output();
        if stop.is_ok_and(|stop| stop.status.success()) {
            let _ = self.server.wait();
        }
    }
}

/// Runs a command that has to succeed.
pub(crate) fn check(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn unprivileged(program: &str) -> Command {
    let mut command = Command::new(tool(program));
    command.stdin(Stdio::null()).current_dir("/");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}
