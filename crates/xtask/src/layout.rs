//! Where things are: the repository, what is cached between machines' lives, what is kept while running,
//! and the one list of ports.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Every port that the project's own services listen on, all on 127.0.0.1.
///
/// They lie below Linux's range for outgoing connections (32768–60999), so that no client's socket takes
/// one by chance, and none is a default, so that a machine's own services can stay.
pub(crate) mod ports {
    /// Erlang's port mapper, which RabbitMQ and its `rabbitmqctl` need.
    pub(crate) const EPMD: u16 = 24101;
    /// Erlang distribution: `rabbitmqctl` talks to the node here.
    pub(crate) const RABBITMQ_DIST: u16 = 24102;
    /// AMQP 0-9-1.
    pub(crate) const AMQP: u16 = 24103;
    /// The ledger's Postgres.
    pub(crate) const POSTGRES: u16 = 24104;
    /// Garage's S3 API.
    pub(crate) const S3: u16 = 24105;
    /// Garage's own cluster protocol, which a single node opens too.
    pub(crate) const GARAGE_RPC: u16 = 24106;
    /// The dispatcher of `cargo xtask up`.
    pub(crate) const DISPATCHER: u16 = 24110;
    /// Its exporter.
    pub(crate) const EXPORTER: u16 = 24111;
    /// Its workers' health, one port each from here on.
    pub(crate) const WORKERS: u16 = 24120;
}

/// The directories that every command works in.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The repository's root.
    pub(crate) repo: PathBuf,
    /// Data, logs, pid files and generated configuration: `UPLIFT_STATE_DIR`.
    pub(crate) state: PathBuf,
    /// What took long to build and is worth keeping: `UPLIFT_CACHE_DIR`.
    pub(crate) cache: PathBuf,
}

impl Layout {
    /// Reads the environment, and makes the directories.
    pub(crate) fn from_env() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .context("CARGO_MANIFEST_DIR is not set: start this program as `cargo xtask`")?;
        let repo = Path::new(&manifest)
            .ancestors()
            .nth(2)
            .context("find the repository above CARGO_MANIFEST_DIR")?
            .to_path_buf();
        let cache = match env::var_os("UPLIFT_CACHE_DIR") {
            Some(dir) => PathBuf::from(dir),
            None => {
                let home = env::var_os("HOME").context("HOME is not set: set it, or UPLIFT_CACHE_DIR")?;
                Path::new(&home).join(".cache/uplift")
            }
        };
        let state =
            env::var_os("UPLIFT_STATE_DIR").map_or_else(|| PathBuf::from("/var/tmp/uplift"), PathBuf::from);
        for (name, dir) in [("UPLIFT_STATE_DIR", &state), ("UPLIFT_CACHE_DIR", &cache)] {
            ensure!(dir.is_absolute(), "{name} must be an absolute path, not {}", dir.display());
        }
        let layout = Self { repo, state, cache };
        for dir in [&layout.state, &layout.cache, &layout.logs(), &layout.run()] {
            std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        }
        Ok(layout)
    }

    /// Keeps other runs from installing and starting the same things, until it is dropped.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.state.join("lock");
        let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        if file.try_lock().is_err() {
            println!("waiting for another `cargo xtask` that starts services");
            file.lock().with_context(|| format!("lock {}", path.display()))?;
        }
        Ok(file)
    }

    /// One log file a service, tool or step.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// Where pid files are.
    pub(crate) fn run(&self) -> PathBuf {
        self.state.join("run")
    }

    fn logs(&self) -> PathBuf {
        self.state.join("log")
    }

    /// Where cargo puts the workspace's binaries in a debug build.
    pub(crate) fn bin_dir(&self) -> PathBuf {
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.repo.join("target"), |dir| self.repo.join(dir));
        target.join("debug")
    }
}
