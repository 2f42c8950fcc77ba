//! A sandbox that is gone when its test is, however that ends.

use std::process::Command;

use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use uplift_core::id::{Epoch, RequestId, WorkerId};
use uplift_sandbox::{DockerConfig, Exit, Host, Job, Label, Limits, Output, Sandbox};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const MAJOR: u16 = 15;

/// Enough for everything that does not want to run out of something.
pub(crate) const LIMITS: Limits =
    Limits { memory_bytes: 512 * MIB, cpus: 2.0, pids: 200, disk_bytes: 2048 * MIB };

/// A fleet of this test's own, since tests run beside each other.
pub(crate) struct Fleet {
    pub(crate) host: Host,
    config: DockerConfig,
}

/// What a job wrote and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Fleet {
    pub(crate) async fn new() -> Self {
        let config = DockerConfig { fleet: format!("test-{}", RequestId::new()), ..DockerConfig::default() };
        let host = Host::connect(&config).await.expect("Docker must run: `cargo xtask services` starts it");
        Self { host, config }
    }

    pub(crate) async fn open(&self, limits: Limits) -> (Label, Sandbox) {
        let label = label();
        let sandbox = self.host.open(&label, MAJOR, &limits).await.expect("open a sandbox");
        (label, sandbox)
    }
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

/// A job that runs a shell script as customers' code; the engine's image has a shell and psql.
pub(crate) fn script(script: &str) -> Job {
    Job::Runner {
        image: format!("uplift/engine:{MAJOR}"),
        command: ["sh", "-c", script].map(String::from).to_vec(),
    }
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

/// Runs SQL as the superuser, by a container with the engine's uid.
pub(crate) fn as_engine(label: &Label, sql: &[&str]) -> String {
    let mut docker = Command::new("docker");
    docker.args(["run", "--rm", "--network=none", "--user=7002", "--entrypoint=psql", "--volume"]);
    docker.arg(format!("uplift-{}-{}-socket:/run/postgresql:ro", label.request, label.epoch));
    docker.args([&format!("uplift/engine:{MAJOR}"), "-X", "-At", "-v", "ON_ERROR_STOP=1", "-U", "bootstrap"]);
    docker.args(["-d", "control"]).args(sql.iter().flat_map(|sql| ["-c", sql]));
    let out = docker.output().expect("run docker");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8")
}

/// Makes the database that `tenant` works in, as the engine does.
pub(crate) fn make_work(label: &Label) {
    let grant = "GRANT CREATE, TEMPORARY ON DATABASE work TO tenant";
    as_engine(label, &["CREATE DATABASE work TEMPLATE uplift", grant]);
}
