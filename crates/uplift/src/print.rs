//! What people and programs read: results on stdout, everything else on stderr.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use uplift_core::{
    Failure, Purpose, Scripts,
    api::{EstimateView, FailureView, LogLine, Request},
    event::Level,
    request::StateCode,
};

use crate::text;

/// How to speak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    json: bool,
    colours: [bool; 2],
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// They are what was asked for.
    Stdout,
    /// They go along with what was asked for.
    Stderr,
}

impl Printer {
    pub(crate) fn new(json: bool) -> Self {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { json, colours: [io::stdout().is_terminal() && wanted, io::stderr().is_terminal() && wanted] }
    }

    /// Whether a program reads stdout.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// A line, or several, of the result.
    pub(crate) fn out(self, text: &str) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{text}")
    }

    /// The result for a program.
    pub(crate) fn json(self, value: &impl Serialize) -> io::Result<()> {
        let pretty = io::stdout().is_terminal();
        let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        self.out(&text?)
    }

    /// Something to know besides the result. Nothing depends on its being read.
    pub(crate) fn note(self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A line of a request's log.
    pub(crate) fn log_line(self, line: &LogLine, sink: Sink) -> io::Result<()> {
        if self.json && sink == Sink::Stdout {
            return self.out(&serde_json::to_string(line)?);
        }
        let (word, colour) = match line.level {
            Level::Info => ("", ""),
            Level::Warning => ("warning: ", "33"),
            Level::Error => ("error: ", "31"),
        };
        let time = line.at.format("%H:%M:%S");
        // Later lines of one message stand below its text, where no line of ours begins.
        let words = text::block(&line.text, "          ");
        let words = format!("{word}{}", words.trim_start());
        let words = if word.is_empty() { words } else { self.paint(&words, colour, sink) };
        let shown = format!("{time}  {words}");
        match sink {
            Sink::Stdout => self.out(&shown),
            Sink::Stderr => {
                self.note(&shown);
                Ok(())
            }
        }
    }

    fn paint(self, text: &str, colour: &str, sink: Sink) -> String {
        let colours = self.colours[usize::from(sink == Sink::Stderr)];
        if colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn paint_state(self, state: StateCode, text: &str) -> String {
        let colour = match state {
            StateCode::AwaitingUpload | StateCode::Queued | StateCode::Cancelled => return text.to_owned(),
            StateCode::Running => "36",
            StateCode::Delivered => "32",
            StateCode::Intervention => "33",
            StateCode::Rejected => "31",
        };
        self.paint(text, colour, Sink::Stdout)
    }

    /// A request with all that is known, and its files that are here.
    pub(crate) fn request(
        self,
        request: &Request,
        fetched: &[PathBuf],
        now: DateTime<Utc>,
    ) -> io::Result<()> {
        self.request_with(request, fetched, None, now)
    }

    /// The same with the database that its result was restored as.
    pub(crate) fn request_with(
        self,
        request: &Request,
        fetched: &[PathBuf],
        restored: Option<&str>,
        now: DateTime<Utc>,
    ) -> io::Result<()> {
        let mut rows = vec![
            ("request", request.id.to_string()),
            ("database", text::line(&request.database)),
            ("purpose", request.purpose.to_string()),
            ("upgrade", upgrade(request)),
            ("state", self.paint_state(request.state, &stage(request))),
        ];
        rows.extend(request.scripts.as_ref().map(|scripts| ("scripts", attached(scripts))));
        let time = |at: DateTime<Utc>| format!("{} ({})", text::time(at), text::ago(at, now));
        rows.push(("submitted", time(request.created_at)));
        rows.extend(request.uploaded_at.map(|at| ("uploaded", time(at))));
        rows.extend(request.started_at.map(|at| ("started", time(at))));
        rows.extend(request.finished_at.map(|at| ("ended", time(at))));
        match (request.deleted_at, request.source_deleted_at) {
            (Some(at), _) => rows.push(("removed", format!("everything, {}", time(at)))),
            (None, Some(at)) => rows.push(("removed", format!("the dump that was handed in, {}", time(at)))),
            (None, None) => {}
        }
        if let (Some(from), Some(to)) = (request.uploaded_at, request.finished_at) {
            rows.push(("took", text::duration((to - from).to_std().unwrap_or_default())));
        }
        if let Some(at) = request.deadline.filter(|_| !request.state.is_final()) {
            rows.push(("promised", time(at)));
        }
        rows.extend(request.not_before.map(|at| ("booked for", time(at))));
        rows.extend(request.queue_place.map(|place| ("queue", format!("place {place}"))));
        if let Some(estimate) = &request.estimate {
            rows.push(("takes", expected(estimate)));
        }
        rows.extend(request.accepted_at.map(|at| ("accepted", time(at))));
        if let Some(result) = &request.result {
            let name = text::line(&result.file_name);
            rows.push(("result", format!("{name}, {}", text::bytes(result.bytes))));
            rows.push(("sha256", text::line(&result.sha256)));
        }
        rows.extend(request.failure.as_ref().map(|failure| ("failure", describe(failure))));
        if let Some(held) = &request.held {
            rows.push(("waits", format!("{}, since {}", text::line(&held.message), time(held.since))));
        }
        let reported = request.discrepancy.as_ref();
        rows.extend(reported.map(|said| ("reported", text::block(said, "      ").trim_start().to_owned())));
        rows.extend(
            request.note.as_ref().map(|note| ("note", text::block(note, "      ").trim_start().to_owned())),
        );
        rows.extend(fetched.iter().map(|file| ("fetched", text::line(&file.to_string_lossy()))));
        rows.extend(restored.map(|name| ("restored as", text::line(name))));
        rows.extend(next(request, restored.is_some() || !fetched.is_empty()).map(|next| ("next", next)));
        self.fields(&rows)
    }

    /// Names and values.
    pub(crate) fn fields(self, rows: &[(&str, String)]) -> io::Result<()> {
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in rows {
            self.out(&format!("{name:width$}  {value}"))?;
        }
        Ok(())
    }

    /// A list of requests, the newest first.
    pub(crate) fn requests(self, requests: &[Request], account: bool, now: DateTime<Utc>) -> io::Result<()> {
        let mut head = vec!["REQUEST", "DATABASE", "PURPOSE", "UPGRADE", "SUBMITTED", "STATE"];
        if account {
            head.insert(1, "ACCOUNT");
        }
        let row = |request: &Request| {
            let mut row = vec![
                request.id.to_string(),
                text::line(&request.database),
                request.purpose.to_string(),
                upgrade(request),
                text::ago(request.created_at, now),
                self.paint_state(request.state, &stage(request)),
            ];
            if account {
                row.insert(1, text::line(&request.account));
            }
            row
        };
        self.table(&head, &requests.iter().map(row).collect::<Vec<_>>())
    }

    /// Columns as wide as what stands in them; the last one is not filled up, and may hold colours.
    pub(crate) fn table(self, head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([head[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let line = |cells: Vec<&str>| {
            let padded: Vec<String> =
                cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
            padded.join("  ").trim_end().to_owned()
        };
        self.out(&line(head.to_vec()))?;
        rows.iter().try_for_each(|row| self.out(&line(row.iter().map(String::as_str).collect())))
    }
}

/// A state in words that go behind "is".
pub(crate) const fn state(state: StateCode) -> &'static str {
    match state {
        StateCode::AwaitingUpload => "waiting for its upload",
        StateCode::Queued => "queued",
        StateCode::Running => "running",
        StateCode::Delivered => "delivered",
        StateCode::Intervention => "in intervention",
        StateCode::Rejected => "rejected",
        StateCode::Cancelled => "cancelled",
    }
}

/// The state, and where a running request is in it.
pub(crate) fn stage(request: &Request) -> String {
    let mut text = state(request.state).to_owned();
    if request.cancelling {
        text.push_str(", being cancelled");
    }
    if let Some(progress) = request.progress.as_ref().filter(|_| request.state == StateCode::Running) {
        text.push_str(": ");
        text.push_str(&text::line(&progress.stage));
        text.push_str(&format!(", {}% of all", progress.percent.min(100)));
    }
    if request.attempt > 1 {
        text.push_str(&format!(" (attempt {})", request.attempt));
    }
    text
}

/// How long it takes, by how long others took.
pub(crate) fn expected(estimate: &EstimateView) -> String {
    let time = |seconds| text::duration(Duration::from_secs(seconds));
    let of = if estimate.own { "this database" } else { "others that are alike" };
    let late = if estimate.longer_than_usual { "; it takes longer than usual" } else { "" };
    let (p50, p90) = (time(estimate.p50_seconds), time(estimate.p90_seconds));
    let upgrades =
        if estimate.samples == 1 { "1 upgrade".to_owned() } else { format!("{} upgrades", estimate.samples) };
    format!("{p50} to {p90}, by {upgrades} of {of}{late}")
}

fn attached(scripts: &Scripts) -> String {
    format!("{}, sha256 {}", text::bytes(scripts.bytes), text::line(&scripts.sha256))
}

fn upgrade(request: &Request) -> String {
    let product = request.product.as_ref().map(|product| format!("{product} ")).unwrap_or_default();
    let source = request.source_version.as_deref().unwrap_or("?");
    text::line(&format!("{product}{source} → {}", request.target))
}

/// The message, and what helps to find the place.
fn describe(failure: &FailureView) -> String {
    let mut lines = vec![text::line(&failure.message)];
    let mut extra = |name: &str, value: Option<&String>| {
        let value = value.filter(|value| !failure.message.contains(value.as_str()));
        lines.extend(value.map(|value| format!("{name}:\n{}", text::block(value, "    "))));
    };
    match &failure.failure {
        Failure::InputRejected(rejection) => extra("  statement", rejection.statement.as_ref()),
        Failure::ScriptFailed(script) => {
            extra("  statement", script.statement.as_ref());
            extra("  detail", script.detail.as_ref());
        }
        _ => {}
    }
    lines.join("\n")
}

/// What its customer does next.
fn next(request: &Request, fetched: bool) -> Option<String> {
    let id = request.id;
    let fetch = format!("uplift download {id}");
    let scripts = if request.scripts.is_some() { " --scripts FILE" } else { "" };
    Some(match request.state {
        StateCode::AwaitingUpload => format!("uplift resume {id} --dump FILE{scripts}"),
        StateCode::Queued | StateCode::Running => format!("uplift log -f {id}"),
        StateCode::Delivered => match (request.purpose, request.accepted_at) {
            (Purpose::Test, None) if fetched => format!("try it, and then: uplift accept {id}"),
            (Purpose::Test, None) => format!("{fetch}, try it, and then: uplift accept {id}"),
            (Purpose::Test, Some(_)) => {
                let database = text::argument(&request.database);
                format!("uplift production --dump FILE -t {} --database {database}{scripts}", request.target)
            }
            (Purpose::Production, _) if fetched => return None,
            (Purpose::Production, _) => fetch,
        },
        StateCode::Intervention => {
            "nothing: the platform's engineers have it, and the upgrade goes on once they are done".into()
        }
        StateCode::Rejected => "change what the failure names, then hand in the dump again".into(),
        StateCode::Cancelled => return None,
    })
}

/// How far so many bytes are. Nothing is shown where stderr is no terminal.
pub(crate) fn bytes_bar(word: &'static str, bytes: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let template = "{msg}  {bar:30} {percent:>3}%  {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
    // The template is a constant; if it were wrong, the default one would do.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.set_message(word);
    bar
}

/// How much there is of what has no end yet. Nothing is shown where stderr is no terminal.
pub(crate) fn growing_bar(word: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template("{spinner} {msg}  {decimal_bytes}  {decimal_bytes_per_sec}  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_message(word);
    bar
}

/// What a request does at the moment. Nothing is shown where stderr is no terminal.
pub(crate) fn stage_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} {elapsed}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
