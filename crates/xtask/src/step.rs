//! What a person sees while a command works: one line a step, with the time it took.

use std::io::{self, Write};
use std::time::Instant;

use anyhow::Result;

/// Runs a step that prints nothing itself; the text it returns ends its line.
pub(crate) fn step(name: &str, work: impl FnOnce() -> Result<String>) -> Result<()> {
    print!("{name:<14} ");
    flush();
    let begin = Instant::now();
    let outcome = work();
    match &outcome {
        Ok(text) => println!("{text} ({:.1} s)", begin.elapsed().as_secs_f64()),
        Err(_) => println!("FAILED ({:.1} s)", begin.elapsed().as_secs_f64()),
    }
    flush();
    outcome.map(drop)
}

/// Runs a step whose tools print as they go, such as a build: its line comes after their output, too.
pub(crate) fn loud(name: &str, work: impl FnOnce() -> Result<String>) -> Result<()> {
    println!("{name:<14} …");
    flush();
    let begin = Instant::now();
    let outcome = work();
    let text = outcome.as_deref().unwrap_or("FAILED");
    println!("{name:<14} {text} ({:.1} s)", begin.elapsed().as_secs_f64());
    flush();
    outcome.map(drop)
}

/// Shows what was printed without a line break.
pub(crate) fn flush() {
    // A closed pipe must not end a run half-way: what was started still has to be stopped.
    let _ = io::stdout().flush();
}
