//! A script of a pack, statement by statement, so that a failure is known by its line.

use std::{
    io::{Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use postgres::{CancelToken, Client, NoTls, SimpleQueryMessage};
use uplift_core::{failure::Failure, plan::Script};

use crate::{
    failure::{Outcome, Place, of_script, script as fails},
    reader::{
        Ending, Item, Reader,
        copy::{Source, source},
    },
    token::tokens,
};

/// Runs a script in one transaction, or each of its statements by itself. Returns the rows touched.
pub(crate) fn run(client: &mut Client, step: &str, script: &Script, transaction: bool) -> Outcome<u64> {
    let mut run = Run { client, step, file: &script.file, transaction, rows: 0 };
    if transaction {
        run.by_ourselves("BEGIN")?;
    }
    match run.statements(&script.text) {
        Ok(()) if transaction => run.by_ourselves("COMMIT")?,
        Ok(()) => {}
        Err(failure) => {
            // The session ends with the step, which rolls back as well.
            let _ = run.client.batch_execute("ROLLBACK");
            return Err(failure);
        }
    }
    Ok(run.rows)
}

struct Run<'a> {
    client: &'a mut Client,
    step: &'a str,
    file: &'a str,
    transaction: bool,
    rows: u64,
}

impl Run<'_> {
    fn place<'t>(&'t self, line: u64, text: &'t str) -> Place<'t> {
        Place { step: self.step, file: Some(self.file), line, text }
    }

    fn by_ourselves(&mut self, statement: &str) -> Outcome<()> {
        let result = self.client.batch_execute(statement);
        result.map_err(|error| of_script(self.place(1, statement), &error))
    }

    fn statements(&mut self, text: &str) -> Outcome<()> {
        // The last statement may stand without its semicolon.
        let mut reader = Reader::new(text.as_bytes().chain(b"\n;\n".as_slice()));
        loop {
            let item = reader.next().map_err(|error| {
                fails(
                    self.place(error.line().unwrap_or(1), ""),
                    format!("the script cannot be read: {error}"),
                )
            })?;
            match item {
                Item::Statement(statement) => self.statement(statement.text, statement.line)?,
                Item::CopyStart(statement) => {
                    let (text, line) = (statement.text.to_owned(), statement.line);
                    self.copy(&mut reader, &text, line)?;
                }
                Item::Meta { text, line } => {
                    let message = "a command of psql stands here, and none is run";
                    return Err(fails(self.place(line, text), message));
                }
                Item::End(Ending::Truncated { line, inside: Some(inside) }) => {
                    return Err(fails(
                        self.place(line, ""),
                        format!("the script ends in the middle of {inside}"),
                    ));
                }
                // A script has no closing line.
                Item::End(_) => return Ok(()),
                Item::CopyData(_) | Item::CopyEnd => {}
            }
        }
    }

    fn statement(&mut self, text: &str, line: u64) -> Outcome<()> {
        let first = tokens(text, true).next();
        let is = |words: &[&str]| first.is_some_and(|first| words.iter().any(|word| first.is(word)));
        let ends = ["begin", "start", "commit", "end", "rollback", "abort", "prepare"];
        if self.transaction && is(&ends) && !is_prepared_statement(text) {
            let message = "the step runs in one transaction, so the script must not begin or end one; write \
                           `transaction = false` in pack.toml for a script that must";
            return Err(fails(self.place(line, text), message));
        }
        if source(text, true) == Some(Source::None) {
            return Err(fails(self.place(line, text), "a COPY that writes has nowhere to write to"));
        }
        // What only shows rows touches none, and its rows are nobody's.
        let result = if is(&["select", "show", "explain", "values", "table", "fetch"]) {
            self.client.batch_execute(text).map(|()| 0)
        } else {
            self.client.simple_query(text).map(|messages| touched(&messages))
        };
        self.rows += result.map_err(|error| of_script(self.place(line, text), &error))?;
        Ok(())
    }

    fn copy<R: std::io::Read>(&mut self, reader: &mut Reader<R>, text: &str, line: u64) -> Outcome<()> {
        let place = Place { step: self.step, file: Some(self.file), line, text };
        let mut writer = self.client.copy_in(text).map_err(|error| of_script(place, &error))?;
        loop {
            match reader.next() {
                Ok(Item::CopyData(chunk)) => {
                    // A writer that fails says why when it is finished.
                    if writer.write_all(chunk).is_err() {
                        break;
                    }
                }
                Ok(Item::CopyEnd) => break,
                _ => return Err(fails(place, "the rows of this COPY do not end")),
            }
        }
        self.rows += writer.finish().map_err(|error| of_script(place, &error))?;
        Ok(())
    }
}

/// The one query that a script is, without its semicolon, and its line.
///
/// # Errors
/// Where it is not one query, and why.
pub(crate) fn only_query(text: &str) -> Result<(String, u64), (u64, &'static str)> {
    let mut reader = Reader::new(text.as_bytes().chain(b"\n;\n".as_slice()));
    let mut query = None;
    loop {
        match reader.next() {
            Ok(Item::Statement(statement)) if query.is_none() => {
                let text = statement.text.strip_suffix(';').unwrap_or(statement.text);
                query = Some((text.trim_end().to_owned(), statement.line));
            }
            Ok(Item::End(Ending::Truncated { line, inside: Some(_) })) => {
                return Err((line, "the query is not ended"));
            }
            Ok(Item::End(_)) => return query.ok_or((1, "a check is one query, and there is none")),
            Ok(Item::Statement(statement)) => {
                return Err((statement.line, "a check is one query, and here begins another statement"));
            }
            _ => return Err((1, "a check is one query and nothing else")),
        }
    }
}

/// `PREPARE name AS …`, which has nothing to do with `PREPARE TRANSACTION`.
fn is_prepared_statement(text: &str) -> bool {
    let mut words = tokens(text, true);
    words.next().is_some_and(|first| first.is("prepare"))
        && !words.next().is_some_and(|second| second.is("transaction"))
}

fn touched(messages: &[SimpleQueryMessage]) -> u64 {
    messages
        .iter()
        .map(|message| match message {
            SimpleQueryMessage::CommandComplete(rows) => *rows,
            _ => 0,
        })
        .sum()
}

/// Breaks off what a session does once its time is up.
pub(crate) struct Watchdog {
    fired: Arc<AtomicBool>,
    seconds: u64,
    /// Dropped to call it off.
    leash: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(crate) fn watch(token: CancelToken, seconds: u64) -> Self {
        let fired = Arc::new(AtomicBool::new(false));
        let (leash, called_off) = mpsc::channel();
        let seen = Arc::clone(&fired);
        let thread = thread::spawn(move || {
            let mut patience = Duration::from_secs(seconds);
            while called_off.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                seen.store(true, Ordering::Release);
                // A function may catch one cancellation; it is asked again until it ends.
                let _ = token.cancel_query(NoTls);
                patience = Duration::from_secs(1);
            }
        });
        Self { fired, seconds, leash: Some(leash), thread: Some(thread) }
    }

    /// Calls it off, and says whether it was this that broke the step off.
    pub(crate) fn judge<T>(mut self, step: &str, outcome: Outcome<T>) -> Outcome<T> {
        drop(self.leash.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if outcome.is_err() && self.fired.load(Ordering::Acquire) {
            let (place, seconds) = (step.to_owned(), self.seconds);
            return Err(Box::new(Failure::DeadlinePassed { place, seconds }));
        }
        outcome
    }
}
