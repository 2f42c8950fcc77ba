//! The arguments of what goes in and comes home.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use uplift_core::{Format, Version};
use uuid::Uuid;

use super::when;

/// A dump to hand in.
#[derive(Debug, Args)]
pub struct Submit {
    /// What to upgrade.
    #[command(flatten)]
    pub from: From,
    /// The version to upgrade to
    #[arg(short, long, value_name = "VERSION")]
    pub target: Version,
    /// Not to be begun before: 22:00 (today, or tomorrow), "2026-12-24 22:00", both in local time, or with a zone as in
    /// 2026-12-24T22:00:00+01:00
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    pub not_before: Option<DateTime<Utc>>,
    /// Who is to hear of it by mail
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// Your name for the database; its tests and its production share it [default: from the file's name]
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// What to write the result as [default: as the dump is]
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(Format::ALL.map(Format::as_str))
        .try_map(|word| word.parse::<Format>()))]
    pub result_format: Option<Format>,
    /// Your own migration scripts, to run after the standard upgrade: a zip or a tar, raw or gzip
    #[arg(long, value_name = "FILE")]
    pub scripts: Option<PathBuf>,
    /// What to do after the upload.
    #[command(flatten)]
    pub wait: Wait,
    /// Leave once it is uploaded; with -d it is followed to its end and restored otherwise
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// What to do with the result.
    #[command(flatten)]
    pub restore: Restoring,
    /// How to dump: custom, or plain for SQL
    #[arg(long, value_name = "FORMAT", default_value = "custom", value_parser = ["custom", "plain"], conflicts_with = "dump")]
    pub format: String,
    /// Accepted for scripts that are used to it: your token says who you are
    #[arg(short, long, value_name = "CODE", hide = true)]
    pub contract: Option<String>,
    /// Accepted for scripts that are used to it: nothing here depends on it
    #[arg(short, long, value_name = "NAMES", hide = true)]
    pub env_vars: Option<String>,
}

/// What to upgrade.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct From {
    /// The database, on the server that psql and pg_dump find: PGHOST, PGPORT, PGUSER, PGSERVICE and ~/.pgpass apply
    #[arg(short, long, value_name = "DBNAME")]
    pub dbname: Option<String>,
    /// A dump of it
    #[arg(short = 'i', long, value_name = "FILE")]
    pub dump: Option<PathBuf>,
}

/// What to do with the result of a database that is here.
#[derive(Debug, Args)]
pub struct Restoring {
    /// Restore the result under this name [default: DBNAME_test_VERSION_TIME]; never over one that is there
    #[arg(short, long, value_name = "NAME")]
    pub restore_name: Option<String>,
    /// Keep the result as a file, and restore nothing
    #[arg(short = 'x', long, conflicts_with = "restore_name")]
    pub no_restore: bool,
    /// How many tables to restore at once
    #[arg(short, long, value_name = "NUMBER", default_value_t = 2, visible_alias = "core-count",
        value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: u8,
    /// Where Odoo keeps its filestore [default: ~/.local/share/Odoo and /var/lib/odoo, where one has it]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// What to do after the upload.
#[derive(Debug, Args)]
pub struct Wait {
    /// Follow the log until the upgrade has ended, and end with its exit code
    #[arg(long)]
    pub wait: bool,
    /// Once delivered, put upgraded.*, report.html, report.json and upgrade.log into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Overwrite files that are there
    #[arg(long, requires = "out")]
    pub force: bool,
    /// Stop waiting after this long
    #[arg(long, value_name = "MINUTES")]
    pub timeout: Option<u32>,
}

/// An upload to go on with.
#[derive(Debug, Args)]
pub struct Resume {
    /// The request
    pub request: Uuid,
    /// The dump that the upload began with
    #[arg(long, value_name = "FILE")]
    pub dump: PathBuf,
    /// The scripts that the request was handed in with, where they are not there yet
    #[arg(long, value_name = "FILE")]
    pub scripts: Option<PathBuf>,
    /// What to do after the upload.
    #[command(flatten)]
    pub wait: Wait,
}

/// What to restore.
#[derive(Debug, Args)]
pub struct Restore {
    /// The request
    #[arg(required_unless_present = "named")]
    pub request: Option<Uuid>,
    /// The request, for scripts that are used to it
    #[arg(short = 't', value_name = "REQUEST", conflicts_with = "request", hide = true)]
    pub named: Option<Uuid>,
    /// The database that it was made of, for the new one's name and Odoo's filestore [default: as the request is called]
    #[arg(short, long, value_name = "DBNAME")]
    pub dbname: Option<String>,
    /// How to restore.
    #[command(flatten)]
    pub restore: Restoring,
}

/// What to look at.
#[derive(Debug, Args)]
pub struct Check {
    /// The database, on the server that psql finds: PGHOST, PGPORT, PGUSER, PGSERVICE and ~/.pgpass apply
    #[arg(short, long, value_name = "DBNAME")]
    pub dbname: String,
    /// The version to upgrade to
    #[arg(short, long, value_name = "VERSION")]
    pub target: Version,
}
