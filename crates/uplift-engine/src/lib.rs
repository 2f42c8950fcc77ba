//! The part of Uplift that runs inside the sandbox and touches customers' bytes: it reads a plan and bytes on
//! stdin, writes bytes on stdout and events on stderr, and ends with an exit code.
//!
//! It opens no connection but the socket of the Postgres beside it, and runs nothing that a dump says but SQL,
//! as a role that owns nothing but what the dump made. Modules stand in the order in which data meets them.

pub mod events;
pub mod failure;
mod heart;
pub mod input;
pub mod zip;

pub mod sniff;

pub mod reader;
mod statement;
mod token;

pub mod connect;
mod load;

mod ask;
mod health;
mod tables;

pub mod restore;

mod filestore;
pub mod stage;
pub mod watch;

mod script;

pub mod apply;
pub mod checkpoint;

mod compress;
pub mod dump;

pub mod compare;
pub mod prove;

use std::{fs::File, io, os::fd::AsFd as _, process::ExitCode};

use uplift_core::{
    event::{Digest, Event, exit},
    plan::Plan,
};

use connect::Server;
use events::Events;
use failure::{Outcome, infrastructure};

/// Does what the plan on stdin says, and ends as the last event says.
#[must_use]
pub fn run() -> ExitCode {
    let events = Events::default();
    let code = match follow_plan(&events) {
        Ok((read, wrote)) => {
            events.emit(&Event::Done { read, wrote });
            exit::DONE
        }
        Err(failure) => {
            let code = exit::of(&failure);
            events.emit(&Event::Failed { failure: *failure });
            code
        }
    };
    wait_until_heard();
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Waits for the end of stdin, whatever may still come: whoever runs the engine closes it once the last word has
/// arrived. A container that ends takes with it what was not yet read from its pipes.
fn wait_until_heard() {
    // An error ends the waiting like the end does; there is nobody left to tell.
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
}

/// Returns what was read behind the plan, and what was written.
fn follow_plan(events: &Events) -> Outcome<(Digest, Digest)> {
    let stdin = io::stdin();
    let plan = input::plan(&stdin)?;
    let _heart = events.alive();
    let server = || Server::from_env(events.clone());
    Ok(match &plan {
        Plan::Sniff(plan) => (sniff::run(events, stdin, plan)?, nothing()),
        Plan::Restore(plan) => (restore::run(&server()?, stdin, plan)?, nothing()),
        Plan::Reopen(plan) => (restore::reopen(&server()?, stdin, *plan)?, nothing()),
        Plan::Stage(plan) => (stage::run(stdin, *plan)?, nothing()),
        Plan::Apply(plan) => {
            apply::run(&server()?, plan)?;
            (nothing(), nothing())
        }
        Plan::Watch(plan) => {
            watch::run(*plan)?;
            (nothing(), nothing())
        }
        Plan::Checkpoint(plan) => (nothing(), checkpoint::run_plan(&server()?, raw_stdout()?, *plan)?),
        Plan::Dump(plan) => dump::run(&server()?, stdin, raw_stdout()?, plan)?,
        Plan::Prove(plan) => (prove::run(&server()?, stdin, plan)?, nothing()),
    })
}

/// Stdout without the buffer that looks for line ends: what goes there is no text.
fn raw_stdout() -> Outcome<File> {
    let stdout = io::stdout().as_fd().try_clone_to_owned();
    stdout.map(File::from).map_err(|error| infrastructure("dump", format!("open stdout: {error}")))
}

/// The digest of no bytes.
fn nothing() -> Digest {
    input::Counted::new(io::empty(), 0).digest()
}
