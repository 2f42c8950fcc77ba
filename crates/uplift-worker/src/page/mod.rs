//! The report as a page that a business person can read: what was upgraded, whether the balances are the same, what
//! to test; and behind that, for whoever has to know, how it was done.
//!
//! One file without scripts or anything to load, so that it can be mailed, archived and printed. Names in it come from
//! the customer's dump: askama escapes everything.

mod balance;
mod tables;
mod words;

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use uplift_core::{
    Purpose,
    event::Stage,
    report::{Report, StageTime},
};

use balance::{Balance, Verdict};
use tables::Tables;

/// Names of one kind that are listed: of broken constraints, say. All of them are in `report.json`.
const MOST_NAMES: usize = 50;

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
pub(crate) struct Page<'a> {
    report: &'a Report,
    test: bool,
    ended_at: DateTime<Utc>,
    millis: u64,
    parts: Vec<Part>,
    balances: Vec<Balance>,
    /// How many comparisons had to come out equal, and did.
    kept: u64,
    tables: Tables,
    left_out: Vec<LeftOut<'a>>,
    unsound: Vec<Unsound<'a>>,
    points: Vec<Point>,
    /// How many there are of those.
    to_look_at: u64,
}

/// A stage in the bar.
struct Part {
    stage: Stage,
    name: &'static str,
    millis: u64,
    percent: f64,
    /// The same in words.
    share: String,
}

/// What restore left out, in plain words.
struct LeftOut<'a> {
    what: &'a str,
    count: u64,
    meaning: &'static str,
}

/// Things of the result that are not as sound as they should be.
struct Unsound<'a> {
    what: &'static str,
    meaning: &'static str,
    names: &'a [String],
    left: usize,
}

/// Something that the reader should look at, and where it stands.
struct Point {
    text: String,
    place: &'static str,
}

impl<'a> Page<'a> {
    pub(crate) fn of(report: &'a Report) -> Self {
        let millis = report.stages.iter().map(|stage| stage.millis).sum();
        let mut page = Self {
            report,
            test: report.purpose == Purpose::Test,
            ended_at: report.started_at + TimeDelta::milliseconds(i64::try_from(millis).unwrap_or(0)),
            millis,
            parts: parts(report, millis),
            balances: report.reconcile.iter().map(Balance::of).collect(),
            kept: report.reconcile.iter().filter(|pair| balance::binds(pair) && pair.equal).count() as u64,
            tables: Tables::of(&report.tables),
            left_out: report.left_out.iter().map(LeftOut::of).collect(),
            unsound: unsound(report),
            points: Vec::new(),
            to_look_at: 0,
        };
        page.points = page.points();
        page.to_look_at = page.points.len() as u64;
        page
    }

    /// What is no failure, but not nothing either.
    fn points(&self) -> Vec<Point> {
        let different = self.balances.iter().filter(|balance| balance.verdict == Verdict::Different);
        let skipped = self.balances.iter().filter(|balance| matches!(balance.verdict, Verdict::Skipped(_)));
        let unsound: usize = self.unsound.iter().map(|kind| kind.names.len()).sum();
        let point = |number: usize, one: &str, many: &str, place| {
            (number > 0).then(|| Point { text: words::plural(number as u64, one, many), place })
        };
        [
            point(different.count(), "comparison differs", "comparisons differ", "balances"),
            point(skipped.count(), "comparison was not made", "comparisons were not made", "balances"),
            point(
                self.report.custom_modules.len(),
                "custom module is not covered by the standard upgrade",
                "custom modules are not covered by the standard upgrade",
                "modules",
            ),
            point(
                self.report.preflight.len(),
                "finding in the data that came in",
                "findings in the data that came in",
                "findings",
            ),
            point(
                unsound,
                "weakness in the result’s structure",
                "weaknesses in the result’s structure",
                "health",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn parts(report: &Report, all: u64) -> Vec<Part> {
    let part = |time: &StageTime| {
        let percent = if all == 0 { 0.0 } else { time.millis as f64 * 100.0 / all as f64 };
        Part {
            stage: time.stage,
            name: match time.stage {
                Stage::Fetch => "Look at the dump",
                Stage::Restore => "Restore it",
                Stage::Upgrade => "Upgrade",
                Stage::Dump => "Write the result",
                Stage::Prove => "Prove the result",
                Stage::Settle => "Finish",
            },
            millis: time.millis,
            percent,
            share: if percent < 0.5 { "under 1\u{a0}%".to_owned() } else { format!("{percent:.0}\u{a0}%") },
        }
    };
    report.stages.iter().map(part).collect()
}

impl<'a> LeftOut<'a> {
    fn of(left: &'a uplift_core::event::LeftOut) -> Self {
        let meaning = match left.what.as_str() {
            "owners" => {
                "Who owned a table on the old server. In the result, everything belongs to whoever restores it."
            }
            "privileges" => {
                "Who was allowed what on the old server. Grant it again if other users read this database."
            }
            "clean-up of what is not there" => "Commands that empty a database first. It was empty already.",
            "the database itself" => {
                "The database’s own name and settings. You choose the name when you restore."
            }
            "publications and subscriptions" => {
                "Replication to or from other servers. Set it up again if you use it."
            }
            "comments on extensions" => "Descriptions of PostgreSQL’s own extensions. No data is missing.",
            "security labels" => {
                "Labels of a security module on the old server. Set them again if you use one."
            }
            "languages that are there" => "Programming languages that are there anyway. Nothing is missing.",
            "the schema public" => "The default schema, which is there anyway. Nothing is missing.",
            "tablespaces" => "On which disk of the old server something lay. No data is missing.",
            "settings unknown to this server" => "Settings of the old server’s version. They hold no data.",
            "extensions unknown to this server" => {
                "Extensions of PostgreSQL that no part of this database needed. No data is missing."
            }
            _ => "Not part of the data.",
        };
        Self { what: &left.what, count: left.count, meaning }
    }
}

fn unsound(report: &Report) -> Vec<Unsound<'_>> {
    let health = &report.health;
    [
        (
            "Constraints that were never checked",
            "Rules on which existing rows were not verified. Some of them may break the rule.",
            &health.invalid_constraints,
        ),
        (
            "Indexes that are not usable",
            "Searches are slower until they are rebuilt.",
            &health.invalid_indexes,
        ),
        (
            "Number sequences that are behind",
            "The next record may be refused, because its number is taken.",
            &health.sequences_behind,
        ),
    ]
    .into_iter()
    .filter(|(_, _, names)| !names.is_empty())
    .map(|(what, meaning, names)| {
        let shown = names.len().min(MOST_NAMES);
        Unsound { what, meaning, names: &names[..shown], left: names.len() - shown }
    })
    .collect()
}

#[cfg(test)]
mod tests;
