//! The exporter's process: a thin shell over the library.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use uplift_platform::{Config, boot};

/// Tells Prometheus what the ledger and the broker know, at `/metrics`.
///
/// Stateless: several may run, and each of them publishes the same totals.
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
    let _telemetry = boot::telemetry("uplift-exporter")?;
    uplift_exporter::run(&config, boot::shutdown()?).await
}
