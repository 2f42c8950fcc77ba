//! A RabbitMQ node of a test's own, which may be killed and wiped.

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{eventually, fleet::free_port};

/// Debian's package; the scripts beside it in `/usr/sbin` would change the user and the log files.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// A first start takes ten seconds on two busy cores.
const START: Duration = Duration::from_secs(120);

/// A node with its own ports, port mapper and directory. Its processes end when it is dropped.
pub struct Broker {
    home: TempDir,
    amqp: u16,
    dist: u16,
    mapper_port: u16,
    _mapper: Group,
    node: Option<Group>,
}

/// A process and everything it started.
struct Group(Child);

impl Broker {
    /// Starts an empty node; returns once it greets.
    pub async fn start() -> Self {
        let home = tempfile::Builder::new().prefix("uplift-broker-").tempdir().unwrap();
        let (amqp, dist, mapper_port) = (free_port(), free_port(), free_port());
        // The node would start a port mapper by itself, and leave it behind for ever.
        let mut mapper = Command::new("epmd");
        mapper.args(["-address", "127.0.0.1", "-port", &mapper_port.to_string()]);
        let mapper = Group::spawn(&mut mapper, home.path().join("epmd.log"));
        let settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\nvm_memory_high_watermark.absolute = 1GB\n\
             disk_free_limit.absolute = 50MB\n"
        );
        std::fs::write(home.path().join("rabbitmq.conf"), settings).unwrap();
        // These are there so that the machine's own settings are not read.
        std::fs::write(home.path().join("rabbitmq-env.conf"), "").unwrap();
        std::fs::write(home.path().join("enabled_plugins"), "[].\n").unwrap();
        let mut broker = Self { home, amqp, dist, mapper_port, _mapper: mapper, node: None };
        broker.restart().await;
        broker
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.amqp)
    }

    /// Waits until the node has noted on disk that quorum queue `name` is its own. RabbitMQ 3.10 does so a moment after
    /// it confirmed the declaration, and a node killed before never elects a leader for the queue again.
    pub async fn noted(&self, name: &str) {
        let node = format!("uplift-{}@localhost", self.amqp);
        let notes = self.home.path().join("mnesia").join(&node).join("quorum").join(&node).join("names.dets");
        eventually(&format!("the broker notes queue {name}"), START, async || {
            let notes = std::fs::read(&notes).ok()?;
            notes.windows(name.len()).any(|it| it == name.as_bytes()).then_some(())
        })
        .await;
    }

    /// Kills the node, as a power cut does.
    pub fn kill(&mut self) {
        self.node = None;
    }

    /// Kills the node and removes everything that it stored.
    pub fn wipe(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.home.path().join("mnesia")).unwrap();
    }

    /// Starts the node again, with what it stored; returns once it greets.
    pub async fn restart(&mut self) {
        let below = |name: &str| self.home.path().join(name);
        let mut node = Command::new(SERVER);
        node.env("HOME", self.home.path())
            .env("ERL_EPMD_PORT", self.mapper_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("uplift-{}@localhost", self.amqp))
            .env("RABBITMQ_DIST_PORT", self.dist.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", below("rabbitmq-env.conf"))
            .env("RABBITMQ_CONFIG_FILE", below("rabbitmq"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", below("advanced"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", below("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", below("mnesia"))
            .env("RABBITMQ_LOG_BASE", below("log"))
            .env("RABBITMQ_LOGS", "-")
            // Its schedulers spin while they wait, on processors that others want.
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none");
        self.node = Some(Group::spawn(&mut node, below("node.log")));
        let amqp = self.amqp;
        let what = format!("the broker greets; its log is {}", below("node.log").display());
        eventually(&what, START, async || greets(amqp).await.then_some(())).await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.home.path().join("node.log")).unwrap_or_default();
            let tail = log.lines().rev().take(60).collect::<Vec<_>>();
            eprintln!("the end of the broker's log:");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

impl Group {
    fn spawn(command: &mut Command, log: PathBuf) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap_or_else(|err| {
            panic!("{command:?} does not start ({err}): install it with `apt-get install rabbitmq-server`")
        });
        Self(child)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _gone = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
        let _status = self.0.wait();
    }
}

/// Whether the broker answers the protocol's greeting: the port opens before the node lets anyone in.
async fn greets(port: u16) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await.ok()?;
        stream.read_u8().await.ok()
    };
    // A method frame (type 1) holds `connection.start`.
    timeout(Duration::from_secs(2), greeting).await.ok().flatten() == Some(1)
}
