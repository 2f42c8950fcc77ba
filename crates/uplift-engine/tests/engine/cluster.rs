//! A private cluster with the roles, the databases and the access rules of the image `docker/postgres`.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const INIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker/postgres/init.sql");
const CONF: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker/postgres/postgresql.conf"));
const HBA: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker/postgres/pg_hba.conf"));
const IDENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker/postgres/pg_ident.conf"));

/// Postgres does not run as root: whoever owns the cluster then.
const NOBODY: u32 = 65534;

/// A server that is thrown away with this value.
pub(crate) struct Cluster {
    directory: tempfile::TempDir,
    server: Child,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        if is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = directory.path().join("data");
        let initdb = unprivileged("initdb")
            .arg("--pgdata")
            .arg(&data)
            .args([
                "--username=bootstrap",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ])
            .output()
            .unwrap();
        succeeded(&initdb);
        let conf = data.join("postgresql.conf");
        let socket = directory.path().display();
        let conf_text = fs::read_to_string(&conf).unwrap();
        fs::write(&conf, format!("{conf_text}\n{CONF}\nunix_socket_directories = '{socket}'\n")).unwrap();
        let server = unprivileged("postgres").arg("-D").arg(&data).stderr(Stdio::null()).spawn().unwrap();
        let cluster = Self { directory, server };
        cluster.wait();
        succeeded(&cluster.psql("postgres").args(["-v", "ON_ERROR_STOP=1", "-f", INIT]).output().unwrap());
        let me = Command::new("id").arg("-un").output().unwrap();
        let me = String::from_utf8(me.stdout).unwrap();
        fs::write(data.join("pg_hba.conf"), HBA).unwrap();
        fs::write(data.join("pg_ident.conf"), IDENT.replace("engine", me.trim())).unwrap();
        cluster.sql("control", "SELECT pg_reload_conf()");
        cluster
    }

    /// Waits until the server takes connections.
    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.client("pg_isready", "postgres").output().unwrap().status.success() {
            assert!(Instant::now() < deadline, "the server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The directory of the server's socket.
    pub(crate) fn socket(&self) -> &Path {
        self.directory.path()
    }

    /// A database as the engine makes them, for psql to restore into.
    pub(crate) fn create_database(&self, name: &str) {
        self.sql("control", &format!("CREATE DATABASE {name} TEMPLATE uplift"));
    }

    /// psql as the superuser, told to read no settings of the user's.
    pub(crate) fn psql(&self, database: &str) -> Command {
        let mut psql = self.client("psql", database);
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
        psql
    }

    /// What a query says, as psql writes it.
    pub(crate) fn sql(&self, database: &str, query: &str) -> String {
        let output = self.psql(database).args(["-v", "ON_ERROR_STOP=1", "-c", query]).output().unwrap();
        succeeded(&output);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What a query says to a role, or why it is not asked.
    pub(crate) fn sql_as(&self, role: &str, database: &str, query: &str) -> Result<String, String> {
        let mut psql = self.psql(database);
        let output = psql.args(["--username", role, "-c", query]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// A session that stays, until it is ended or dropped.
    pub(crate) fn linger(&self, database: &str) -> Lingering {
        let mut psql = self.psql(database);
        psql.args(["-c", "SELECT pg_sleep(300)"]).stderr(Stdio::null());
        let session = Lingering(psql.spawn().unwrap());
        let there = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.sql("control", &there) == "0" {
            assert!(Instant::now() < deadline, "the session does not begin");
            std::thread::sleep(Duration::from_millis(20));
        }
        session
    }

    /// Restores a dump in custom format.
    pub(crate) fn restore_archive(&self, database: &str, dump: &[u8]) {
        let file = self.directory.path().join("restore.dump");
        fs::write(&file, dump).unwrap();
        let mut restore = self.client("pg_restore", database);
        succeeded(&restore.args(["--no-owner", "--exit-on-error"]).arg(&file).output().unwrap());
    }

    /// A database as text, without the two lines that differ from one run of `pg_dump` to the next. Rows are
    /// sorted, for a table has no order: `COPY` fills gaps of earlier pages or not, as it is told.
    pub(crate) fn dump(&self, database: &str) -> String {
        let output =
            self.client("pg_dump", database).args(["--no-owner", "--no-privileges"]).output().unwrap();
        succeeded(&output);
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<_> = text.split('\n').filter(|line| !line.starts_with("\\restrict ")).collect();
        lines.retain(|line| !line.starts_with("\\unrestrict "));
        let mut rest = &mut *lines;
        while let Some(copy) = rest.iter().position(|line| line.ends_with(" FROM stdin;")) {
            let rows = rest[copy..].iter().position(|line| *line == "\\.").unwrap();
            rest[copy + 1..copy + rows].sort_unstable();
            rest = &mut rest[copy + rows..];
        }
        lines.join("\n")
    }

    fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(binaries().join(program));
        command.arg("--host").arg(self.socket()).args(["--username=bootstrap", "--dbname", database]);
        command
    }
}

/// See [`Cluster::linger`].
pub(crate) struct Lingering(Child);

impl Drop for Lingering {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stop = unprivileged("pg_ctl")
            .arg("stop")
            .arg("--pgdata")
            .arg(self.directory.path().join("data"))
            .args(["--mode=immediate", "--silent", "--no-wait"])
            .output();
        if stop.is_ok_and(|stop| stop.status.success()) {
            let _ = self.server.wait();
        }
    }
}

/// The directory with the server's programs.
pub(crate) fn binaries() -> PathBuf {
    let Ok(directory) = std::env::var("UPLIFT_TEST_PG_BIN") else {
        panic!("set UPLIFT_TEST_PG_BIN to the directory with initdb, postgres, psql and pg_dump");
    };
    PathBuf::from(directory)
}

fn unprivileged(program: &str) -> Command {
    let mut command = Command::new(binaries().join(program));
    command.stdin(Stdio::null()).current_dir("/");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[track_caller]
pub(crate) fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
