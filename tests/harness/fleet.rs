//! A fleet of a test's own: a ledger database, a prefix in the object store and in the broker, a name on the Docker
//! host, one dispatcher and as many workers as wanted.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use lapin::{
    Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::net::TcpStream;
use uplift_core::RequestId;
use uplift_platform::{Config, Ledger, Objects};
use uplift_sandbox::{DockerConfig, Host, SandboxConfig};
use uuid::Uuid;

use crate::{
    SOON, eventually,
    postgres::Database,
    process::{Process, binary},
    repository,
    services::{Services, variable},
    wreck::Wreck,
};

/// A running fleet.
pub struct Fleet {
    pub ledger: Ledger,
    pub objects: Objects,
    pub host: Host,
    pub database: Database,
    pub dispatcher: Process,
    pub workers: Vec<Process>,
    name: String,
    amqp: String,
    server: String,
    token: String,
    ops_token: String,
    started: usize,
    /// Dropped behind the processes.
    environment: Vec<(String, String)>,
    _wreck: Wreck,
    /// Dropped last: the processes' logs are in it.
    pub directory: TempDir,
}

/// How a fleet differs from the usual one.
pub struct Options {
    pub services: Services,
    pub workers: usize,
    /// Lines for the section `[worker]`.
    pub worker: String,
    /// Lines for the section `[objects]`.
    pub objects: String,
    /// Lines for the section `[dispatcher]`.
    pub dispatcher: String,
    /// Variables for the dispatcher and the workers.
    pub environment: Vec<(String, String)>,
    /// How often a worker looks at the ledger when no hint comes, in seconds.
    pub poll_seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            services: Services::real(),
            workers: 2,
            worker: String::new(),
            objects: String::new(),
            dispatcher: String::new(),
            environment: Vec::new(),
            poll_seconds: 5,
        }
    }
}

impl Fleet {
    /// A fleet with two workers and the sample pack.
    pub async fn start() -> Self {
        let fleet = Self::with(Options::default()).await;
        fleet.push_pack(&repository("deploy/packs/sample"));
        fleet
    }

    /// A fleet without packs.
    pub async fn with(options: Options) -> Self {
        let directory = tempfile::Builder::new().prefix("uplift-fleet-").tempdir().unwrap();
        let database = Database::create("ledger").await;
        let name = format!("t{}", Uuid::now_v7().simple());
        let port = free_port();
        let text = configuration(&options, &database, &name);
        let config_file = directory.path().join("uplift.toml");
        std::fs::write(&config_file, &text).unwrap();
        let config = Config::parse(&text, []).unwrap();
        // The harness goes past whatever a test puts in between.
        let real = Services::real();
        let direct = text.replace(&options.services.s3, &real.s3);
        let own = Config::parse(&direct.replace(&options.services.public_s3, &real.s3), []).unwrap();
        let ledger = Ledger::migrate(&SecretString::from(database.url())).await.unwrap();
        let objects = Objects::new(&own.objects).unwrap();
        let docker = DockerConfig {
            socket: Some(real.docker_socket.into()),
            images: config.worker.images,
            fleet: config.worker.fleet,
        };
        let host = Host::connect(&SandboxConfig { docker, ..SandboxConfig::default() }).await.unwrap();
        let dispatcher = dispatcher(directory.path(), "dispatcher", port, &options.environment);
        let mut fleet = Self {
            ops_token: token(directory.path(), "operators", "operator"),
            token: token(directory.path(), "acme", "customer"),
            directory,
            ledger,
            objects,
            host,
            environment: options.environment,
            _wreck: Wreck { fleet: name.clone(), ledger: database.name.clone() },
            database,
            dispatcher,
            workers: Vec::new(),
            name,
            amqp: options.services.amqp,
            server: format!("http://127.0.0.1:{port}"),
            started: 0,
        };
        ready(&mut fleet.dispatcher, &fleet.server).await;
        for _ in 0..options.workers {
            fleet.add_worker();
        }
        fleet
    }

