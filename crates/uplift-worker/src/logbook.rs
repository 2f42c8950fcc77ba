//! The request's own log, or a session's, on its way to the ledger in batches.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};
use tracing::Instrument as _;
use uplift_core::{
    Clock,
    ansi::{self, Piece},
    event::Level,
};
use uplift_platform::{
    Ledger,
    ledger::{LedgerError, LogLine},
};

use crate::{keeper::Hold, outcome::chain};

/// A batch is written when it is this old or this long.
const BATCH_AGE: Duration = Duration::from_millis(500);
const BATCH_LINES: usize = 500;

/// Lines that wait to be written; whoever writes more has to wait, too.
const QUEUE: usize = 2_000;

/// No line is longer, in bytes.
const MAX_LINE: usize = 4_000;

/// No attempt says more, in bytes.
const MAX_BYTES: usize = 16 << 20;

/// A line, and whether it is written however much was said before.
struct Said {
    line: LogLine,
    always: bool,
}

/// Where an attempt writes what its customer reads.
pub(crate) struct Logbook {
    lines: mpsc::Sender<Said>,
    writer: JoinHandle<()>,
    clock: Clock,
}

impl Logbook {
    /// Opens the log of what is held.
    pub(crate) fn open(hold: Hold, ledger: Ledger, clock: Clock) -> Self {
        let (lines, queue) = mpsc::channel(QUEUE);
        Self { lines, writer: tokio::spawn(write(hold, ledger, queue, clock).in_current_span()), clock }
    }

    /// Says a line, or several where the text has line breaks.
    pub(crate) async fn say(&self, level: Level, text: &str) {
        self.write(level, text, false).await;
    }

    /// Says how the attempt ends, which is never left out.
    pub(crate) async fn last(&self, level: Level, text: &str) {
        self.write(level, text, true).await;
    }

    async fn write(&self, level: Level, text: &str, always: bool) {
        for line in text.lines() {
            let line = LogLine { at: self.clock.now(), level, text: clean(line) };
            // The writer ends before its time only when the lease is lost; then nobody may write any more.
            let _ = self.lines.send(Said { line, always }).await;
        }
    }

    /// Says a line for the record.
    pub(crate) async fn info(&self, text: impl AsRef<str>) {
        self.say(Level::Info, text.as_ref()).await;
    }

    /// Writes what is left.
    pub(crate) async fn close(self) {
        drop(self.lines);
        if let Err(error) = self.writer.await {
            tracing::error!(%error, "write a request's log");
        }
    }
}

/// Without what a terminal would obey, colours apart, or a ledger cannot hold, and not longer than a line may be.
fn clean(line: &str) -> String {
    let end = line.floor_char_boundary(MAX_LINE);
    let mut text = String::with_capacity(end);
    for piece in ansi::pieces(&line[..end]) {
        match piece {
            Piece::Look(numbers) => text.extend(["\u{1b}[", numbers, "m"]),
            Piece::Text(plain) => {
                text.extend(plain.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }));
            }
        }
    }
    if end < line.len() {
        text.push_str(" … (line cut)");
    }
    text
}

async fn write(hold: Hold, ledger: Ledger, mut queue: mpsc::Receiver<Said>, clock: Clock) {
    let mut left = MAX_BYTES;
    while let Some(first) = queue.recv().await {
        let until = Instant::now() + BATCH_AGE;
        let mut batch = vec![first];
        while batch.len() < BATCH_LINES
            && let Ok(Some(line)) = timeout_at(until, queue.recv()).await
        {
            batch.push(line);
        }
        let batch = capped(batch, &mut left, clock);
        if !batch.is_empty() && !append(&hold, &ledger, &batch).await {
            return;
        }
    }
}

/// The lines that still fit, with a word where the first one does not.
fn capped(batch: Vec<Said>, left: &mut usize, clock: Clock) -> Vec<LogLine> {
    let mut kept = Vec::with_capacity(batch.len());
    for Said { line, always } in batch {
        let open = *left > 0;
        *left = left.saturating_sub(line.text.len());
        if always || *left > 0 {
            kept.push(line);
        } else if open {
            let text =
                format!("the log of this attempt is longer than {MAX_BYTES} bytes: what follows is left out");
            kept.push(LogLine { at: clock.now(), level: Level::Warning, text });
        }
    }
    kept
}

/// Writes a batch, however long the ledger takes to come back; `false` once the lease is lost.
async fn append(hold: &Hold, ledger: &Ledger, batch: &[LogLine]) -> bool {
    loop {
        let appended = match hold.session() {
            None => ledger.append_log(hold.lease(), batch).await,
            Some(session) => ledger.append_session(session, hold.lease().worker(), false, batch).await,
        };
        match appended {
            Ok(()) => return true,
            Err(LedgerError::LeaseLost(_) | LedgerError::SessionOver(_)) => return false,
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(request.id = %hold.lease().request(), error, "write a request's log; trying again");
                tokio::select! {
                    () = sleep(Duration::from_secs(1)) => {}
                    crate::keeper::Stop::LeaseLost = hold.stopped() => return false,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn said(text: &str, always: bool) -> Said {
        let line = LogLine { at: DateTime::UNIX_EPOCH, level: Level::Info, text: text.to_owned() };
        Said { line, always }
    }

    #[test]
    fn what_does_not_fit_is_left_out_with_one_word_and_the_last_line_is_not() {
        let clock = Clock::Fixed(DateTime::UNIX_EPOCH);
        let mut left = 10;
        let first =
            capped(vec![said("12345", false), said("123456", false), said("x", false)], &mut left, clock);
        let later = capped(vec![said("y", false), said("the end", true)], &mut left, clock);
        let texts: Vec<&str> = first.iter().chain(&later).map(|line| line.text.as_str()).collect();
        let marker =
            format!("the log of this attempt is longer than {MAX_BYTES} bytes: what follows is left out");
        assert_eq!(texts, ["12345", &marker, "the end"]);
    }

    #[test]
    fn a_line_is_cut_and_holds_nothing_that_a_terminal_obeys_but_colours() {
        let text = clean(&format!("\u{1b}[31m\u{1b}[2J{}", "ä".repeat(MAX_LINE)));
        assert!(text.starts_with("\u{1b}[31m\u{fffd}[2Jä") && text.ends_with("ä … (line cut)"));
        assert!(text.len() < MAX_LINE + 30);
    }
}
