//! The arguments of `uplift ops`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use super::{Filter, One};

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
    /// Requests that wait for a person
    #[command(subcommand)]
    Interventions(Interventions),
    /// Hops that new requests wait for
    #[command(subcommand)]
    Holds(Holds),
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

/// Requests that wait for a person.
#[derive(Debug, Subcommand)]
pub enum Interventions {
    /// List them, by the time left until the promise to the customer breaks
    #[command(after_help = "\
Examples:
  uplift ops interventions list
  uplift ops interventions list --mine
  uplift ops interventions list --alike 4f1b0c9e2a7d3358")]
    List {
        /// The closed ones too
        #[arg(long)]
        all: bool,
        /// Only those that you have claimed
        #[arg(long)]
        mine: bool,
        /// Only those that failed alike
        #[arg(long, value_name = "FINGERPRINT")]
        alike: Option<String>,
        /// Only those of this request
        #[arg(long, value_name = "REQUEST")]
        request: Option<Uuid>,
    },
    /// Show one: what failed, the end of its log, and what was said and done
    #[command(after_help = "Example:\n  uplift ops interventions show 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Show {
        /// The intervention
        intervention: Uuid,
    },
    /// Make one your own, for an hour from whatever you did last about it
    #[command(after_help = "Example:\n  uplift ops interventions claim 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Claim {
        /// The intervention
        intervention: Uuid,
    },
    /// Give one back to the queue
    #[command(
        after_help = "Example:\n  uplift ops interventions release 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77"
    )]
    Release {
        /// The intervention
        intervention: Uuid,
    },
    /// Give one to an engineer, whoever has it; for operators
    #[command(
        after_help = "Example:\n  uplift ops interventions assign 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --to eva"
    )]
    Assign {
        /// The intervention
        intervention: Uuid,
        /// The label, or the id, of the engineer's token
        #[arg(long, value_name = "ENGINEER")]
        to: String,
    },
    /// Say something to other engineers
    #[command(after_help = "\
Example:
  uplift ops interventions comment 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 'two partners share a code'")]
    Comment(Said),
    /// Say something to the customer, instead of what was said before
    #[command(after_help = "\
Example:
  uplift ops interventions note 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 'We are adjusting a script; no need to do anything'")]
    Note(Said),
    /// Run its request again, from the original dump
    #[command(after_help = "\
Examples:
  uplift ops interventions retry 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --reason 'mended in the pack'
  uplift ops interventions retry 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --alike --reason 'mended in the pack'")]
    Retry(Alike),
    /// Give its request back to the customer, as rejected
    #[command(after_help = "\
Example:
  uplift ops interventions reject 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --reason 'Remove the second main company first'")]
    Reject(Why),
}

/// Something to say.
#[derive(Debug, Args)]
pub struct Said {
    /// The intervention
    pub intervention: Uuid,
    /// What to say
    #[arg(value_name = "TEXT")]
    pub text: String,
}

/// Why something is done.
#[derive(Debug, Args)]
pub struct Why {
    /// The intervention
    pub intervention: Uuid,
    /// Why; the customer reads it
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// What to run again.
#[derive(Debug, Args)]
pub struct Alike {
    /// The intervention
    pub intervention: Uuid,
    /// What was done about it, for the audit
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// And all that failed alike and that nobody else has claimed
    #[arg(long)]
    pub alike: bool,
}

/// Hops that new requests wait for.
#[derive(Debug, Subcommand)]
pub enum Holds {
    /// List them, the oldest first
    #[command(after_help = "\
A hop is held when several accounts have failed alike on it. A new pack of its product ends the hold, too.

Example:
  uplift ops holds list")]
    List,
    /// End a hold: what waits for it goes on
    #[command(after_help = "\
Example:
  uplift ops holds release 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --reason 'the same customer under three names'")]
    Release {
        /// The hold
        hold: Uuid,
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
            Self::Engineer => "engineer",
            Self::Operator => "operator",
        }
    }
}
