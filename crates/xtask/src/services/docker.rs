//! dockerd: the one that answers, or one that is started by hand where no service manager does.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Service, Started};
use crate::daemon::{Stop, detached};
use crate::exec;
use crate::layout::Layout;

pub(super) const NAME: &str = "dockerd";

/// dockerd loads its images' metadata and sets up its bridge before it answers.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn ensure(layout: &Layout, started: &mut Started) -> Result<String> {
    if let Ok(host) = std::env::var("DOCKER_HOST") {
        let version = version().with_context(|| {
            format!(
                "reach Docker at DOCKER_HOST={host}: start it, or unset DOCKER_HOST to use this machine's"
            )
        })?;
        return Ok(format!("version {version} answers at {host}"));
    }
    if let Ok(version) = version() {
        return Ok(format!("version {version} already running"));
    }
    let service = Service { name: NAME, ports: &[], stop: Stop::Term, limit: LIMIT };
    let ready = || version().is_ok();
    let how = service
        .ensure(layout, started, ready, || Ok(detached("dockerd")))
        .context("start Docker; to try it by hand: `dockerd`")?;
    Ok(format!("version {} {how}", version()?))
}

/// The daemon's version, which only a daemon that answers can tell.
fn version() -> Result<String> {
    exec::output(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]))
}
