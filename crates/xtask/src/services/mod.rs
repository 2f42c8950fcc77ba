//! The four services that the fleet stands on, and how a run gives back what it took.

mod docker;
mod garage;
mod postgres;
mod rabbitmq;

use std::fs;
use std::io::ErrorKind;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::apt;
use crate::daemon::{Daemon, Stop};
use crate::env::Env;
use crate::interrupt;
use crate::layout::Layout;
use crate::port;
use crate::step::step;
use crate::tools;

pub(crate) use postgres::{cluster_url, create_database, url as ledger_url};

/// What this run started, in order. What was there before is not in it.
#[derive(Debug, Default)]
pub(crate) struct Started(Vec<Daemon>);

impl Started {
    /// Stops it in the reverse order; every failure is reported, and none keeps the others running.
    pub(crate) fn stop(self, layout: &Layout) -> Result<()> {
        stop_all(layout, self.0)
    }

    fn note(&mut self, daemon: Daemon) {
        self.0.push(daemon);
    }
}

/// A service of ours that listens on fixed ports.
struct Service<'a> {
    name: &'a str,
    ports: &'a [u16],
    stop: Stop,
    /// How long it may take to answer.
    limit: Duration,
}

/// Installs, starts and awaits everything, one run at a time. What was started before a failure is in `started`, too.
pub(crate) fn ensure(layout: &Layout, started: &mut Started) -> Result<Env> {
    let _lock = layout.lock()?;
    step("packages", || apt::ensure(layout))?;
    step("garage build", || tools::garage(layout).map(|(_, text)| text))?;
    step("python tools", || tools::python(layout).map(|(_, text)| text))?;
    step("docker", || docker::ensure(layout, started))?;
    step("rabbitmq", || rabbitmq::ensure(layout, started))?;
    step("postgres", || postgres::ensure(layout, started))?;
    step("garage", || garage::ensure(layout, started))?;
    let mut env = Env::default();
    postgres::export(&mut env);
    rabbitmq::export(layout, &mut env);
    garage::export(&mut env);
    env.set("UPLIFT_TEST_PYTHON_TOOLS", tools::python(layout)?.0.display().to_string());
    env.set_paths(layout);
    Ok(env)
}

/// Ends processes of ours, the last started first.
pub(crate) fn stop_all(layout: &Layout, daemons: Vec<Daemon>) -> Result<()> {
    let mut failures = Vec::new();
    for daemon in daemons.into_iter().rev() {
        let stopped = step(&daemon.name, || daemon.stop(layout).map(|()| "stopped".to_owned()));
        failures.extend(stopped.err().map(|error| format!("{error:#}")));
    }
    if !failures.is_empty() {
        bail!("could not stop everything: {}", failures.join("; "));
    }
    Ok(())
}

/// The names that services go by, in the order in which they start.
const ORDER: [&str; 5] = [docker::NAME, rabbitmq::EPMD, rabbitmq::NAME, postgres::NAME, garage::NAME];

/// The processes of `cargo xtask up`: whatever runs that isn't a service, in the order of their names.
pub(crate) fn fleet(layout: &Layout) -> Result<Vec<Daemon>> {
    let mut fleet = Daemon::all(layout)?;
    fleet.retain(|daemon| !ORDER.contains(&daemon.name.as_str()));
    fleet.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(fleet)
}

/// The services that run, in the order in which they start.
pub(crate) fn running(layout: &Layout) -> Vec<Daemon> {
    ORDER.iter().filter_map(|name| Daemon::find(layout, name)).collect()
}

/// Removes what the services stored; they begin anew. Images stay, for they are made from the sources.
pub(crate) fn wipe(layout: &Layout) -> Result<String> {
    let names = [rabbitmq::NAME, postgres::NAME, garage::NAME];
    for dir in names.map(|name| layout.state.join(name)) {
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", dir.display()));
            }
            _ => {}
        }
    }
    Ok(format!("of {} removed", names.join(", ")))
}

impl Service<'_> {
    /// Finds the service running, or starts it with the command that `prepare` makes.
    fn ensure(
        &self,
        layout: &Layout,
        started: &mut Started,
        ready: impl Fn() -> bool,
        prepare: impl FnOnce() -> Result<Command>,
    ) -> Result<&'static str> {
        if Daemon::find(layout, self.name).is_some() {
            // Another run may have started it a moment ago.
            if interrupt::poll(self.limit, || Ok(ready().then_some(())))?.is_some() {
                return Ok("already running");
            }
            bail!(
                "{} runs but does not answer; read {}, then `cargo xtask down` and try again",
                self.name,
                layout.log(self.name).display()
            );
        }
        port::ensure_free(self.name, self.ports)?;
        let mut command = prepare()?;
        let daemon = Daemon::start(layout, self.name, &mut command, self.stop, self.limit, ready)?;
        started.note(daemon);
        Ok("started")
    }
}
