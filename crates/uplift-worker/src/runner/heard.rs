//! What a run has said so far, as far as it decides how the run ends and what is known of it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use regex_lite::Regex;
use uplift_core::{
    event::{Level, Timing},
    failure::ScriptFailure,
    pack::{Run, Severity},
};

use super::{
    line::{self, News},
    traceback::Traceback,
};

/// How many of the slowest parts are told.
const SLOWEST: usize = 20;

/// No more parts are kept, since what names them is a program's output; the largest ERPs have some thousand modules.
const MOST_PARTS: usize = 5_000;

/// No more of a line is kept or looked through, in bytes.
const LONGEST_KEPT: usize = 2_000;

/// No part has a longer name, in bytes.
const LONGEST_PART: usize = 200;

/// How many of the last lines are kept.
const TAIL: usize = 20;

/// Listens to one run.
pub(super) struct Heard<'a> {
    run: &'a Run,
    tolerated: Vec<Regex>,
    /// The first line that may not be.
    fatal: Option<String>,
    /// The last line that says that something failed.
    error: Option<String>,
    /// The last lines, and the last of them that is not indented.
    tail: VecDeque<String>,
    last: Option<String>,
    traceback: Traceback,
    module: Option<(String, Instant)>,
    script: Option<(String, Instant)>,
    /// The modules in the order in which they were first named.
    named: Vec<String>,
    /// How far the run has come, which it never takes back.
    furthest: (u64, u64),
    timings: BTreeMap<String, u64>,
    /// How many warnings and errors there were.
    pub(super) notices: u64,
}

/// What a line comes to.
pub(super) struct Told {
    pub(super) level: Level,
    /// Which module of how many.
    pub(super) place: Option<(u64, u64)>,
}

