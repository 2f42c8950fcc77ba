//! The arguments of `uplift ops`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use super::{Filter, Holds, Interventions, One, Overrides, Sessions};

/// For those who run the platform.
#[derive(Debug, Subcommand)]
pub enum Ops {
    /// What the platform can upgrade
    #[command(subcommand)]
    Packs(Packs),
    /// List all customers' requests
    #[command(after_help = "Example:\n  uplift ops requests --state intervention")]
    Requests(OpsRequests),
    /// Run a request in intervention again, whoever has claimed it
    #[command(after_help = "Example:\n  uplift ops retry 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Retry(One),
    /// Requests that wait for a person; alone, it lists them
    Interventions {
        /// What to do about which.
        #[command(subcommand)]
        command: Option<Interventions>,
    },
    /// Shells and dry runs: looks into saved states
    #[command(subcommand)]
    Sessions(Sessions),
    /// Scripts adjusted for one database
    #[command(subcommand)]
    Override(Overrides),
    /// Hops that new requests wait for
    #[command(subcommand)]
    Holds(Holds),
    /// Let a production run as things are now, although its accepted test ran otherwise
    #[command(after_help = "\
Example:
  uplift ops waive 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --reason 'the customer has agreed by phone'")]
    Waive {
        /// The request
        request: Uuid,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List the workers
    #[command(after_help = "Example:\n  uplift ops workers")]
    Workers,
    /// Who may use the platform
    #[command(subcommand)]
    Tokens(Tokens),
}

/// What the platform can upgrade.
#[derive(Debug, Subcommand)]
pub enum Packs {
    /// Check a pack and make it the one that new requests of its product use
    #[command(after_help = "\
Hidden files stay out; everything else in the folder goes along.

Example:
  uplift ops packs push deploy/packs/odoo")]
    Push {
        /// The folder that holds pack.toml
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// List the packs
    #[command(after_help = "Example:\n  uplift ops packs list")]
    List,
    /// Take a pack out of use: no new request begins with it
    #[command(after_help = "\
Example:
  uplift ops packs recall 4f1b…  --reason 'rounds taxes down'")]
    Recall {
        /// The pack's whole digest, as `uplift --json ops packs list` has it
        #[arg(value_name = "DIGEST")]
        digest: String,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Which requests of which customer.
#[derive(Debug, Args)]
pub struct OpsRequests {
    /// Only those of this account
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// The other conditions.
    #[command(flatten)]
    pub filter: Filter,
}

/// Who may use the platform.
#[derive(Debug, Subcommand)]
pub enum Tokens {
    /// Issue a token; its secret is written to stdout and never shown again
    #[command(after_help = "\
Example:
  uplift ops tokens create --account acme --label 'nightly tests' --days 90 > acme.token")]
    Create(NewToken),
    /// Make a token invalid, at once and for good
    #[command(after_help = "Example:\n  uplift ops tokens revoke 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Revoke {
        /// The token's id, as shown when it was issued
        #[arg(value_name = "ID")]
        token: Uuid,
    },
}

/// A token to issue.
#[derive(Debug, Args)]
pub struct NewToken {
    /// The account, made where it does not exist
    #[arg(long, value_name = "NAME")]
    pub account: String,
    /// What its bearer may do
    #[arg(long, value_enum, default_value_t = Role::Customer)]
    pub role: Role,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub label: String,
    /// How long it is valid
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
}

/// What the bearer of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Hand in dumps of its account and fetch results
    Customer,
    /// The same for `uplift canary`: its requests count in no figure of customers' upgrades
    Canary,
    /// Mend what failed, for all accounts; give each engineer a token of their own, labelled with their name
    Engineer,
    /// Run the platform
    Operator,
}

impl Role {
    /// The word used in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Canary => "canary",
            Self::Engineer => "engineer",
            Self::Operator => "operator",
        }
    }
}
