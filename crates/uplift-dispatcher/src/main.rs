//! `uplift-dispatcher`: serves the API; issues the first token; prints the API's description.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use secrecy::ExposeSecret as _;
use uplift_core::Clock;
use uplift_platform::{Config, Ledger, boot, ledger::Role};

/// The dispatcher of an Uplift fleet.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The fleet's configuration.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "UPLIFT_CONFIG",
        default_value = "/etc/uplift.toml"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the API and sweeps; this is the default.
    Serve,
    /// Tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Prints the API's description as OpenAPI.
    Openapi,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Issues a token and prints its secret, which is shown nowhere else: the way to the first operator.
    Create(NewToken),
}

#[derive(clap::Args)]
struct NewToken {
    /// The account; it is made where it does not exist.
    #[arg(long, value_name = "NAME")]
    account: String,
    /// `customer`, `canary`, `engineer` or `operator`.
    #[arg(long)]
    role: Role,
    /// What it is for.
    #[arg(long, default_value = "issued by hand")]
    label: String,
    /// Days for which it is valid.
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(&arguments.config).await,
        Command::Token(TokenCommand::Create(token)) => create_token(&arguments.config, &token).await,
        Command::Openapi => {
            print!("{}", uplift_dispatcher::api::description()?);
            Ok(())
        }
    }
}

async fn serve(config: &Path) -> Result<()> {
    let config = Config::load(config)?;
    let _telemetry = boot::telemetry("uplift-dispatcher")?;
    uplift_dispatcher::serve(&config, boot::shutdown()?).await
}

async fn create_token(config: &Path, token: &NewToken) -> Result<()> {
    uplift_dispatcher::api::check_token(&token.account, &token.label).map_err(anyhow::Error::msg)?;
    let config = Config::load(config)?;
    let ledger = Ledger::migrate(&config.ledger.url).await.context("open the ledger")?;
    let expires_at = Clock::System.now() + chrono::TimeDelta::days(token.days.into());
    let issued = ledger
        .issue_token(&token.account, token.role, &token.label, expires_at, "uplift-dispatcher token create")
        .await
        .context("issue a token")?;
    println!("{}", issued.secret.expose_secret());
    Ok(())
}
