//! What a person types while developing: `cargo xtask demo`, `test`, `bench`, `up`, `down`, `services`, `images`.
//!
//! It starts real services on this machine and nothing else: no registry of images is needed, and what it
//! cannot set up it names, with the command to try by hand.

mod apt;
mod bench;
mod checks;
mod daemon;
mod demo;
mod down;
mod env;
mod exec;
mod http;
mod images;
mod interrupt;
mod layout;
mod port;
mod services;
mod step;
mod test;
mod tools;
mod up;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use layout::Layout;
use services::Started;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Uplift's tasks for development")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Upgrade a sample database, or one's own, on this machine and without a fleet; then leave nothing running
    Demo(demo::Demo),
    /// Install and start Docker, RabbitMQ, Postgres and Garage, and leave them running
    Services {
        /// Write what the tests need to know about them as shell exports
        #[arg(long, value_name = "FILE")]
        env: Option<PathBuf>,
    },
    /// Start what is missing, build, check, run every test, and stop what this run started
    Test {
        /// Leave the services running
        #[arg(long)]
        keep: bool,
        /// Arguments for `cargo nextest run`, such as a test's name
        #[arg(last = true, value_name = "NEXTEST ARGS")]
        nextest: Vec<String>,
    },
    /// Measure a release build against what a person would do by hand, as a table and as lines of JSON
    Bench {
        /// What to measure
        #[arg(default_value = "all")]
        bench: bench::Bench,
        /// How often; a gigabyte at most three times
        #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        runs: u16,
        /// On which databases: sample, demo (Odoo's), big (the same with a gigabyte); all where none is named
        #[arg(long = "input", value_name = "NAME")]
        inputs: Vec<String>,
    },
    /// Start the services, a dispatcher, workers and an exporter, and leave them running
    Up {
        /// How many workers
        #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=50))]
        workers: u16,
        /// Write UPLIFT_SERVER, UPLIFT_TOKEN (a customer's), UPLIFT_OPS_TOKEN (an operator's) and
        /// UPLIFT_SAMPLE_URL (a Postgres for databases to hand in) as shell exports
        #[arg(long, value_name = "FILE")]
        env: Option<PathBuf>,
    },
    /// Stop the fleet, its sandboxes and every service that an earlier command left running
    Down {
        /// Remove what the services stored as well
        #[arg(long)]
        wipe: bool,
    },
    /// Build the sandbox's images, and the runners of ERPs whose code PyPI has
    Images {
        /// Postgres majors
        #[arg(default_values_t = test::MAJORS)]
        majors: Vec<u16>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    interrupt::install()?;
    let layout = Layout::from_env()?;
    match cli.task {
        Task::Demo(demo) => demo::run(&layout, &demo),
        Task::Services { env } => {
            let ready = services::ensure(&layout, &mut Started::default())?;
            if let Some(file) = env {
                ready.write(&file)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Task::Test { keep, nextest } => test::run(&layout, keep, &nextest),
        Task::Bench { bench, runs, inputs } => bench::run(&layout, bench, runs, &inputs),
        Task::Up { workers, env } => up::run(&layout, workers, env.as_deref()).map(|()| ExitCode::SUCCESS),
        Task::Down { wipe } => down::run(&layout, wipe).map(|()| ExitCode::SUCCESS),
        Task::Images { majors } => {
            images::build(&majors)?;
            images::build_runners().map(|()| ExitCode::SUCCESS)
        }
    }
}
