//! A line of a program's log, as its dialect says.

use uplift_core::pack::{Dialect, Severity};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// How bad it is; none where the line has no head of its own.
    pub(super) severity: Option<Severity>,
    /// What is behind the head.
    pub(super) message: &'a str,
    /// What it tells of the run's way.
    pub(super) news: Option<News<'a>>,
}

/// What a line tells of the run's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News<'a> {
    /// A module's turn has come; where it says so, which of how many.
    Module { name: &'a str, place: Option<(u64, u64)> },
    /// A script of a module's begins; it ends where the next news come.
    Script { module: &'a str, name: &'a str },
    /// A module has taken this long, in milliseconds.
    Loaded { name: &'a str, millis: u64 },
}

/// Reads a line.
pub(super) fn read(dialect: Dialect, text: &str) -> Line<'_> {
    let read = match dialect {
        Dialect::Plain => None,
        Dialect::Odoo => odoo(text),
        Dialect::Tryton => tryton(text),
    };
    read.unwrap_or(Line { severity: None, message: text, news: None })
}

/// `2026-11-25 10:00:00,000 7 INFO work odoo.modules.loading: Module sale loaded in 0.52s, 130 queries (+130 other)`, as
/// `odoo/netsvc.py` writes it, with a space behind it, where its figures of performance would stand.
fn odoo(text: &str) -> Option<Line<'_>> {
    let mut words = text.trim_end().splitn(6, ' ');
    let (date, time) = (words.next()?, words.next()?);
    if !is_date(date) || !time.contains(',') || words.next()?.parse::<u32>().is_err() {
        return None;
    }
    let severity = severity(words.next()?)?;
    let _database = words.next()?;
    let (_logger, message) = words.next()?.split_once(": ")?;
    let news = odoo_news(message);
    Some(Line { severity: Some(severity), message, news })
}

fn odoo_news(message: &str) -> Option<News<'_>> {
    if let Some(rest) = message.strip_prefix("Loading module ") {
        let (name, place) = rest.split_once(" (")?;
        return Some(News::Module { name, place: of(place.trim_end_matches(')')) });
    }
    if let Some(rest) = message.strip_prefix("module ") {
        let (module, rest) = rest.split_once(": Running ")?;
        // Odoo after 19 says `upgrade` in its place.
        let script = rest.strip_prefix("migration ").or_else(|| rest.strip_prefix("upgrade "))?;
        let (_version, name) = script.split_once("] ")?;
        return Some(News::Script { module, name: name.trim_end() });
    }
    let (name, rest) = message.strip_prefix("Module ")?.split_once(" loaded in ")?;
    let seconds: f64 = rest.split(['s', ' ', ',']).next()?.parse().ok()?;
    Some(News::Loaded { name, millis: millis(seconds)? })
}

/// `7 140… [2026-11-25 10:00:00,000] INFO trytond.modules party:loading party.xml`, as trytond's command line writes it; 8.0
/// has a space behind the module.
fn tryton(text: &str) -> Option<Line<'_>> {
    let (_head, rest) = text.split_once("] ")?;
    let mut words = rest.splitn(3, ' ');
    let severity = severity(words.next()?)?;
    let logger = words.next()?;
    let message = words.next().unwrap_or("");
    let news = if logger == "trytond.modules" { tryton_news(message) } else { None };
    Some(Line { severity: Some(severity), message, news })
}

fn tryton_news(message: &str) -> Option<News<'_>> {
    let name = message.split([':', ' ']).next()?;
    let is_module = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    is_module.then_some(News::Module { name, place: None })
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

fn severity(word: &str) -> Option<Severity> {
    Some(match word {
        "DEBUG" | "INFO" => Severity::Info,
        "WARNING" => Severity::Warning,
        "ERROR" => Severity::Error,
        "CRITICAL" => Severity::Critical,
        _ => return None,
    })
}

/// `9/20`.
fn of(place: &str) -> Option<(u64, u64)> {
    let (done, total) = place.split_once('/')?;
    let (done, total) = (done.parse().ok()?, total.parse().ok()?);
    // A list of one is Odoo's first, which only holds `base`; a longer one than this is none.
    (done <= total && (2..1_000_000).contains(&total)).then_some((done, total))
}

/// Seconds of a log as milliseconds; a number that is none, or that no run takes, is no time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and a year of milliseconds"
)]
fn millis(seconds: f64) -> Option<u64> {
    (0.0..31_536_000.0).contains(&seconds).then(|| (seconds * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odoos_lines_are_read() {
        let line = read(
            Dialect::Odoo,
            "2026-11-25 10:00:00,123 7 INFO work odoo.modules.loading: Module sale loaded in 0.52s, 130 queries (+130 other)",
        );
        assert_eq!(line.severity, Some(Severity::Info));
        assert_eq!(line.news, Some(News::Loaded { name: "sale", millis: 520 }));
        let line = read(
            Dialect::Odoo,
            "2026-11-25 10:00:00,123 7 INFO work odoo.modules.loading: Loading module sale (12/110) ",
        );
        assert_eq!(line.news, Some(News::Module { name: "sale", place: Some((12, 110)) }));
        let line = read(Dialect::Odoo, "2026-11-25 10:00:00,123 7 ERROR ? odoo.sql_db: bad query: SELECT 1");
        assert_eq!((line.severity, line.message), (Some(Severity::Error), "bad query: SELECT 1"));
        let line = read(
            Dialect::Odoo,
            "2026-11-25 10:00:00,123 7 INFO work odoo.modules.migration: module base: Running migration [>18.0.1.3] pre-migration ",
        );
        assert_eq!(line.news, Some(News::Script { module: "base", name: "pre-migration" }));
        assert_eq!(read(Dialect::Odoo, "  File \"x.py\", line 1").severity, None);
    }

    #[test]
    fn trytons_lines_are_read() {
        let text = "7 139872 [2026-11-25 23:12:37,122] INFO trytond.modules party:loading party.xml";
        let line = read(Dialect::Tryton, text);
        assert_eq!(line.severity, Some(Severity::Info));
        assert_eq!(line.news, Some(News::Module { name: "party", place: None }));
        let line =
            read(Dialect::Tryton, "7 1 [2026-11-25 23:12:37,122] INFO trytond.modules party load party.xml");
        assert_eq!(line.news, Some(News::Module { name: "party", place: None }));
        let line = read(Dialect::Tryton, "7 1 [Wed Nov 25 10:00:00 2026] ERROR trytond.backend boom");
        assert_eq!((line.severity, line.news), (Some(Severity::Error), None));
    }

    #[test]
    fn a_plain_line_says_what_it_says() {
        let text = "2026-11-25 10:00:00,123 7 ERROR work odoo.x: y";
        assert_eq!(read(Dialect::Plain, text), Line { severity: None, message: text, news: None });
    }
}
