//! `cargo xtask bench`: a release build of what is measured, the services, and the benchmark itself.

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;

use crate::env;
use crate::exec;
use crate::images;
use crate::layout::Layout;
use crate::services::{self, Started};
use crate::step::loud;

/// The major that the dumps of the benchmarks come from.
const MAJORS: [u16; 1] = [15];

/// What to measure.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Bench {
    /// The engine's restore against `zcat | psql`
    Restore,
    /// The engine's dump against `pg_dump | gzip`
    Dump,
    /// From submit to delivered against the same by hand, and the memory it takes
    Job,
    /// A Tryton database through two long-term series, and the platform's own share of the time
    Chain,
    /// No-op requests a second, and how long a request waits for its claim
    Claim,
    /// A look at the exporter beside a million requests that have ended, against counting them anew
    Scrape,
    /// All of them
    All,
}

/// Runs a benchmark. What this run started is stopped at its end.
pub(crate) fn run(layout: &Layout, bench: Bench, runs: u16, inputs: &[String]) -> Result<ExitCode> {
    env::test_data(layout)?;
    let mut started = Started::default();
    let outcome = measure(layout, &mut started, bench, runs, inputs);
    let stopped = started.stop(layout);
    outcome.and_then(|code| stopped.map(|()| code))
}

fn measure(
    layout: &Layout,
    started: &mut Started,
    bench: Bench,
    runs: u16,
    inputs: &[String],
) -> Result<ExitCode> {
    let mut env = services::ensure(layout, started)?;
    images::build(&MAJORS)?;
    if matches!(bench, Bench::Chain | Bench::All) {
        images::build_runners()?;
    }
    let release = layout.bin_dir().with_file_name("release");
    loud("build", || {
        let bins = ["build", "--quiet", "--release", "--workspace", "--exclude", "xtask", "--bins"];
        for what in
            [&bins[..], &["build", "--quiet", "--release", "--package", "uplift-tests", "--example", "bench"]]
        {
            exec::streamed_ok(exec::cargo(layout, "cargo").args(what))?;
        }
        Ok("released".to_owned())
    })?;
    env.set("UPLIFT_TEST_BIN_DIR", release.display().to_string());
    env.set("UPLIFT_CACHE_DIR", layout.cache.display().to_string());
    let name = bench.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut command = exec::cargo(layout, release.join("examples/bench"));
    command.args([name, runs.to_string()]).args(inputs);
    env.apply(&mut command);
    let status = exec::streamed(&mut command)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
