//! The arguments.

mod mend;
mod ops;
mod submit;
mod webhooks;
mod when;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, builder::PossibleValuesParser};
use uplift_core::{Version, request::StateCode};
use url::Url;
use uuid::Uuid;

pub use mend::{Alike, Holds, Interventions, NewOverride, Overrides, Said, Sessions, Why};
pub use ops::{NewToken, Ops, OpsRequests, Packs, Role, Tokens};
pub use submit::{Check, From, Restore, Restoring, Resume, Submit, Wait};
pub use webhooks::Webhooks;

use crate::exit;

/// Upgrades ERP databases: a dump goes in, an upgraded dump comes out.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = after_help(), arg_required_else_help = true)]
pub struct Cli {
    /// Settings that every command shares.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// As a client of the platform.
    #[command(flatten)]
    Client(Command),
    /// Run the whole platform in this program, for a laptop
    #[cfg(feature = "standalone")]
    #[command(after_help = "\
Dispatcher, worker, exporter, object store and the ledger's Postgres, whose programs this machine must have (Debian's
package postgresql). Sandboxes are containers where Docker answers and has the images, else plain processes. One
directory holds all state; started on it again, however it ended, it goes on with what was running.

Example:
  uplift standalone --data-dir /var/lib/uplift")]
    Standalone(Standalone),
    /// Write a script that completes this program's arguments in a shell
    #[command(after_help = "\
Examples:
  uplift completions bash > /etc/bash_completion.d/uplift
  uplift completions zsh > ~/.zfunc/_uplift")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual's page
    #[command(after_help = "Example:\n  uplift man > /usr/local/share/man/man1/uplift.1")]
    Man,
}

/// Where everything is.
#[cfg(feature = "standalone")]
#[derive(Debug, Args)]
pub struct Standalone {
    /// The directory for all state [default: /var/lib/uplift for root, else ~/.local/share/uplift]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where the API listens; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: std::net::SocketAddr,
    /// Where the exporter listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    pub metrics_listen: std::net::SocketAddr,
    /// The port of 127.0.0.1 that the object store listens on
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    pub store_port: u16,
    /// Offer the packs in this folder, not those that ship
    #[arg(long, value_name = "DIR")]
    pub packs: Option<PathBuf>,
}

#[cfg(feature = "standalone")]
impl Standalone {
    /// The directory for all state.
    ///
    /// # Errors
    /// None is named, and there is no home to have one in.
    pub fn data_dir(&self) -> anyhow::Result<PathBuf> {
        if let Some(named) = &self.data_dir {
            return Ok(named.clone());
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        match home {
            // Postgres does not run as root, and could not get at what lies in root's home.
            Some(home) if home == std::path::Path::new("/root") => Ok("/var/lib/uplift".into()),
            Some(home) => Ok(home.join(".local/share/uplift")),
            None => Err(exit::UsageError("HOME is not set: name a directory with --data-dir".into()).into()),
        }
    }
}

fn after_help() -> String {
    format!(
        "Environment:\n  \
         UPLIFT_SERVER     the platform's address\n  \
         UPLIFT_TOKEN      your token\n  \
         UPLIFT_OPS_TOKEN  an operator's token, preferred by `uplift ops`\n  \
         SSL_CERT_FILE     certificates to trust instead of the system's\n  \
         NO_COLOR          no colours\n\n{}\n\n\
         Example:\n  uplift test --dump shop.sql.gz -t 18.0 --wait --out .",
        exit::HELP
    )
}

/// Settings that every command shares.
#[derive(Debug, Args)]
pub struct Global {
    /// The platform's address, such as https://upgrade.example.com
    #[arg(long, global = true, env = "UPLIFT_SERVER", value_name = "URL", help_heading = "Global options")]
    pub server: Option<Url>,
    /// Read the token from this file instead of from UPLIFT_TOKEN
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub token_file: Option<PathBuf>,
    /// Write JSON to stdout, for programs
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
}

/// What a client does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Upgrade a copy of a database to try it out
    #[command(after_help = "\
The result is neutralized: it sends no mail, runs no jobs, takes no payments.

With -d it dumps the database, sends it, shows the log, and restores the result beside it. Interrupted, the same command goes
on where it was.

Examples:
  uplift test -d shop -t 18.0
  uplift test --dump shop.sql.gz -t 18.0 --wait --out .
  uplift test --dump shop.sql.gz -t 18.0 --scripts our-modules.tar.gz")]
    Test(Box<Submit>),
    /// Upgrade a database to go on working with
    #[command(after_help = "\
Needs a delivered test of the same database and target that you have accepted (`uplift accept`). Where that test ran
with --scripts, production takes the very same file.

Examples:
  uplift production -d shop -t 18.0 --not-before 22:00
  uplift production --dump shop.sql.gz -t 18.0 --wait --out .")]
    Production(Box<Submit>),
    /// Go on with an upload that was interrupted
    #[command(after_help = "\
Sends only the parts that are not there yet. The file has to be the one that the upload began with.

Example:
  uplift resume 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --dump shop.sql.gz")]
    Resume(Resume),
    /// Say why a request is where it is, and what happens next
    #[command(after_help = "Example:\n  uplift explain 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Explain(One),
    /// Show a request, or list yours
    #[command(after_help = "\
Examples:
  uplift status
  uplift status --database shop --state delivered
  uplift status 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Status(Status),
    /// Show a request's log
    #[command(after_help = "\
Example:
  uplift log -f 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Log(Log),
    /// Fetch the upgraded dump, the report, or what was handed in
    #[command(after_help = "\
The file is checked against its length and sha256 before it gets its name.

Example:
  uplift download 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --out /var/backups")]
    Download(Download),
    /// Restore what a request delivered on this machine's Postgres
    #[command(after_help = "\
Never over a database that is there. Odoo's filestore is copied beside it.

Examples:
  uplift restore 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 -d shop
  uplift restore 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 -r shop_trial")]
    Restore(Restore),
    /// Look at a database before anything is sent: its way, what will go wrong, and how long it takes
    #[command(after_help = "\
Reads only, and sends nothing but the database's name, its versions and its size. Ends with 10 where the upgrade would be rejected.

Example:
  uplift check -d shop -t 18.0")]
    Check(Check),
    /// Take a request back
    #[command(after_help = "Example:\n  uplift cancel 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Cancel(One),
    /// Remove everything of a request that has ended: dump, result, report and log
    #[command(after_help = "\
That it was there stays on record. Without this it is removed by itself, after the periods that your platform keeps.

Example:
  uplift delete 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Delete(One),
    /// Accept a delivered test, so that production may follow
    #[command(after_help = "Example:\n  uplift accept 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Accept(One),
    /// Report what is wrong in a delivered upgrade: an engineer looks at it, and answers
    #[command(after_help = "\
The answer comes by mail and webhook, where you have them, and stands in `uplift status REQUEST`.

Example:
  uplift discrepancy 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 'The bank journal begins with 0, and has to with 1204.50'")]
    Discrepancy {
        /// The request
        request: Uuid,
        /// What is wrong, and where it is seen
        #[arg(value_name = "TEXT")]
        text: String,
    },
    /// Be told of your requests by webhooks
    #[command(subcommand)]
    Webhooks(Webhooks),
    /// Upgrade a sample the whole way, to see that it is free
    #[command(after_help = "\
Needs a token of the role `canary`, whose requests count in no figure of customers' upgrades, and a pack that can upgrade the dump.
As a customer does, it sends the dump, follows the log, fetches and checks the result, accepts it, and removes all of it.

Example:
  uplift canary --dump sample-1.0.sql -t 3.0 --every 30")]
    Canary(Canary),
    /// For those who run the platform, and those who mend what failed
    #[command(subcommand)]
    Ops(Ops),
}