impl<'a> Heard<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        Self {
            run,
            // They were compiled once when the pack was read.
            tolerated: run.tolerate.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect(),
            fatal: None,
            error: None,
            tail: VecDeque::new(),
            last: None,
            traceback: Traceback::default(),
            module: None,
            script: None,
            named: Vec::new(),
            furthest: (0, 1),
            timings: BTreeMap::new(),
            notices: 0,
        }
    }

    /// Takes in a line.
    pub(super) fn hear(&mut self, text: &str, now: Instant) -> Told {
        let line = line::read(self.run.log, text);
        if line.severity >= Some(Severity::Error) {
            // Python tells where it was behind the line that says what failed: an earlier tale is of something else.
            self.traceback = Traceback::default();
        }
        self.traceback.hear(text, line.severity.is_some());
        let mut place = None;
        if line.news.is_some()
            && let Some((script, since)) = self.script.take()
        {
            self.took(&script, between(since, now));
        }
        match line.news {
            Some(News::Script { module, name }) => self.script = Some((format!("{module}: {name}"), now)),
            Some(News::Module { name, place: of }) => {
                place = of.or_else(|| self.place_of(name)).and_then(|place| self.further(place));
                self.enter(Some(name), now);
            }
            Some(News::Loaded { name, millis }) => {
                self.module = None;
                self.took(name, millis);
            }
            None => {}
        }
        self.tail.push_back(shortened(text, LONGEST_KEPT).to_owned());
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
        if text.starts_with(|first: char| !first.is_whitespace()) {
            self.last = Some(shortened(text, LONGEST_KEPT).to_owned());
        }
        let severity = line.severity.unwrap_or(Severity::Info);
        if severity >= Severity::Warning {
            self.notices += 1;
        }
        if severity >= Severity::Error {
            self.error = Some(shortened(line.message, LONGEST_KEPT).to_owned());
        }
        let tolerated =
            || self.tolerated.iter().any(|pattern| pattern.is_match(shortened(text, LONGEST_KEPT)));
        if self.fatal.is_none() && self.run.fatal.contains(&severity) && !tolerated() {
            self.fatal = Some(shortened(line.message, LONGEST_KEPT).to_owned());
        }
        let level = match severity {
            Severity::Info => Level::Info,
            Severity::Warning => Level::Warning,
            Severity::Error | Severity::Critical => Level::Error,
        };
        Told { level, place }
    }

    /// Where a module stands that was named before, when all were: a program that does not count its modules goes through
    /// their list once before it works on each.
    fn place_of(&mut self, name: &str) -> Option<(u64, u64)> {
        let name = shortened(name, LONGEST_PART);
        if self.module.as_ref().is_some_and(|(current, _)| current == name) {
            return None;
        }
        let Some(index) = self.named.iter().position(|named| named == name) else {
            if self.named.len() < MOST_PARTS {
                self.named.push(name.to_owned());
            }
            return None;
        };
        Some((index as u64, self.named.len() as u64))
    }

    /// A place that is further than the last one.
    fn further(&mut self, place: (u64, u64)) -> Option<(u64, u64)> {
        let ((done, total), (before, of)) = (place, self.furthest);
        let is_further = u128::from(done) * u128::from(of) > u128::from(before) * u128::from(total);
        if is_further {
            self.furthest = place;
        }
        is_further.then_some(place)
    }

    /// The next module, where there is one; the one before it is through.
    fn enter(&mut self, module: Option<&str>, now: Instant) {
        if self.module.as_ref().map(|(name, _)| name.as_str()) == module {
            return;
        }
        if let Some((name, since)) = self.module.take() {
            self.took(&name, between(since, now));
        }
        self.module = module.map(|name| (name.to_owned(), now));
    }

    fn took(&mut self, part: &str, millis: u64) {
        let part = shortened(part, LONGEST_PART);
        if self.timings.len() < MOST_PARTS || self.timings.contains_key(part) {
            *self.timings.entry(part.to_owned()).or_default() += millis;
        }
    }

    /// The slowest parts, the slowest first.
    pub(super) fn timings(&mut self, now: Instant) -> Vec<Timing> {
        self.enter(None, now);
        if let Some((script, since)) = self.script.take() {
            self.took(&script, between(since, now));
        }
        let timings = std::mem::take(&mut self.timings).into_iter();
        let mut timings: Vec<_> = timings.map(|(part, millis)| Timing { part, millis }).collect();
        timings.sort_by_key(|timing| std::cmp::Reverse(timing.millis));
        timings.truncate(SLOWEST);
        timings
    }

    /// Why the run has failed, if it has: by its exit code, or by what it said.
    pub(super) fn failure(mut self, code: i64) -> Option<ScriptFailure> {
        let Traceback { text, exception, .. } = self.traceback;
        let message = match (code, self.fatal) {
            (0, None) => return None,
            (0, Some(fatal)) => format!("the run ended with 0, and yet it said: {fatal}"),
            (_, fatal) => exception
                .or(self.error)
                .or(fatal)
                .or(self.last)
                .unwrap_or_else(|| format!("the run ended with exit code {code} and said nothing")),
        };
        // Where Python has not told where it was, the last lines have to do.
        let said = if text.is_empty() { self.tail.make_contiguous().join("\n") } else { text };
        let detail = format!("exit code {code}\n{said}");
        let step = self.run.id.clone();
        Some(ScriptFailure { step, message, detail: Some(detail), ..ScriptFailure::default() })
    }
}

