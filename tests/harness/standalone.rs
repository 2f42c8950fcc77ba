//! `uplift standalone` as a process, on a directory of a test's own.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use uplift_core::RequestId;
use uplift_sandbox::{DockerConfig, Host, Kind, ProcessConfig, SandboxConfig};

use crate::{
    SOON, eventually,
    process::{Process, binary},
    request::{LIMIT, json},
};

/// A cluster is made, and a debug build starts, on a busy machine.
const START: Duration = Duration::from_secs(120);

/// A directory, and what runs on it.
pub struct Standalone {
    process: Option<Process>,
    kind: &'static str,
    port: u16,
    settings: Vec<(String, String)>,
    arguments: Vec<String>,
    starts: usize,
    directory: TempDir,
}

impl Standalone {
    /// Starts it; `kind` is what its sandboxes are made of, and `settings` is for the environment.
    pub async fn start(kind: &'static str, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("uplift-alone-").tempdir_in("/var/tmp").unwrap();
        // Postgres, which does not run as root, has to come through.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut standalone = Self {
            process: None,
            kind,
            port: TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(),
            settings: settings.iter().map(owned).collect(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            starts: 0,
            directory,
        };
        standalone.start_again().await;
        standalone
    }

    /// Starts it on what the last one left.
    pub async fn start_again(&mut self) {
        self.starts += 1;
        let log = self.file(&format!("log-{}", self.starts));
        let (data, listen) = (self.data().display().to_string(), format!("127.0.0.1:{}", self.port));
        let mut arguments = vec!["standalone", "--data-dir", &data, "--listen", &listen];
        arguments.extend(["--metrics-listen", "127.0.0.1:0", "--store-port", "0"]);
        arguments.extend(self.arguments.iter().map(String::as_str));
        let mut settings = self.settings.clone();
        settings.push(("WORKER__SANDBOX".to_owned(), self.kind.to_owned()));
        let mut process = Process::start_with("uplift", &arguments, &settings, &log);
        eventually("it says how to use it", START, async || {
            assert!(process.ended().is_none(), "it ended: {}", process.log());
            process.log().lines().any(|line| line.starts_with("stop it ")).then_some(())
        })
        .await;
        self.process = Some(process);
    }

    /// The directory of its state.
    pub fn data(&self) -> PathBuf {
        self.file("state")
    }

    /// A path for a file of this test.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What it has said since its last start.
    pub fn log(&self) -> String {
        self.process.as_ref().expect("it runs").log()
    }

    /// Ends it as a power cut does, and waits until nothing of it runs.
    pub async fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
        let mut left = Vec::new();
        eventually("every process ends with it", SOON, async || {
            left = processes_of(&self.data());
            if left.is_empty() { Some(()) } else { None }
        })
        .await;
    }

    /// Stops it in order; it must end well, with nothing left.
    pub async fn stop(mut self) {
        let mut process = self.process.take().expect("it runs");
        process.signal("TERM");
        let ended = eventually("it stops", START, async || process.ended()).await;
        assert!(ended.success(), "{ended}: {}", process.log());
        assert_eq!(processes_of(&self.data()), Vec::<String>::new());
        assert!(self.host().await.leftovers().await.unwrap().is_empty(), "sandboxes are left");
        assert!(!self.data().join("ledger/socket").exists());
    }

    /// The command line, as a customer who has read the file `env`.
    pub fn uplift(&self) -> Command {
        let mut command = Command::new("sh");
        let script = format!(". {}/env && exec {} \"$@\"", self.data().display(), binary("uplift").display());
        command.args(["-c", &script, "sh"]).stdin(Stdio::null());
        command
    }

    /// Runs the command line, which has to succeed.
    pub fn must(&self, arguments: &[&str]) -> Output {
        let output = self.uplift().args(arguments).output().unwrap();
        assert!(output.status.success(), "uplift {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Uploads a dump without waiting for the rest; gives the request.
    pub fn submit(&self, purpose: &str, dump: &Path, database: &str) -> RequestId {
        let dump = dump.to_str().unwrap();
        let output = self.must(&["--json", purpose, "--dump", dump, "-t", "3.0", "--database", database]);
        json(&output)["id"].as_str().expect("the request's id").parse().unwrap()
    }

    /// A session on its ledger.
    pub async fn ledger(&self) -> PgConnection {
        let socket = self.data().join("ledger/socket");
        let socket = fs::read_link(&socket).unwrap_or(socket);
        let url = format!("postgres://uplift@localhost/postgres?host={}", socket.display());
        PgConnection::connect(&url).await.unwrap()
    }

    /// One value of the ledger, as text.
    pub async fn value(&self, sql: &str) -> String {
        let sql = sqlx::AssertSqlSafe(format!("SELECT ({sql})::text"));
        let value: Option<String> =
            sqlx::query_scalar(sql).fetch_one(&mut self.ledger().await).await.unwrap();
        value.unwrap_or_default()
    }

    /// Waits until the request's row satisfies an SQL condition.
    pub async fn reaches(&self, request: RequestId, condition: &str) {
        let sql = format!(
            "SELECT CASE WHEN ({condition}) THEN 'yes' ELSE state || ' ' || coalesce(stage, '') END
             FROM requests r WHERE id = '{request}'"
        );
        eventually(&format!("request {request}: {condition}"), LIMIT, async || {
            let found = self.value(&sql).await;
            let over = ["delivered", "intervention", "rejected"].iter().any(|state| found.starts_with(state));
            assert!(!over, "request {request} is over before {condition}: {found}");
            (found == "yes").then_some(())
        })
        .await;
    }

    /// The outcomes of a request's attempts, in order.
    pub async fn outcomes(&self, request: RequestId) -> String {
        let sql = format!(
            "SELECT string_agg(coalesce(outcome, 'none'), ' ' ORDER BY epoch) FROM attempts
             WHERE request_id = '{request}'"
        );
        self.value(&sql).await
    }

    /// What its sandboxes are on.
    pub async fn host(&self) -> Host {
        let names: Vec<_> = match fs::read_dir(self.data().join("sandboxes")) {
            Ok(entries) => entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect(),
            Err(_) => Vec::new(),
        };
        let kind = if self.kind == "docker" { Kind::Docker } else { Kind::Process };
        let fleet = match names.first() {
            Some(name) => name.clone(),
            None => {
                let id = sha(&self.data().canonicalize().unwrap());
                format!("standalone-{}", &id[..12])
            }
        };
        let process = ProcessConfig {
            directory: self.data().join("sandboxes").join(&fleet),
            engine: Some(binary("uplift-engine")),
        };
        let docker = DockerConfig { fleet, ..DockerConfig::default() };
        Host::connect(&SandboxConfig { kind, docker, process }).await.unwrap()
    }
}

/// As `sha256sum` says it.
fn sha(path: &Path) -> String {
    let script = format!("printf %s '{}' | sha256sum", path.display());
    String::from_utf8(Command::new("sh").args(["-c", &script]).output().unwrap().stdout).unwrap()
}

/// What runs with a directory among its arguments, or in it.
fn processes_of(directory: &Path) -> Vec<String> {
    let directory = directory.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        let place = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if !arguments.is_empty() && (arguments.contains(directory) || place.starts_with(directory)) {
            found.push(arguments);
        }
    }
    found
}
