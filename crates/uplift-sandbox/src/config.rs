//! Where the daemon is, and what it is to be asked for.

use std::path::PathBuf;

use serde::Deserialize;

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
