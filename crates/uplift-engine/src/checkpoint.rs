//! Checkpoints: the database as it is before a step that commits by itself, kept beside it and, where the step fails,
//! dumped for whoever looks into it.

use std::{io::Write, time::Instant};

use postgres::Client;
use uplift_core::{
    event::{Checkpointed, Digest, Event},
    plan::{Checkpoint, Kept},
};

use crate::{
    connect::{CHECKPOINT, Server, TENANT, WORK},
    dump,
    failure::{Outcome, ours},
};

/// Where failures of this module happen.
const PLACE: &str = "checkpoint";

/// Copies the database as it is before a step. There is one copy at most: an older one goes first.
///
/// The tenant cannot reach the copy, so no runner can change it.
///
/// # Errors
/// The server refuses, or has no room.
pub(crate) fn take(server: &Server, step: &str) -> Outcome<()> {
    let began = Instant::now();
    let mut control = server.bootstrap()?;
    let major = server_major(&mut control)?;
    // Copying files is faster than logging blocks, which 15 and later do by default; 13 and 14 copy files always.
    let strategy = if major >= 15 { " STRATEGY file_copy" } else { "" };
    drop_copy(&mut control)?;
    // A session that lingers would fail the copy.
    run(&mut control, &format!("ALTER DATABASE {WORK} ALLOW_CONNECTIONS false"), step)?;
    let copied = server.end_sessions(WORK, step).and_then(|()| {
        run(&mut control, &format!("CREATE DATABASE {CHECKPOINT} TEMPLATE {WORK}{strategy}"), step)
    });
    run(&mut control, &format!("ALTER DATABASE {WORK} ALLOW_CONNECTIONS true"), step)?;
    copied?;
    let bytes: i64 = control
        .query_one("SELECT pg_catalog.pg_database_size($1::text)", &[&CHECKPOINT])
        .map_err(|error| ours(PLACE, &error))?
        .get(0);
    server.events().emit(&Event::Checkpointed(Checkpointed {
        step: step.to_owned(),
        bytes: bytes.unsigned_abs(),
        millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    }));
    Ok(())
}

/// Removes the copy, if there is one.
///
/// # Errors
/// The server refuses.
pub(crate) fn forget(server: &Server) -> Outcome<()> {
    drop_copy(&mut server.bootstrap()?)
}

/// Runs the plan: the state before a step, as a dump in custom format, to `sink`. Where it is in the copy, that takes the
/// place of the database, which is of no use any more.
///
/// # Errors
/// The server or `pg_dump` refuses.
pub fn run_plan(server: &Server, sink: impl Write, plan: Checkpoint) -> Outcome<Digest> {
    if plan.state == Kept::Copy {
        let mut control = server.bootstrap()?;
        for statement in [
            format!("DROP DATABASE {WORK} WITH (FORCE)"),
            format!("ALTER DATABASE {CHECKPOINT} RENAME TO {WORK}"),
            format!("GRANT CREATE, TEMPORARY ON DATABASE {WORK} TO {TENANT}"),
        ] {
            run(&mut control, &statement, PLACE)?;
        }
    }
    server.reset_role(WORK)?;
    dump::state(server, sink, server_major(&mut server.bootstrap()?)?)
}

fn drop_copy(control: &mut Client) -> Outcome<()> {
    run(control, &format!("DROP DATABASE IF EXISTS {CHECKPOINT} WITH (FORCE)"), PLACE)
}

fn run(control: &mut Client, statement: &str, place: &str) -> Outcome<()> {
    control.batch_execute(statement).map_err(|error| ours(place, &error))
}

fn server_major(control: &mut Client) -> Outcome<u32> {
    let row = control.query_one("SELECT pg_catalog.current_setting('server_version_num')::int / 10000", &[]);
    let major: i32 = row.map_err(|error| ours(PLACE, &error))?.get(0);
    Ok(major.unsigned_abs())
}
