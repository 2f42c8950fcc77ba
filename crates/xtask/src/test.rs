//! `cargo xtask test`: everything that stands between a fresh machine and the suite's last line.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::checks;
use crate::demo;
use crate::down;
use crate::env::{self, Env};
use crate::exec;
use crate::images;
use crate::interrupt;
use crate::layout::Layout;
use crate::services::{self, Started};
use crate::step::{loud, step};
use crate::tools;

/// The Postgres majors that tests restore into: Debian's of three releases.
pub(crate) const MAJORS: [u16; 3] = [13, 15, 17];

/// Runs the suite. What this run started is stopped at its end, however it ends, unless `keep`.
pub(crate) fn run(layout: &Layout, keep: bool, nextest_args: &[String]) -> Result<ExitCode> {
    env::test_data(layout)?;
    let mut started = Started::default();
    let outcome = suite(layout, &mut started, nextest_args);
    if keep {
        println!("left running; `cargo xtask down` stops it");
        return outcome;
    }
    interrupt::clear();
    let left = down::leftovers();
    let stopped = started.stop(layout);
    match (outcome, stopped) {
        (Ok(code), Ok(())) => {
            if let Some(left) = left {
                println!("left behind: {left}; `cargo xtask down` removes them");
            }
            Ok(code)
        }
        (Err(error), Ok(())) | (Ok(_), Err(error)) => Err(error),
        (Err(error), Err(second)) => Err(error.context(format!("{second:#}; and before that"))),
    }
}

fn suite(layout: &Layout, started: &mut Started, nextest_args: &[String]) -> Result<ExitCode> {
    let env = services::ensure(layout, started)?;
    images::build(&MAJORS)?;
    images::build_runners()?;
    images::build_stand_ins()?;
    step("nextest", || tools::nextest(layout).map(|(_, text)| text))?;
    build(layout)?;
    let mut failed = checks::run(layout)?;
    if doctests(&layout.repo.join("crates"))? {
        let doc = loud("doctests", || {
            exec::streamed_ok(&mut cargo(layout, &env, &["test", "--workspace", "--doc", "--quiet"]))?;
            Ok("passed".to_owned())
        });
        if let Err(error) = doc {
            interrupt::check()?;
            eprintln!("{error:#}");
            failed.push("doctests");
        }
    }
    let tests = nextest(layout, &env, &["run", "--workspace"], nextest_args)?;
    if !failed.is_empty() {
        println!("failed besides the tests: {}; their output is above", failed.join(", "));
    }
    // The runner's own code says more than a plain failure.
    Ok(match tests {
        0 if failed.is_empty() => ExitCode::SUCCESS,
        0 => ExitCode::FAILURE,
        code => ExitCode::from(code),
    })
}

/// Builds what the tests run, so that no test's time holds a build.
fn build(layout: &Layout) -> Result<()> {
    loud("build", || {
        let env = Env::default();
        exec::streamed_ok(&mut cargo(layout, &env, &["build", "--workspace", "--bins", "--quiet"]))?;
        demo::build(layout)?;
        let (program, _) = tools::nextest(layout)?;
        let mut tests = exec::cargo(layout, program);
        tests.args(["nextest", "run", "--workspace", "--no-run", "--cargo-quiet"]);
        exec::streamed_ok(&mut tests)?;
        Ok("binaries and tests built".to_owned())
    })
}

/// Runs the tests and returns the runner's exit code.
fn nextest(layout: &Layout, env: &Env, args: &[&str], more: &[String]) -> Result<u8> {
    let (program, _) = tools::nextest(layout)?;
    let mut command = exec::cargo(layout, program);
    command.arg("nextest").args(args).args(more);
    env.apply(&mut command);
    let status = exec::streamed(&mut command)?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn cargo(layout: &Layout, env: &Env, args: &[&str]) -> Command {
    let mut cargo = exec::cargo(layout, "cargo");
    cargo.args(args);
    env.apply(&mut cargo);
    cargo
}

/// Whether any doc comment has code that rustdoc would run: building them all for nothing takes a while.
fn doctests(dir: &Path) -> Result<bool> {
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry.context("list sources")?.path();
        let found = if path.is_dir() {
            doctests(&path)?
        } else if path.extension().is_some_and(|end| end == "rs") {
            has_doctest(&fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?)
        } else {
            false
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a source file opens a code block of Rust in a doc comment.
fn has_doctest(source: &str) -> bool {
    let mut open = false;
    source.lines().any(|line| {
        let line = line.trim_start();
        let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        let Some(language) = text.and_then(|text| text.trim_start().strip_prefix("```")) else {
            return false;
        };
        open = !open;
        open && matches!(language.trim(), "" | "rust" | "no_run" | "should_panic" | "compile_fail")
    })
}

#[cfg(test)]
mod tests {
    use super::has_doctest;

    #[test]
    fn only_rust_in_doc_comments_is_a_doctest() {
        assert!(has_doctest("/// Adds.\n/// ```\n/// assert_eq!(1 + 1, 2);\n/// ```\n"));
        assert!(!has_doctest("//! ```text\n//! a -> b\n//! ```\n//! and so on\n"));
        assert!(!has_doctest("let fence = \"```\";\n// ```\n"));
    }
}
