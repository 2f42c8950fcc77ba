//! The arguments of what is done about upgrades that failed: `uplift ops interventions`, `override`, `holds`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use uuid::Uuid;

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
    /// Open the database as it was before the step that failed: psql, in a sandbox of its own, which goes with the shell
    #[command(after_help = "\
SQL comes from the terminal, or from a file. Ctrl-C breaks off what runs; Ctrl-D or \\q ends the shell. What is typed is on
record, what is shown is not.

Examples:
  uplift ops interventions shell 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77
  uplift ops interventions shell 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --write < try.sql")]
    Shell {
        /// The intervention
        intervention: Uuid,
        /// Let it write; nothing of it is kept
        #[arg(long)]
        write: bool,
    },
    /// Try the rest of the hop from the state before the step that failed, as adjusted by now; nothing is delivered
    #[command(after_help = "\
Its log is shown as it goes. It ends with 0 where the hop came to its end, and with 11 where a step failed.

Example:
  uplift ops interventions dry-run 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    DryRun {
        /// The intervention
        intervention: Uuid,
    },
    /// Run its request again, from the original dump
    #[command(after_help = "\
Examples:
  uplift ops interventions retry 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --reason 'mended in the pack'
  uplift ops interventions retry 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --alike --reason 'mended in the pack'")]
    Retry(Alike),
    /// Answer the customer who has reported what is wrong in a delivered upgrade, and close it
    #[command(after_help = "\
Example:
  uplift ops interventions answer 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 'Adjusted: hand the dump in for another test'")]
    Answer(Said),
    /// Give its request back to the customer, as rejected
    #[command(after_help = "\
Example:
  uplift ops interventions reject 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --reason 'Remove the second main company first'")]
    Reject(Why),
}

impl Default for Interventions {
    fn default() -> Self {
        Self::List { all: false, mine: false, alike: None, request: None }
    }
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

/// Scripts adjusted for one database.
#[derive(Debug, Subcommand)]
pub enum Overrides {
    /// Add one: it runs with every attempt of the database that begins from now on, production after its test included
    #[command(after_help = "\
ID is an intervention, or a request of the database. STEP is a step's name within the intervention's hop, or hop and name.

Examples:
  uplift ops override add ID --before partners --file fix.sql --reason 'two partners share a code'
  uplift ops override add ID --replace 17.0-18.0/partners --file partners.sql --reason 'another column'
  uplift ops override add ID --skip partners --reason 'the module was never used'
  uplift ops override add ID --set update --timeout-seconds 14400 --reason 'forty million moves'
  uplift ops override add ID --like OVERRIDE --reason 'as at the other one'")]
    Add(Box<NewOverride>),
    /// List them by database, in the order in which they apply
    #[command(after_help = "Example:\n  uplift ops override list --of 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    List {
        /// Only those of the database of this intervention or request
        #[arg(long, value_name = "ID")]
        of: Option<Uuid>,
        /// Those that were removed, too
        #[arg(long)]
        all: bool,
    },
    /// Show one, with its script
    #[command(after_help = "Example:\n  uplift ops override show 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Show {
        /// The override
        #[arg(value_name = "ID")]
        id: Uuid,
    },
    /// Show what one changes in the pack that it was written against
    #[command(after_help = "Example:\n  uplift ops override diff 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Diff {
        /// The override
        #[arg(value_name = "ID")]
        id: Uuid,
    },
    /// Make one part of its product's pack: a new version, which differs in this and nothing else; for operators
    #[command(after_help = "\
The database's own override may stay: what the pack does by now is not done twice. Put the same change into wherever you keep
the pack, too.

Example:
  uplift ops override promote 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Promote {
        /// The override
        #[arg(value_name = "ID")]
        id: Uuid,
    },
    /// Remove one: no attempt that begins from now on runs with it
    #[command(after_help = "\
Example:
  uplift ops override remove 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77 --reason 'the pack does it now'")]
    Remove {
        /// The override
        #[arg(value_name = "ID")]
        id: Uuid,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Shells and dry runs.
#[derive(Debug, Subcommand)]
pub enum Sessions {
    /// List those of an intervention, the newest first
    #[command(after_help = "Example:\n  uplift ops sessions list 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    List {
        /// The intervention
        intervention: Uuid,
    },
    /// Show what a dry run said, or what was typed into a shell
    #[command(after_help = "Example:\n  uplift ops sessions log 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Log {
        /// The session
        session: Uuid,
    },
    /// End one
    #[command(after_help = "Example:\n  uplift ops sessions close 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Close {
        /// The session
        session: Uuid,
    },
}

/// An override to add.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub struct NewOverride {
    /// The intervention, or a request of the database
    #[arg(value_name = "ID")]
    pub subject: Uuid,
    /// Run the file before this step
    #[arg(long, value_name = "STEP", group = "what", requires = "file")]
    pub before: Option<String>,
    /// Run the file after this step
    #[arg(long, value_name = "STEP", group = "what", requires = "file")]
    pub after: Option<String>,
    /// Run the file instead of this step
    #[arg(long, value_name = "STEP", group = "what", requires = "file")]
    pub replace: Option<String>,
    /// Do not run this step
    #[arg(long, value_name = "STEP", group = "what", conflicts_with = "file")]
    pub skip: Option<String>,
    /// Run this step with other settings
    #[arg(long, value_name = "STEP", group = "what", conflicts_with = "file")]
    pub set: Option<String>,
    /// The same as this override, which another database has
    #[arg(long, value_name = "OVERRIDE", group = "what", conflicts_with = "file")]
    pub like: Option<Uuid>,
    /// The script: SQL
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Let each statement of the script commit by itself
    #[arg(long, requires = "file")]
    pub no_transaction: bool,
    /// With --set: how long the step may take
    #[arg(long, value_name = "SECONDS", requires = "set")]
    pub timeout_seconds: Option<u64>,
    /// With --set: a variable of a step that runs a program; may be given several times
    #[arg(long, value_name = "NAME=VALUE", requires = "set")]
    pub env: Vec<String>,
    /// Why; it stands in the report
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
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
