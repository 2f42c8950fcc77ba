//! `cargo xtask down`: nothing of Uplift's runs on this machine any more.

use std::process::Command;

use anyhow::Result;

use crate::exec;
use crate::layout::Layout;
use crate::services;
use crate::step::step;

/// Every sandbox's containers and volumes carry this label.
const LABEL: &str = "label=uplift.request";

/// Stops the fleet, removes its sandboxes, and stops the services; `wipe` removes what they stored, too.
pub(crate) fn run(layout: &Layout, wipe: bool) -> Result<()> {
    // Workers first: they would start new sandboxes.
    let fleet = services::stop_all(layout, services::fleet(layout)?);
    let sandboxes = step("sandboxes", remove_sandboxes);
    let services = services::stop_all(layout, services::running(layout));
    fleet.and(sandboxes).and(services)?;
    if wipe {
        step("data", || services::wipe(layout))?;
    }
    Ok(())
}

/// What sandboxes left on Docker, in words; `None` when there is nothing, or no Docker.
pub(crate) fn leftovers() -> Option<String> {
    let containers = ids(&["ps", "-aq"]).ok()?.len();
    let volumes = ids(&["volume", "ls", "-q"]).ok()?.len();
    (containers + volumes > 0).then(|| format!("{containers} containers and {volumes} volumes of sandboxes"))
}

fn remove_sandboxes() -> Result<String> {
    let Ok(containers) = ids(&["ps", "-aq"]) else {
        return Ok("no Docker answers, so there are none".to_owned());
    };
    remove(&["rm", "-f", "-v"], &containers)?;
    let volumes = ids(&["volume", "ls", "-q"])?;
    remove(&["volume", "rm", "-f"], &volumes)?;
    Ok(format!("{} containers and {} volumes removed", containers.len(), volumes.len()))
}

fn ids(list: &[&str]) -> Result<Vec<String>> {
    let out = exec::output(Command::new("docker").args(list).args(["--filter", LABEL]))?;
    Ok(out.lines().map(ToOwned::to_owned).collect())
}

fn remove(how: &[&str], ids: &[String]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    exec::output(Command::new("docker").args(how).args(ids)).map(drop)
}
