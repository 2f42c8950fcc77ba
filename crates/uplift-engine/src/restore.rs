//! `restore`: the dump into the database `work`, and the first look at it.

use std::{io::Stdin, sync::atomic::Ordering, time::Instant};

use postgres::Client;
use uplift_core::{
    event::{Digest, Event, Files, Finding, Restored, Stage},
    failure::{Failure, Rejection, ScriptFailure},
    pack::Fatal,
    plan::{Input, Reopen, Restore},
};

use crate::{
    ask,
    connect::{Server, Use, WORK},
    failure::{Outcome, ours},
    input::Ahead,
    load::{Loaded, load},
    tables::tables,
};

/// Runs the plan. Returns what was read.
///
/// # Errors
/// The dump is refused, the database is no product's, or something of ours broke.
pub fn run(server: &Server, stdin: Stdin, plan: &Restore) -> Outcome<Digest> {
    let events = server.events();
    let (read, loaded, files) = fill(server, stdin, plan.input, plan.max_expanded_bytes)?;
    let mut own = server.tenant(WORK, Use::Own)?;
    let mut client = server.tenant(WORK, Use::Ask)?;
    events.emit(&Event::Restored(Restored {
        statements: loaded.statements,
        rows: loaded.rows,
        expanded_bytes: loaded.expanded_bytes,
        database_bytes: database_bytes(&mut own)?,
        left_out: loaded.left_out,
        files,
    }));
    let (pack, detected) = ask::detect(&mut client, events, &plan.packs)?;
    let version = detected.version.clone();
    events.emit(&Event::Detected(detected));
    events.emit(&Event::Tables { tables: tables(&mut own, "restore")? });
    let invariants = ask::reconcile(&mut client, &pack.reconcile_at(&version))?;
    events.emit(&Event::Reconciled { invariants });
    let findings = ask::preflight(&mut client, &pack.preflight, (&version, &plan.target))?;
    for finding in &findings {
        events.emit(&Event::Preflight(finding.clone()));
    }
    fatal(&findings)?;
    Ok(read)
}

/// Runs the plan of a saved state: the same, and nothing is asked of what comes out. Returns what was read.
///
/// # Errors
/// It cannot be restored, or something of ours broke.
pub fn reopen(server: &Server, stdin: Stdin, plan: Reopen) -> Outcome<Digest> {
    fill(server, stdin, plan.input, plan.max_expanded_bytes).map(|(read, ..)| read)
}

/// Restores what follows the plan into the database `work`, with the statistics that the planner needs.
fn fill(
    server: &Server,
    stdin: Stdin,
    input: Input,
    max_expanded_bytes: u64,
) -> Outcome<(Digest, Loaded, Option<Files>)> {
    let events = server.events();
    let began = Instant::now();
    server.create_database(WORK, "restore")?;
    let mut ahead = Ahead::start(stdin, input, max_expanded_bytes);
    let (shown, total) = (ahead.shown(), input.bytes);
    let mut client = server.tenant(WORK, Use::Bare)?;
    let loaded = load(&mut client, &mut ahead, || {
        events.progress(Stage::Restore, shown.load(Ordering::Relaxed), total)
    })?;
    let (read, files) = ahead.finish("restore")?;
    drop(client);
    events.complete(Stage::Restore, total);
    events.info(format!(
        "restored {} statements and {} rows in {} s",
        loaded.statements,
        loaded.rows,
        began.elapsed().as_secs()
    ));
    server.reset_role(WORK)?;
    analyze(&mut server.tenant(WORK, Use::Bare)?, "restore")?;
    server.analyze_catalogs(WORK, "restore")?;
    Ok((read, loaded, files))
}

/// Collects the statistics that the planner needs; nothing else does, with autovacuum off.
pub(crate) fn analyze(client: &mut Client, stage: &str) -> Outcome<()> {
    // The catalogs are not the tenant's, and ANALYZE would say so for each.
    let statement = "SET client_min_messages = error; ANALYZE";
    for statement in statement.split("; ") {
        client.batch_execute(statement).map_err(|error| ours(stage, &error))?;
    }
    Ok(())
}

/// The size of the session's database, in bytes.
fn database_bytes(client: &mut Client) -> Outcome<u64> {
    let row = client.query_one("SELECT pg_catalog.pg_database_size(pg_catalog.current_database())", &[]);
    let bytes: i64 = row.map_err(|error| ours("restore", &error))?.get(0);
    Ok(bytes.unsigned_abs())
}

/// Refuses a database with findings that the upgrade cannot go on with: what the customer has to mend comes first.
fn fatal(findings: &[Finding]) -> Outcome<()> {
    let of = |whose: Fatal| -> Vec<&Finding> {
        findings.iter().filter(|finding| finding.fatal == Some(whose)).collect()
    };
    let told = |findings: &[&Finding]| -> String {
        let tell = |finding: &&Finding| {
            let mend =
                finding.mend.as_deref().map(|mend| format!(". This mends it: {mend}")).unwrap_or_default();
            let examples = finding.examples.join("; ");
            format!("{} ({} rows: {examples}){mend}", finding.meaning, finding.rows)
        };
        findings.iter().map(tell).collect::<Vec<_>>().join(". ")
    };
    let (theirs, ours) = (of(Fatal::Rejected), of(Fatal::Intervention));
    if !theirs.is_empty() {
        let message = format!(
            "The database holds what the upgrade cannot go on with. Mend it, and dump again. {}",
            told(&theirs)
        );
        return Err(Box::new(Failure::InputRejected(Rejection::new(message))));
    }
    let Some(first) = ours.first() else { return Ok(()) };
    Err(Box::new(Failure::ScriptFailed(ScriptFailure {
        step: format!("preflight/{}", first.name),
        message: format!("the database holds what the upgrade cannot go on with: {}", told(&ours)),
        ..ScriptFailure::default()
    })))
}