/// What to show.
#[derive(Debug, Args)]
pub struct Status {
    /// One request in detail; without it, your requests are listed
    #[arg(conflicts_with_all = ["database", "state", "before"])]
    pub request: Option<Uuid>,
    /// The request, for scripts that are used to it
    #[arg(short = 't', value_name = "REQUEST", conflicts_with = "request", hide = true)]
    pub named: Option<Uuid>,
    /// Which requests to list.
    #[command(flatten)]
    pub filter: Filter,
}

/// Which requests to list.
#[derive(Debug, Args)]
pub struct Filter {
    /// Only those of this database
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// Only those in this state
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(
        StateCode::ALL.map(StateCode::as_str)
    ))]
    pub state: Option<String>,
    /// Only those older than this request: the next page
    #[arg(long, value_name = "REQUEST")]
    pub before: Option<Uuid>,
}

/// Which log.
#[derive(Debug, Args)]
pub struct Log {
    /// The request
    #[arg(required_unless_present = "named")]
    pub request: Option<Uuid>,
    /// The request, for scripts that are used to it
    #[arg(short = 't', value_name = "REQUEST", conflicts_with = "request", hide = true)]
    pub named: Option<Uuid>,
    /// Go on until the upgrade has ended, and end with its exit code; needed with --json
    #[arg(short, long)]
    pub follow: bool,
    /// Stop following after this long
    #[arg(long, value_name = "MINUTES", requires = "follow")]
    pub timeout: Option<u32>,
}

/// What to fetch.
#[derive(Debug, Args)]
pub struct Download {
    /// The request
    pub request: Uuid,
    /// Put it into this folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Fetch the report instead, for people (HTML) and for programs (JSON)
    #[arg(long)]
    pub report: bool,
    /// Fetch what was handed in instead, as long as it is kept: a production's is its backup
    #[arg(long, conflicts_with = "report")]
    pub source: bool,
    /// Overwrite files that are there
    #[arg(long)]
    pub force: bool,
}

/// What to send the whole way.
#[derive(Debug, Args)]
pub struct Canary {
    /// The sample's dump
    #[arg(short = 'i', long, value_name = "FILE")]
    pub dump: PathBuf,
    /// The version to upgrade it to
    #[arg(short, long, value_name = "VERSION")]
    pub target: Version,
    /// Go on, and send one each time this many minutes have passed
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..))]
    pub every: Option<u32>,
    /// Take it back when it is not delivered after this long
    #[arg(long, value_name = "MINUTES", default_value_t = 120)]
    pub timeout: u32,
}

/// One request.
#[derive(Debug, Args)]
pub struct One {
    /// The request
    pub request: Uuid,
}

#[cfg(test)]
mod tests;
