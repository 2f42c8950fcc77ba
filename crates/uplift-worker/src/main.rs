//! The worker's process: a thin shell over the library.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use uplift_platform::{Config, boot};

/// Takes upgrade requests, runs them in sandboxes and hands back the results.
///
/// Stateless: start as many as there is work for, stop any of them at any time. On SIGTERM it takes nothing
/// new, gives what runs a while to finish, and hands back the rest.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The fleet's configuration; see deploy/uplift.toml.
    #[arg(long, env = "UPLIFT_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let config = Config::load(&arguments.config)?;
    let _telemetry = boot::telemetry("uplift-worker")?;
    uplift_worker::run(config, boot::shutdown()?).await
}