    /// What its queues, its keys in the object store and its containers begin with, or are labelled by.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn server(&self) -> &str {
        &self.server
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    pub fn ops_token(&self) -> &str {
        &self.ops_token
    }

    /// A token of another account.
    pub fn token_of(&self, account: &str) -> String {
        token(self.directory.path(), account, "customer")
    }

    /// Starts one more worker; gives its place in [`Fleet::workers`].
    pub fn add_worker(&mut self) -> usize {
        self.add_worker_with(&[])
    }

    /// The same, with settings that differ: `("SLOTS", "4")`.
    pub fn add_worker_with(&mut self, settings: &[(&str, &str)]) -> usize {
        self.started += 1;
        let config = self.directory.path().join("uplift.toml");
        let log = self.directory.path().join(format!("worker-{}.log", self.started));
        let arguments = ["--config", config.to_str().unwrap()];
        let variable =
            |(name, value): &(&str, &str)| (format!("UPLIFT__WORKER__{name}"), (*value).to_owned());
        let environment = [self.environment.clone(), settings.iter().map(variable).collect()].concat();
        self.workers.push(Process::start_in("uplift-worker", &arguments, &environment, &log));
        self.workers.len() - 1
    }

    /// The place in [`Fleet::workers`] of the one that runs a request.
    pub async fn worker_of(&self, request: RequestId) -> usize {
        let worker = self.request(request).await.worker.expect("a worker").to_string();
        let found = self.workers.iter().position(|process| process.log().contains(&worker));
        found.expect("the worker's log names it")
    }

    /// Ends the dispatcher as a power cut does, and starts another one.
    pub async fn restart_dispatcher(&mut self) {
        self.dispatcher.kill();
        let (_, port) = self.server.rsplit_once(':').expect("a URL with a port");
        self.dispatcher =
            dispatcher(self.directory.path(), "dispatcher", port.parse().unwrap(), &self.environment);
        ready(&mut self.dispatcher, &self.server).await;
    }

    /// Starts another dispatcher beside the first one; gives it and where it listens.
    pub async fn second_dispatcher(&self) -> (Process, String) {
        let port = free_port();
        let mut second = dispatcher(self.directory.path(), "dispatcher-2", port, &self.environment);
        let server = format!("http://127.0.0.1:{port}");
        ready(&mut second, &server).await;
        (second, server)
    }

    /// The command line, as a customer.
    pub fn uplift(&self) -> Command {
        let mut command = Command::new(binary("uplift"));
        command
            .env("UPLIFT_SERVER", &self.server)
            .env("UPLIFT_TOKEN", &self.token)
            .env("UPLIFT_OPS_TOKEN", &self.ops_token)
            .current_dir(self.directory.path());
        command
    }

