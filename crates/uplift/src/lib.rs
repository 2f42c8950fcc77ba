//! The command line: customers hand in dumps and fetch upgraded ones, operators look after the fleet.
//!
//! It speaks to the dispatcher's HTTP API and to the links that the dispatcher hands out; it knows neither the
//! ledger, nor the broker, nor the object store's keys. Start reading at [`cli`], then [`commands`]. The one exception
//! is [`standalone`], which is the whole fleet, and can be left out.

mod backoff;
pub mod cli;
mod client;
mod commands;
mod context;
mod download;
mod exit;
mod follow;
mod interventions;
mod live;
mod manual;
mod ops;
mod overrides;
mod pack;
mod print;
mod sessions;
#[cfg(feature = "standalone")]
pub mod standalone;
mod text;
mod upload;
mod webhooks;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command, Global, Task};
use context::{Context, Interrupted};
use exit::Exit;

/// Reads the arguments, does what they say, and tells the caller how it went.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap writes help to stdout and errors to stderr; where neither can be written, nobody reads.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    let command = match cli.task {
        #[cfg(feature = "standalone")]
        Task::Standalone(arguments) => return standalone::main(&arguments),
        Task::Completions { shell } => return manual::completions(shell),
        Task::Man => return manual::page(),
        Task::Client(command) => command,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: start the program: {error}");
            return Exit::Error.into();
        }
    };
    let exit = runtime.block_on(run(&cli.global, command));
    // A file that is being read in the background must not hold up the end.
    runtime.shutdown_background();
    exit.into()
}

async fn run(global: &Global, command: Command) -> Exit {
    let interrupted = Interrupted::default();
    let outcome = tokio::select! {
        outcome = execute(global, command, interrupted.clone()) => outcome,
        () = interrupted.comes() => {
            eprintln!("\n{}", interrupted.message());
            return Exit::Interrupted;
        }
    };
    outcome.unwrap_or_else(|error| {
        let exit = Exit::of(&error);
        if !exit::reader_is_gone(&error) {
            eprintln!("error: {}", text::line(&format!("{error:#}")));
        }
        exit
    })
}

async fn execute(global: &Global, command: Command, interrupted: Interrupted) -> anyhow::Result<Exit> {
    let context = Context::new(global, &command, interrupted)?;
    commands::execute(&context, command).await
}
