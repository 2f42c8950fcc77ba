//! What is checked besides the tests: format, lints, and what the dependencies may be.

use std::process::Command;

use anyhow::{Result, bail};

use crate::exec;
use crate::layout::Layout;
use crate::step::{loud, step};
use crate::tools;

/// Runs every check, so that one run names all that is wrong; returns the names of those that failed.
pub(crate) fn run(layout: &Layout) -> Result<Vec<&'static str>> {
    let mut failed = Vec::new();
    let mut note = |name: &'static str, outcome: Result<()>| -> Result<()> {
        if let Err(error) = outcome {
            crate::interrupt::check()?;
            eprintln!("{error:#}");
            failed.push(name);
        }
        Ok(())
    };
    note("fmt", step("fmt", || fmt(layout)))?;
    note("clippy", loud("clippy", || clippy(layout)))?;
    note("deny", step("deny", || deny(layout)))?;
    note("rules", step("rules", || rules(layout)))?;
    Ok(failed)
}

fn fmt(layout: &Layout) -> Result<String> {
    let mut cargo = cargo(layout, &["fmt", "--all", "--check"]);
    exec::logged(&mut cargo, &layout.log("fmt"))?;
    Ok("clean".to_owned())
}

fn clippy(layout: &Layout) -> Result<String> {
    let args = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    exec::streamed_ok(&mut cargo(layout, &args))?;
    Ok("clean".to_owned())
}

/// Whether Prometheus takes the rules, and each alert fires when it should and not otherwise.
fn rules(layout: &Layout) -> Result<String> {
    let folder = layout.repo.join("dashboards/prometheus");
    for (args, log) in [
        (&["check", "config", "prometheus.yaml"][..], "rules-check"),
        (&["test", "rules", "alerts_test.yaml"], "rules-test"),
    ] {
        let mut promtool = Command::new("promtool");
        exec::logged(promtool.current_dir(&folder).args(args), &layout.log(log))?;
    }
    Ok("checked and tested".to_owned())
}

/// Licences, bans and sources need no network. Advisories need a database that is fetched with git: where that
/// fails, the line says that they were not checked.
fn deny(layout: &Layout) -> Result<String> {
    let (program, _) = tools::deny(layout)?;
    let run = |args: &[&str], log: &str| {
        // A host that swallows packets must not hold up the suite.
        let mut deny = Command::new("timeout");
        deny.arg("180").arg(&program).current_dir(&layout.repo).args(args);
        exec::logged(&mut deny, &layout.log(log))
    };
    run(&["check", "--hide-inclusion-graph", "bans", "licenses", "sources"], "deny")?;
    match run(&["fetch", "db"], "deny-fetch") {
        Ok(()) => {
            run(&["check", "--hide-inclusion-graph", "advisories"], "deny-advisories")?;
            Ok("bans, licences, sources and advisories are fine".to_owned())
        }
        Err(_) if crate::interrupt::asked() => bail!("interrupted"),
        Err(_) => Ok(format!(
            "bans, licences and sources are fine; advisories NOT checked: their database cannot be fetched ({})",
            layout.log("deny-fetch").display()
        )),
    }
}

fn cargo(layout: &Layout, args: &[&str]) -> Command {
    let mut cargo = exec::cargo(layout, "cargo");
    cargo.args(args);
    cargo
}
