//! What every part of the worker works with.

use std::{
    sync::atomic::{AtomicBool, AtomicI32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::time::Instant;
use uplift_core::{Clock, WorkerId};
use uplift_platform::{
    Config, Ledger, Objects,
    boot::metrics,
    config::{SandboxKind, WorkerConfig},
    ledger::WorkerState,
};
use uplift_sandbox::{
    DockerConfig, Host, Kind, Label, Limits, ProcessConfig, Sandbox, SandboxConfig, SandboxError,
};

use crate::keeper;

/// The clients, the settings and the worker's own state.
pub(crate) struct Context {
    /// This process, and no other one ever.
    pub(crate) worker: WorkerId,
    /// The `[worker]` section.
    pub(crate) config: WorkerConfig,
    /// The truth.
    pub(crate) ledger: Ledger,
    /// Dumps, results, packs.
    pub(crate) objects: Objects,
    /// Where sandboxes are made.
    pub(crate) host: Host,
    /// Where the present comes from.
    pub(crate) clock: Clock,
    /// How many requests run.
    pub(crate) busy: AtomicI32,
    /// It takes no more.
    pub(crate) draining: AtomicBool,
}

impl Context {
    pub(crate) async fn connect(config: &Config) -> Result<Self> {
        let ledger = Ledger::connect(&config.ledger.url).await.context("connect to the ledger")?;
        let objects = Objects::new(&config.objects).context("set up the object store's client")?;
        let host = Host::connect(&sandbox(&config.worker)).await.context("find where to make sandboxes")?;
        Ok(Self {
            worker: WorkerId::new(),
            config: config.worker.clone(),
            ledger,
            objects,
            host,
            clock: Clock::System,
            busy: AtomicI32::new(0),
            draining: AtomicBool::new(false),
        })
    }

    /// What one sandbox may use.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            memory_bytes: self.config.memory_bytes,
            cpus: self.config.cpus,
            pids: self.config.pids,
            disk_bytes: self.config.disk_bytes,
        }
    }

    /// A new sandbox with an empty Postgres of this major version.
    pub(crate) async fn open_sandbox(&self, label: &Label, major: u16) -> Result<Sandbox, SandboxError> {
        let began = Instant::now();
        let opened = self.host.open(label, major, &self.limits()).await;
        metrics::sandbox_opened(opened.is_ok(), began.elapsed());
        opened
    }

    /// How long an attempt may take.
    pub(crate) fn deadlines(&self) -> keeper::Limits {
        keeper::Limits {
            attempt: Duration::from_secs(self.config.attempt_seconds),
            stages: self.config.stage_seconds.clone(),
        }
    }

    /// What the worker says of itself.
    pub(crate) fn state(&self) -> WorkerState {
        WorkerState {
            id: self.worker,
            host: std::fs::read_to_string("/proc/sys/kernel/hostname")
                .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: i32::from(self.config.slots),
            busy: self.busy.load(Ordering::Relaxed),
            draining: self.draining.load(Ordering::Relaxed),
        }
    }
}

/// The settings that are the sandboxes'.
#[must_use]
pub fn sandbox(config: &WorkerConfig) -> SandboxConfig {
    SandboxConfig {
        kind: match config.sandbox {
            SandboxKind::Docker => Kind::Docker,
            SandboxKind::Process => Kind::Process,
            SandboxKind::Auto => Kind::Auto,
        },
        docker: DockerConfig {
            socket: config.docker_socket.clone(),
            images: config.images.clone(),
            fleet: config.fleet.clone(),
        },
        process: ProcessConfig { directory: config.sandbox_directory.join(&config.fleet), engine: None },
    }
}
