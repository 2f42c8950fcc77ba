//! Which kind of host is wanted, where it is, and what it is to be asked for.

use std::path::PathBuf;

use serde::Deserialize;

/// Where sandboxes are made.
#[derive(Clone, Debug, Default)]
pub struct SandboxConfig {
    /// By what.
    pub kind: Kind,
    /// Where that is Docker.
    pub docker: DockerConfig,
    /// Where those are processes.
    pub process: ProcessConfig,
}

/// What sandboxes are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Containers, which hostile bytes cannot leave.
    #[default]
    Docker,
    /// Plain processes: no containment, for dumps that one trusts.
    Process,
    /// Containers where Docker answers and has the images, else processes.
    Auto,
}

/// How to reach Docker, and under which names.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DockerConfig {
    /// The daemon's unix socket. Unset: `DOCKER_HOST` if that is a `unix://` address, else
    /// `/var/run/docker.sock`.
    pub socket: Option<PathBuf>,
    /// What image names start with: `uplift` means `uplift/postgres:15` and `uplift/engine:15`.
    pub images: String,
    /// Which fleet the sandboxes belong to. Two fleets on one daemon need two names: a reaper removes what its
    /// own ledger does not know.
    pub fleet: String,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self { socket: None, images: "uplift".into(), fleet: "uplift".into() }
    }
}

/// Where processes' sandboxes lie.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// One directory a sandbox is made in here. Two fleets need two: a reaper removes what its own ledger does not
    /// know.
    pub directory: PathBuf,
    /// The engine's program. Unset: `uplift-engine` beside this program, else on `PATH`.
    pub engine: Option<PathBuf>,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self { directory: PathBuf::from("/var/tmp/uplift-sandboxes"), engine: None }
    }
}
