//! `prove`: the result's very bytes, restored into a second database, give the database that was dumped.

use std::{io::Stdin, sync::atomic::Ordering};

use uplift_core::{
    event::{Digest, Stage},
    failure::{Failure, ScriptFailure},
    plan::Prove,
};

use crate::{
    compare::differences,
    connect::{PROOF, Server, Use, WORK},
    failure::{Outcome, infrastructure, ours},
    input::Ahead,
    load::load,
};

/// How many differences are named.
const NAMED: usize = 20;

/// Runs the plan. Returns what was read.
///
/// # Errors
/// The result differs or cannot be restored, or something of ours broke.
pub fn run(server: &Server, stdin: Stdin, plan: &Prove) -> Outcome<Digest> {
    let events = server.events();
    server.create_database(PROOF, "prove")?;
    let mut ahead = Ahead::start(stdin, plan.input, plan.max_expanded_bytes);
    let (shown, total) = (ahead.shown(), plan.input.bytes);
    let mut client = server.tenant(PROOF, Use::Bare)?;
    // The comparison comes after the last byte, so the stage is not done when the bytes are.
    let told = || events.progress(Stage::Prove, shown.load(Ordering::Relaxed), total + 1);
    let loaded = load(&mut client, &mut ahead, told).map_err(|failure| unrestorable(*failure))?;
    let (read, files) = ahead.finish("prove")?;
    drop(client);
    let mut differences = differences(server, WORK, PROOF, NAMED)?;
    if files != plan.files {
        differences.push(format!("the files beside the dump: {:?} became {files:?}", plan.files));
    }
    if !differences.is_empty() {
        return Err(Box::new(Failure::ScriptFailed(ScriptFailure {
            step: "prove".into(),
            message: "the result, restored again, is not the database that was dumped".into(),
            detail: Some(differences.join("\n")),
            ..ScriptFailure::default()
        })));
    }
    let drop_proof = format!("DROP DATABASE {PROOF} WITH (FORCE)");
    server.bootstrap()?.batch_execute(&drop_proof).map_err(|error| ours("prove", &error))?;
    events.complete(Stage::Prove, total);
    events.info(format!(
        "proven: {} statements and {} rows, restored again and equal",
        loaded.statements, loaded.rows
    ));
    Ok(read)
}

/// The result is not the customer's input: that it cannot be restored is our business.
fn unrestorable(failure: Failure) -> Box<Failure> {
    match failure {
        Failure::InputRejected(rejection) if rejection.line.is_some() => {
            Box::new(Failure::ScriptFailed(ScriptFailure {
                step: "prove".into(),
                message: format!("the result cannot be restored: {}", rejection.message),
                line: rejection.line,
                statement: rejection.statement,
                sqlstate: rejection.sqlstate,
                ..ScriptFailure::default()
            }))
        }
        Failure::InputRejected(rejection) => infrastructure("prove", rejection.message),
        Failure::Infrastructure { message, .. } => infrastructure("prove", message),
        Failure::OutOfDisk { .. } => Box::new(Failure::OutOfDisk { place: "prove".into() }),
        Failure::OutOfMemory { .. } => Box::new(Failure::OutOfMemory { place: "prove".into() }),
        other => Box::new(other),
    }
}