/// The beginning of a text, at most so many bytes.
fn shortened(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// In milliseconds.
fn between(since: Instant, now: Instant) -> u64 {
    u64::try_from(now.duration_since(since).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uplift_core::pack::Dialect;

    use super::*;

    fn run(fatal: Vec<Severity>, tolerate: &[&str]) -> Run {
        Run {
            id: "17.0-18.0/update".into(),
            image: "odoo:18.0".into(),
            command: vec!["odoo".into()],
            env: BTreeMap::new(),
            log: Dialect::Odoo,
            fatal,
            tolerate: tolerate.iter().map(ToString::to_string).collect(),
            filestore: false,
            checkpoint: true,
            timeout_seconds: 60,
        }
    }

    fn heard<'a>(run: &'a Run, log: &str) -> Heard<'a> {
        let mut heard = Heard::new(run);
        let now = Instant::now();
        for line in log.lines() {
            heard.hear(line, now);
        }
        heard
    }

    #[test]
    fn the_last_exception_is_the_message_and_its_traceback_the_detail() {
        let run = run(Vec::new(), &[]);
        let log = "\
2026-11-25 10:00:00,000 7 CRITICAL work odoo.service.server: Failed to initialize database `work`.
Traceback (most recent call last):
  File \"a.py\", line 1, in first
ValueError: first

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File \"b.py\", line 2, in second
    cr.execute(query)
psycopg2.errors.UndefinedColumn: column \"x\" does not exist
LINE 1: SELECT x
               ^
2026-11-25 10:00:01,000 7 INFO work odoo.service.server: Stopping";
        let failure = heard(&run, log).failure(255).unwrap();
        assert_eq!(failure.message, "psycopg2.errors.UndefinedColumn: column \"x\" does not exist");
        let detail = failure.detail.unwrap();
        assert!(detail.starts_with("exit code 255\nTraceback"), "{detail}");
        assert!(detail.contains("LINE 1: SELECT x") && !detail.contains("ValueError"), "{detail}");
    }

    #[test]
    fn what_is_fatal_fails_a_run_that_ended_with_0_and_what_is_tolerated_does_not() {
        let log = "2026-11-25 10:00:00,000 7 ERROR work odoo.addons.x: could not fetch the logo";
        let strict = run(vec![Severity::Error], &[]);
        let message = heard(&strict, log).failure(0).unwrap().message;
        assert_eq!(message, "the run ended with 0, and yet it said: could not fetch the logo");
        let lenient = run(vec![Severity::Error], &["fetch the logo$"]);
        assert_eq!(heard(&lenient, log).failure(0), None);
        let deaf = run(Vec::new(), &[]);
        assert_eq!(heard(&deaf, log).failure(0), None);
    }

    #[test]
    fn a_traceback_of_what_was_dealt_with_is_not_the_reason() {
        let run = run(vec![Severity::Critical], &[]);
        let log = "\
2026-11-25 10:00:00,000 7 WARNING work odoo.x: a view was skipped
Traceback (most recent call last):
ValueError: long ago
2026-11-25 10:00:00,000 7 CRITICAL work odoo.y: no more memory for that";
        let failure = heard(&run, log).failure(255).unwrap();
        assert_eq!(failure.message, "no more memory for that");
    }

    #[test]
    fn what_is_kept_of_a_programs_output_is_bounded() {
        let run = run(Vec::new(), &[]);
        let (mut heard, now) = (Heard::new(&run), Instant::now());
        for number in 0..2 * MOST_PARTS {
            let name = format!("{number}{}", "x".repeat(10_000));
            heard.hear(
                &format!("2026-11-25 10:00:00,0 7 INFO work o: Module {name} loaded in 1.0s, 1 queries"),
                now,
            );
        }
        assert_eq!(heard.timings.len(), MOST_PARTS);
        assert!(heard.timings.keys().all(|part| part.len() <= LONGEST_PART));
        assert!(heard.tail.iter().all(|line| line.len() <= LONGEST_KEPT));
    }

    #[test]
    fn a_run_that_says_nothing_has_failed_by_its_code() {
        let run = run(Vec::new(), &[]);
        let failure = heard(&run, "").failure(3).unwrap();
        assert_eq!(failure.message, "the run ended with exit code 3 and said nothing");
    }

    #[test]
    fn modules_that_were_listed_once_tell_how_far_the_run_is_and_never_less() {
        let run = Run { log: Dialect::Tryton, ..run(Vec::new(), &[]) };
        let (mut heard, now) = (Heard::new(&run), Instant::now());
        let mut place = |name: &str| {
            heard.hear(&format!("7 1 [2026-11-25 23:12:37,122] INFO trytond.modules {name}:x"), now).place
        };
        assert_eq!(["ir", "ir", "res", "party", "sale"].map(&mut place), [None; 5]);
        assert_eq!(
            ["ir", "ir", "party", "res", "sale"].map(place),
            [None, None, Some((2, 4)), None, Some((3, 4))]
        );
    }

    #[test]
    fn modules_are_timed_by_what_they_say_or_by_when_the_next_one_begins() {
        let said = run(Vec::new(), &[]);
        let mut heard =
            heard(&said, "2026-11-25 10:00:00,0 7 INFO work o: Module sale loaded in 1.50s, 1 queries");
        let now = Instant::now();
        let say = |message: &str| format!("2026-11-25 10:00:00,0 7 INFO work o: {message}");
        let told = heard.hear(&say("Loading module stock (2/4)"), now);
        assert_eq!(told.place, Some((2, 4)));
        heard.hear(&say("module stock: Running migration [>18.0.1.1] post-migration"), now);
        heard.hear(
            &say("module stock: Running migration [18.0.1.1>] end-check"),
            now + Duration::from_secs(1),
        );
        let timings = heard.timings(now + Duration::from_secs(2));
        let timings: Vec<_> = timings.iter().map(|timing| (timing.part.as_str(), timing.millis)).collect();
        let scripts = [("stock: end-check", 1000), ("stock: post-migration", 1000)];
        assert_eq!(timings, [("stock", 2000), ("sale", 1500), scripts[0], scripts[1]]);
    }
}
