//! `cargo xtask bench`: how fast and how lean the platform is, against what a person would do by hand.
//!
//! Both are measured in one run, in turn (A B A B …) and with the same settings, so that their ratio stands even on a
//! machine that does other things besides. Every figure is printed with its least, its median and its greatest value.

#![allow(clippy::unwrap_used, reason = "a benchmark panics, and says why")]

mod figure;

mod cluster;
mod dumps;
mod memory;

mod restore;

mod job;

mod chain;

mod claim;

mod scrape;

const USAGE: &str = "usage: bench restore|dump|job|chain|claim|scrape|all RUNS [INPUT …]";

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, runs, inputs @ ..] = &arguments[..] else { panic!("{USAGE}") };
    let runs: usize = runs.parse().expect(USAGE);
    let inputs = dumps::named(inputs);
    match what.as_str() {
        "restore" => restore::restore(runs, &inputs).await,
        "dump" => restore::dump(runs, &inputs).await,
        "job" => job::run(runs, &inputs).await,
        "chain" => chain::run(runs).await,
        "claim" => claim::run(runs),
        "scrape" => scrape::run(runs).await,
        claim::INSIDE => claim::inside(runs).await,
        "all" => {
            claim::run(runs);
            restore::restore(runs, &inputs).await;
            restore::dump(runs, &inputs).await;
            job::run(runs, &inputs).await;
            chain::run(runs).await;
            scrape::run(runs).await;
        }
        _ => panic!("{USAGE}"),
    }
}
