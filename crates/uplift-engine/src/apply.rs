//! `apply`: contiguous SQL steps and checks of a hop.

use std::time::Instant;

use postgres::Client;
use uplift_core::{
    Failure,
    event::{Event, StepDone},
    plan::{Action, Apply, Step},
    version::Version,
};

use crate::{
    ask, checkpoint,
    connect::{Server, Use, WORK},
    failure::{Outcome, Place, of_script, script as fails},
    restore::analyze,
    script::{self, Watchdog},
};

/// How many rows of a failed check are shown.
const ROWS_SHOWN: usize = 5;

/// Runs the plan.
///
/// # Errors
/// The first step that fails; what came before it stays done.
pub fn run(server: &Server, plan: &Apply) -> Outcome<()> {
    let events = server.events();
    // A run's program is gone, and what it asked for may still be at work.
    server.end_sessions(WORK, "upgrade")?;
    for step in &plan.steps {
        if step.checkpoint {
            checkpoint::take(server, &step.id)?;
        }
        events.emit(&Event::StepStarted { step: step.id.clone() });
        let (began, notices) = (Instant::now(), events.notices());
        let rows = run_step(server, step)?;
        events.emit(&Event::StepDone(StepDone {
            step: step.id.clone(),
            rows,
            notices: events.notices() - notices,
            millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            timings: Vec::new(),
        }));
    }
    // A runner's sessions find the role as the sandbox made it, too.
    server.reset_role(WORK)?;
    plan.checkpoint.iter().try_for_each(|step| checkpoint::take(server, step))
}

/// Each step has a session of its own, which finds the role as the sandbox made it.
fn run_step(server: &Server, step: &Step) -> Outcome<u64> {
    server.reset_role(WORK)?;
    let purpose = match step.action {
        Action::Sql { .. } => Use::Script,
        Action::Check { .. } => Use::Ask,
        Action::Arrive { .. } => {
            let mut bare = server.tenant(WORK, Use::Bare)?;
            let watchdog = Watchdog::watch(bare.cancel_token(), step.timeout_seconds);
            watchdog.judge(&step.id, analyze(&mut bare, "upgrade"))?;
            server.analyze_catalogs(WORK, "upgrade")?;
            Use::Ask
        }
    };
    let mut client = server.tenant(WORK, purpose)?;
    let watchdog = Watchdog::watch(client.cancel_token(), step.timeout_seconds);
    let outcome = match &step.action {
        Action::Sql { transaction } => script::run(&mut client, &step.id, &step.script, *transaction),
        Action::Check { message } => check(&mut client, step, message),
        Action::Arrive { version } => arrive(&mut client, step, version),
    };
    watchdog.judge(&step.id, outcome)
}

/// Runs a script that is one query, and fails when it finds a row.
fn check(client: &mut Client, step: &Step, message: &str) -> Outcome<u64> {
    let file = Some(step.script.file.as_str());
    let place = |line, text| Place { step: &step.id, file, line, text };
    let (text, line) =
        script::only_query(&step.script.text).map_err(|(line, why)| fails(place(line, ""), why))?;
    // The query begins on the wrapped one's first line, so that lines stay what they are.
    let query = format!("SELECT * FROM ({text}\n) AS offender LIMIT {}", ROWS_SHOWN + 1);
    let rows = ask::shown_rows(client, &query).map_err(|error| of_script(place(line, &query), &error))?;
    if rows.is_empty() {
        return Ok(0);
    }
    let mut failure = fails(place(line, &text), message);
    if let Failure::ScriptFailed(script) = &mut *failure {
        let more = if rows.len() > ROWS_SHOWN { "\n…" } else { "" };
        script.detail = Some(format!("{}{more}", rows[..rows.len().min(ROWS_SHOWN)].join("\n")));
    }
    Err(failure)
}

/// Sees that the hop has led where it says it leads.
fn arrive(client: &mut Client, step: &Step, version: &Version) -> Outcome<u64> {
    let found = ask::version(client, &step.id, &step.script.text)?;
    if found.as_deref().and_then(|found| found.trim().parse().ok()).as_ref() == Some(version) {
        return Ok(0);
    }
    let found = found.map_or_else(|| "no version at all".to_owned(), |found| format!("version {found}"));
    let message =
        format!("the hop's steps went through, and yet the database is at {found} and not at {version}");
    let place = Place { step: &step.id, file: Some(&step.script.file), line: 1, text: "" };
    Err(fails(place, message))
}