    /// Pushes a pack, as an operator.
    pub fn push_pack(&self, folder: &Path) {
        let output = self.uplift().args(["ops", "packs", "push"]).arg(folder).output().unwrap();
        assert!(
            output.status.success(),
            "push {}: {}",
            folder.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// A path for a file of this test.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Checks that nothing is left behind, and removes what the fleet had: its last word in every test.
    pub async fn stop(self) {
        self.assert_nothing_left().await;
        let Self { directory, ledger, objects, database, dispatcher, workers, amqp, name, .. } = self;
        drop((workers, dispatcher, ledger));
        remove_queues(&amqp, &name).await;
        for prefix in ["requests/", "packs/"] {
            objects.delete_prefix(prefix).await.unwrap();
        }
        database.remove().await;
        drop(directory);
    }

    /// No container, volume, multipart upload or lease without a running request.
    pub async fn assert_nothing_left(&self) {
        eventually("every container and volume is removed", SOON, async || {
            let left = self.host.leftovers().await.unwrap();
            left.is_empty().then_some(())
        })
        .await;
        eventually("every multipart upload is completed or aborted", SOON, async || {
            let waiting =
                self.database.value("SELECT count(*) FROM requests WHERE state = 'awaiting_upload'").await;
            let left = self.objects.list_uploads("").await.unwrap();
            (left.len().to_string() == waiting).then_some(())
        })
        .await;
        eventually("what undelivered attempts had stored is removed", SOON, async || {
            let stored = self.objects.list("requests/").await.unwrap();
            let attempts = stored.iter().filter_map(|object| object.key.split_once("/attempts/"));
            let attempts = attempts.map(|(request, rest)| (request.to_owned(), rest.to_owned()));
            for (request, rest) in attempts {
                let (request, epoch) = (request.rsplit('/').next()?, rest.split('/').next()?);
                let sql = format!(
                    "SELECT count(*) FROM attempts
                     WHERE request_id = '{request}' AND epoch = {epoch} AND outcome = 'delivered'"
                );
                if self.database.value(&sql).await != "1" {
                    return None;
                }
            }
            Some(())
        })
        .await;
        let leases = "SELECT count(*) FROM requests WHERE lease_until IS NOT NULL OR worker_id IS NOT NULL";
        assert_eq!(self.database.value(leases).await, "0", "leases left");
        eventually("no upload is left on record", SOON, async || {
            (self.database.value("SELECT count(*) FROM uploads").await == "0").then_some(())
        })
        .await;
    }
}

/// What the fleet declared at the broker, which keeps it for ever.
async fn remove_queues(amqp: &str, name: &str) {
    let connection = Connection::connect(amqp, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    for queue in ["hints.test", "hints.production", "hints.dead", "interventions"] {
        let queue = format!("{name}.{queue}");
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    }
    for exchange in ["hints", "dead", "events"] {
        let exchange = format!("{name}.{exchange}");
        channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await.unwrap();
    }
}

fn configuration(options: &Options, database: &Database, name: &str) -> String {
    let Services { ledger, amqp, s3, public_s3, docker_socket } = &options.services;
    format!(
        r#"
[ledger]
url = "{ledger}"
[hints]
url = "{amqp}"
prefix = "{name}"
[objects]
endpoint = "{s3}"
public_endpoint = "{public_s3}"
region = "{region}"
bucket = "{bucket}"
access_key = "{access}"
secret_key = "{secret}"
prefix = "{name}/"
{objects}
[dispatcher]
sweep_seconds = 1
{dispatcher}
[worker]
listen = "127.0.0.1:0"
docker_socket = "{docker_socket}"
fleet = "{name}"
poll_seconds = {poll_seconds}
reap_seconds = 3
memory_bytes = 1_073_741_824
disk_bytes = 4_294_967_296
{worker}
"#,
        ledger = format_args!("{}/{}", ledger.rsplit_once('/').unwrap().0, database.name),
        region = variable("UPLIFT_TEST_S3_REGION"),
        bucket = variable("UPLIFT_TEST_S3_BUCKET"),
        access = variable("UPLIFT_TEST_S3_ACCESS_KEY"),
        secret = variable("UPLIFT_TEST_S3_SECRET_KEY"),
        poll_seconds = options.poll_seconds,
        worker = options.worker,
        objects = options.objects,
        dispatcher = options.dispatcher,
    )
}

fn dispatcher(directory: &Path, name: &str, port: u16, environment: &[(String, String)]) -> Process {
    let config = directory.join("uplift.toml");
    let listen = ("UPLIFT__DISPATCHER__LISTEN".to_owned(), format!("127.0.0.1:{port}"));
    let environment = [environment, &[listen]].concat();
    let log = directory.join(format!("{name}.log"));
    Process::start_in("uplift-dispatcher", &["--config", config.to_str().unwrap()], &environment, &log)
}

async fn ready(dispatcher: &mut Process, server: &str) {
    let address = server.trim_start_matches("http://");
    eventually("the dispatcher listens", SOON, async || {
        assert!(dispatcher.ended().is_none(), "the dispatcher ended: {}", dispatcher.log());
        TcpStream::connect(address).await.ok()
    })
    .await;
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn token(directory: &Path, account: &str, role: &str) -> String {
    let output = Command::new(binary("uplift-dispatcher"))
        .arg("--config")
        .arg(directory.join("uplift.toml"))
        .args(["token", "create", "--account", account, "--role", role])
        .output()
        .unwrap();
    assert!(output.status.success(), "make a token: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
