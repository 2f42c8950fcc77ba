//! `uplift standalone`: dispatcher, worker and exporter in one process, with all that they stand on.
//!
//! The ledger is a private Postgres cluster, the object store an S3 server within the process, hints a channel within
//! it. The libraries are those of a fleet, and nothing in them knows that it is alone.

mod access;
mod cluster;
mod directory;
mod packs;
mod parts;
pub mod store;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use toml::{Table, Value};
use uplift_platform::{Config, Ledger, Objects, boot};
use uplift_sandbox::{Host, Kind};

use crate::{cli::Standalone, exit::Exit};
use cluster::Cluster;
use directory::Directory;
use parts::Parts;
use secrecy::ExposeSecret as _;
use store::Store;

/// Seconds that a running request has to finish once we are told to stop. It goes on at the next start.
const GRACE: i64 = 3;

/// How long the dispatcher may take to listen.
const READY: Duration = Duration::from_secs(60);

/// Runs until told to stop.
#[must_use]
pub fn main(arguments: &Standalone) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: start the program: {error}");
            return Exit::Error.into();
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            Exit::Error.into()
        }
    }
}

async fn run(arguments: &Standalone) -> Result<()> {
    let _telemetry = boot::telemetry("uplift-standalone")?;
    let shutdown = boot::shutdown()?;
    let directory = Directory::open(&arguments.data_dir()?)?;
    let keys = directory.keys()?;
    let objects = directory.path().join("objects");
    let store = Store::start(&objects, arguments.store_port, keys.access, keys.secret).await?;
    let cluster = Cluster::start(directory.path()).await.context("start the ledger's Postgres")?;
    // Whoever is told to stop while it starts need not come up first.
    let started = shutdown.run_until_cancelled(start(arguments, &directory, &store, &cluster)).await;
    let ran = match started {
        Some(Ok(parts)) => parts.run(shutdown).await,
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    store.stop().await;
    let stopped = cluster.stop().await.context("stop the ledger's Postgres");
    ran.and(stopped)
}

/// Starts the parts on their services, and tells how to use them.
async fn start(
    arguments: &Standalone,
    directory: &Directory,
    store: &Store,
    cluster: &Cluster,
) -> Result<Parts> {
    let listen = available(arguments.listen).context("find where the dispatcher can listen; see --listen")?;
    let metrics = available(arguments.metrics_listen)
        .context("find where the exporter can listen; see --metrics-listen")?;
    let mut config = configuration(directory, store, cluster, listen, metrics)?;
    let host = Host::connect(&uplift_worker::sandbox(&config.worker)).await?;
    // What was found here is what the worker shall find, too.
    config.worker.sandbox = match host.kind() {
        Kind::Process => uplift_platform::config::SandboxKind::Process,
        Kind::Docker | Kind::Auto => uplift_platform::config::SandboxKind::Docker,
    };
    let ledger = Ledger::migrate(&config.ledger.url).await.context("open the ledger")?;
    // The lock on the directory says that whatever worked on this ledger before is dead.
    for given_back in ledger.give_back_all("the process that worked on it has ended").await? {
        tracing::info!(request.id = %given_back, "a request that was running goes on");
    }
    let objects = Objects::new(&config.objects).context("set up the object store's client")?;
    packs::push(&ledger, &objects, arguments.packs.as_deref()).await?;
    let server = format!("http://{listen}");
    let env = access::write(&ledger, directory, &server).await?;

    let parts = Parts::start(&config);
    parts.listening(listen, READY).await?;
    tell(directory.path(), &server, &metrics, &host, &env);
    Ok(parts)
}

/// An address that can be listened on. Port 0 stands for any, and becomes one that is free.
fn available(address: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
    Ok(listener.local_addr()?)
}

/// A fleet's configuration, so that the environment can change what it can change in a fleet.
fn configuration(
    directory: &Directory,
    store: &Store,
    cluster: &Cluster,
    listen: SocketAddr,
    metrics: SocketAddr,
) -> Result<Config> {
    let objects = store.config();
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let program = std::env::current_exe().context("find this program")?;
    let sandboxes = directory.path().join("sandboxes");
    let text = |text: &str| Value::String(text.to_owned());
    let section = |entries: Vec<(&str, Value)>| {
        Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    let table = Table::from_iter([
        ("ledger".to_owned(), section(vec![("url", text(cluster.url().expose_secret()))])),
        ("hints".to_owned(), section(vec![("url", text("memory:"))])),
        (
            "objects".to_owned(),
            section(vec![
                ("endpoint", text(objects.endpoint.as_str())),
                ("region", text(&objects.region)),
                ("bucket", text(&objects.bucket)),
                ("access_key", text(objects.access_key.expose_secret())),
                ("secret_key", text(objects.secret_key.expose_secret())),
            ]),
        ),
        (
            "dispatcher".to_owned(),
            section(vec![
                ("listen", text(&listen.to_string())),
                // What runs here is what it hands out.
                ("clients", section(vec![(&platform, text(&program.to_string_lossy()))])),
            ]),
        ),
        (
            "worker".to_owned(),
            section(vec![
                ("sandbox", text("auto")),
                ("sandbox_directory", text(&sandboxes.to_string_lossy())),
                ("fleet", text(directory.fleet())),
                ("listen", text(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).to_string())),
                ("grace_seconds", Value::Integer(GRACE)),
            ]),
        ),
        ("exporter".to_owned(), section(vec![("listen", text(&metrics.to_string()))])),
    ]);
    Config::parse(&toml::to_string(&table)?, std::env::vars()).context("put the configuration together")
}

/// One line a thing. Whoever reads stdout no more does not end us.
fn tell(state: &Path, server: &str, metrics: &SocketAddr, host: &Host, env: &Path) {
    use std::io::Write as _;
    let _ = writeln!(
        std::io::stdout().lock(),
        "listens   {server}\n\
         metrics   http://{metrics}/metrics\n\
         sandbox   {host}\n\
         state     {}; started again on it, it goes on with what was running\n\
         use it    . {} && uplift test --dump FILE -t VERSION --wait --out DIR\n\
         stop it   Ctrl-C, or kill {}",
        state.display(),
        env.display(),
        std::process::id()
    );
}
