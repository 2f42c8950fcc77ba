//! A sandbox that is gone when its test is, however that ends.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use futures_util::StreamExt as _;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use uplift_core::id::{Epoch, RequestId, WorkerId};
use uplift_sandbox::{
    DockerConfig, Exit, Host, Job, Kind, Label, Limits, Output, ProcessConfig, Runner, Sandbox, SandboxConfig,
};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const MAJOR: u16 = 15;

/// Enough for everything that does not want to run out of something.
pub(crate) const LIMITS: Limits =
    Limits { memory_bytes: 512 * MIB, cpus: 2.0, pids: 200, disk_bytes: 2048 * MIB };

/// Makes a test of each function, for each kind of sandbox.
macro_rules! on_both_kinds {
    ($($test:ident),* $(,)?) => {
        mod docker {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::harness::Fleet::docker().await).await;
            })*
        }
        mod process {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::harness::Fleet::process().await).await;
            })*
        }
    };
}
pub(crate) use on_both_kinds;

/// A fleet of this test's own, since tests run beside each other.
pub(crate) struct Fleet {
    pub(crate) host: Host,
    pub(crate) config: SandboxConfig,
    /// What a fleet of processes lies in.
    _directory: Option<TempDir>,
}

/// What a job wrote and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Fleet {
    pub(crate) async fn docker() -> Self {
        let fleet = format!("test-{}", RequestId::new());
        let docker = DockerConfig { fleet, ..DockerConfig::default() };
        let config = SandboxConfig { kind: Kind::Docker, docker, ..SandboxConfig::default() };
        let host = Host::connect(&config).await.expect("Docker must run: `cargo xtask services` starts it");
        Self { host, config, _directory: None }
    }

    pub(crate) async fn process() -> Self {
        let directory = tempfile::Builder::new().prefix("uplift-sandboxes-").tempdir().expect("a directory");
        let config = processes_in(directory.path());
        let host = Host::connect(&config).await.expect("Postgres must be installed");
        Self { host, config, _directory: Some(directory) }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.config.kind
    }

    pub(crate) async fn open(&self, limits: Limits) -> (Label, Sandbox) {
        let label = label();
        let sandbox = self.host.open(&label, MAJOR, &limits).await.expect("open a sandbox");
        (label, sandbox)
    }

    /// Runs SQL as the superuser, as the engine's user.
    pub(crate) async fn as_engine(&self, label: &Label, sandbox: &Sandbox, sql: &[&str]) -> String {
        if self.kind() == Kind::Process {
            // Runners and the engine are one user there.
            let sql: String = sql.iter().map(|sql| format!(" -c \"{sql}\"")).collect();
            let psql = format!("psql -X -At -v ON_ERROR_STOP=1 -U bootstrap -d control{sql}");
            let ran = run(sandbox, script(&psql)).await;
            assert_eq!(ran.exit, Exit::Code(0), "{ran:?}");
            return ran.stdout;
        }
        let mut docker = Command::new("docker");
        docker.args(["run", "--rm", "--network=none", "--user=7002", "--entrypoint=psql", "--volume"]);
        docker.arg(format!("uplift-{}-{}-socket:/run/postgresql:ro", label.request, label.epoch));
        docker.arg(format!("uplift/engine:{MAJOR}")).args(["-X", "-At", "-v", "ON_ERROR_STOP=1"]);
        docker.args(["-U", "bootstrap", "-d", "control"]).args(sql.iter().flat_map(|sql| ["-c", sql]));
        let out = docker.output().expect("run docker");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("UTF-8")
    }

    /// Makes the database that `tenant` works in, as the engine does.
    pub(crate) async fn make_work(&self, label: &Label, sandbox: &Sandbox) {
        let grant = "GRANT CREATE, TEMPORARY ON DATABASE work TO tenant";
        self.as_engine(label, sandbox, &["CREATE DATABASE work TEMPLATE uplift", grant]).await;
    }

    /// Kills the Postgres of a sandbox.
    pub(crate) fn kill_postgres(&self, label: &Label) {
        let killed = if self.kind() == Kind::Process {
            let lock = self.directory(label).join("data/postmaster.pid");
            let lock = std::fs::read_to_string(lock).expect("Postgres' lock file");
            Command::new("kill").args(["-KILL", lock.lines().next().expect("a pid")]).output()
        } else {
            let name = format!("uplift-{}-{}-postgres", label.request, label.epoch);
            Command::new("docker").args(["kill", &name]).output()
        };
        assert!(killed.expect("run kill").status.success());
    }

    /// Everything that there is of a request, by name.
    pub(crate) fn names(&self, label: &Label) -> String {
        if self.kind() == Kind::Process {
            let entries = std::fs::read_dir(&self.config.process.directory).expect("list sandboxes");
            let names =
                entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
            return names.filter(|name| name.starts_with(&label.request.to_string())).collect();
        }
        let ask = |args: &[&str]| {
            let out = Command::new("docker").args(args).output().expect("run docker");
            String::from_utf8(out.stdout).expect("UTF-8")
        };
        let filter = format!("label=uplift.request={}", label.request);
        ask(&["ps", "-a", "-q", "--filter", &filter]) + &ask(&["volume", "ls", "-q", "--filter", &filter])
    }

    pub(crate) fn directory(&self, label: &Label) -> PathBuf {
        self.config.process.directory.join(format!("{}-{}", label.request, label.epoch))
    }
}

/// A host of processes in this directory.
pub(crate) fn processes_in(directory: &Path) -> SandboxConfig {
    let binaries = std::env::var("UPLIFT_TEST_BIN_DIR").expect("`cargo xtask test` sets UPLIFT_TEST_BIN_DIR");
    let engine = Some(Path::new(&binaries).join("uplift-engine"));
    let process = ProcessConfig { directory: directory.to_owned(), engine };
    SandboxConfig { kind: Kind::Process, process, ..SandboxConfig::default() }
}

impl Drop for Fleet {
    /// A thread and a runtime of its own, since a test's runtime may be ending.
    fn drop(&mut self) {
        let config = self.config.clone();
        let clean = async move {
            let host = Host::connect(&config).await.expect("connect");
            for label in host.leftovers().await.expect("list leftovers") {
                host.remove(&label).await.expect("remove leftovers");
            }
        };
        let thread = std::thread::spawn(|| tokio::runtime::Runtime::new().expect("runtime").block_on(clean));
        assert!(
            thread.join().is_ok() || std::thread::panicking(),
            "the sandboxes of this test are left behind"
        );
    }
}

pub(crate) fn label() -> Label {
    Label { request: RequestId::new(), epoch: Epoch(1), worker: WorkerId::new() }
}

/// A job that runs a shell script as customers' code; the engine's image, and this machine, have a shell and psql.
pub(crate) fn script(script: &str) -> Job {
    Job::Runner(Runner {
        image: format!("uplift/engine:{MAJOR}"),
        command: ["sh", "-c", script].map(String::from).to_vec(),
        env: Vec::new(),
    })
}

/// Runs a job without input to its end.
pub(crate) async fn run(sandbox: &Sandbox, job: Job) -> Ran {
    let mut running = sandbox.start(job).await.expect("start a job");
    running.stdin.shutdown().await.expect("end its input");
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(output) = running.output.next().await {
        match output.expect("read its output") {
            Output::Stdout(bytes) => stdout.extend_from_slice(&bytes),
            Output::Stderr(bytes) => stderr.extend_from_slice(&bytes),
        }
    }
    let exit = running.handle.wait().await.expect("wait for its end");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { exit, stdout: text(stdout), stderr: text(stderr) }
}
