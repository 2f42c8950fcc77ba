//! A plain dump into a database, as the tenant, statement by statement.

mod copy;

use std::{collections::BTreeMap, io::Read, ops::Range};

use postgres::Client;
use uplift_core::{event::LeftOut, failure::Failure};

use copy::Copy;

use crate::{
    failure::{Outcome, of_dump, rejected, rejected_at},
    input::read_failure,
    reader::{Ending, Item, ReadError, Reader, Statement},
    statement::{CLEAN_UP, EXTENSIONS, Kind, SETTINGS, Verdict, classify},
};

/// Statements that define things are sent together, so many or so many bytes at a time: a dump of an ERP holds
/// ten thousand of them, and each would wait for an answer.
const BATCH_STATEMENTS: usize = 100;
const BATCH_BYTES: usize = 128 * 1024;

/// What a dump held.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Statements that ran, `COPY` included.
    pub(crate) statements: u64,
    /// Rows that `COPY` brought.
    pub(crate) rows: u64,
    /// The length of the text, in bytes.
    pub(crate) expanded_bytes: u64,
    /// What did not run.
    pub(crate) left_out: Vec<LeftOut>,
}

/// Restores a dump. `told` is called now and then while it goes on.
pub(crate) fn load(client: &mut Client, source: impl Read, mut told: impl FnMut()) -> Outcome<Loaded> {
    let mut reader = Reader::new(source);
    let mut loader = Loader::new(client);
    loop {
        told();
        match reader.next().map_err(|error| unreadable(&error))? {
            Item::Statement(statement) => loader.statement(statement)?,
            Item::CopyStart(statement) => {
                let (text, line) = (statement.text.to_owned(), statement.line);
                loader.copy(&mut reader, &text, line, &mut told)?;
            }
            Item::Meta { text, line } => loader.meta(text, line)?,
            Item::End(Ending::Truncated { line, inside }) => return Err(truncated(line, inside)),
            Item::End(Ending::Whole) => break,
            // Data comes behind a CopyStart only, which reads it to its end.
            Item::CopyData(_) | Item::CopyEnd => {}
        }
    }
    loader.flush()?;
    if loader.in_transaction {
        return Err(rejected("The dump begins a transaction and does not end it. Dump again with `pg_dump`"));
    }
    let left_out = loader.left_out.iter().map(|(&what, &count)| LeftOut { what: what.to_owned(), count });
    Ok(Loaded {
        statements: loader.statements,
        rows: loader.rows,
        expanded_bytes: reader.offset(),
        left_out: left_out.collect(),
    })
}

struct Loader<'a> {
    client: &'a mut Client,
    batch: Batch,
    statements: u64,
    rows: u64,
    left_out: BTreeMap<&'static str, u64>,
    missing_extensions: Vec<String>,
    nothing_made: bool,
    in_transaction: bool,
    /// What the dump has connected to.
    database: Option<String>,
}

/// Statements that were not sent yet.
#[derive(Default)]
struct Batch {
    text: String,
    parts: Vec<(u64, Range<usize>)>,
}

impl<'a> Loader<'a> {
    fn new(client: &'a mut Client) -> Self {
        Self {
            client,
            batch: Batch::default(),
            statements: 0,
            rows: 0,
            left_out: BTreeMap::new(),
            missing_extensions: Vec::new(),
            nothing_made: true,
            in_transaction: false,
            database: None,
        }
    }

    fn statement(&mut self, statement: Statement<'_>) -> Outcome<()> {
        let Statement { text, line, standard_strings, .. } = statement;
        let kind = match classify(text, standard_strings, self.nothing_made) {
            Verdict::Run(kind) => kind,
            Verdict::LeaveOut(what) => {
                self.leave_out(what);
                return Ok(());
            }
            Verdict::Refuse(why) => return Err(rejected_at(line, Some(text), why)),
        };
        if kind == Kind::Plain {
            self.nothing_made = false;
            return self.gather(text, line);
        }
        self.flush()?;
        let Err(error) = self.client.batch_execute(text) else {
            self.statements += 1;
            self.note(kind);
            return Ok(());
        };
        match self.forgiven(kind, text, &error) {
            Some(what) => {
                self.leave_out(what);
                Ok(())
            }
            None => Err(of_dump(line, text, &self.missing(), &error)),
        }
    }

    fn note(&mut self, kind: Kind<'_>) {
        match kind {
            Kind::Begin => self.in_transaction = true,
            Kind::End => self.in_transaction = false,
            Kind::Extension(_) => self.nothing_made = false,
            Kind::Plain | Kind::Alone | Kind::Setting | Kind::Drop => {}
        }
    }

    /// What a failed statement is left out as, where the rest of the dump may well do without it.
    fn forgiven(&mut self, kind: Kind<'_>, text: &str, error: &postgres::Error) -> Option<&'static str> {
        // A failure inside a transaction has already undone what came before.
        let code = error.code().filter(|_| !self.in_transaction)?.code();
        match kind {
            Kind::Setting if matches!(code, "42704" | "22023" | "42501" | "0A000") && !decides(text) => {
                Some(SETTINGS)
            }
            Kind::Extension(name) if matches!(code, "0A000" | "58P01" | "42501") => {
                self.missing_extensions.push(name.trim_matches('"').to_owned());
                Some(EXTENSIONS)
            }
            Kind::Drop if matches!(code, "42P01" | "42704" | "42883" | "3F000") => Some(CLEAN_UP),
            _ => None,
        }
    }

    fn leave_out(&mut self, what: &'static str) {
        *self.left_out.entry(what).or_default() += 1;
    }

    /// What to add to a refusal that may come of a missing extension.
    fn missing(&self) -> String {
        if self.missing_extensions.is_empty() {
            return String::new();
        }
        format!(
            "These extensions are not offered here, and were left out: {}",
            self.missing_extensions.join(", ")
        )
    }

    fn gather(&mut self, text: &str, line: u64) -> Outcome<()> {
        let begin = self.batch.text.len();
        self.batch.text.push_str(text);
        self.batch.parts.push((line, begin..self.batch.text.len()));
        self.batch.text.push('\n');
        let full = self.batch.parts.len() >= BATCH_STATEMENTS || self.batch.text.len() >= BATCH_BYTES;
        if full || self.in_transaction { self.flush() } else { Ok(()) }
    }

    /// Runs what was gathered. The server runs it as one transaction, so when it fails, nothing has happened:
    /// the statements are then run one by one to find the one at fault.
    fn flush(&mut self) -> Outcome<()> {
        let batch = std::mem::take(&mut self.batch);
        self.statements += batch.parts.len() as u64;
        let Err(error) = self.client.batch_execute(&batch.text) else { return Ok(()) };
        if let [(line, range)] = &batch.parts[..] {
            return Err(of_dump(*line, &batch.text[range.clone()], &self.missing(), &error));
        }
        for (line, range) in batch.parts {
            let text = &batch.text[range];
            self.client.batch_execute(text).map_err(|error| of_dump(line, text, &self.missing(), &error))?;
        }
        Ok(())
    }

    fn copy<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        text: &str,
        line: u64,
        told: &mut impl FnMut(),
    ) -> Outcome<()> {
        self.flush()?;
        self.nothing_made = false;
        let note = self.missing();
        let copy = Copy { text, line, alone: !self.in_transaction, note: &note };
        self.rows += copy.run(self.client, reader, told)?;
        self.statements += 1;
        Ok(())
    }

    /// psql's commands are code. Two of them mark what pg_dump wrote, and one names the database.
    fn meta(&mut self, text: &str, line: u64) -> Outcome<()> {
        let mut words = text.split_ascii_whitespace();
        match words.next() {
            Some("\\restrict" | "\\unrestrict") => Ok(()),
            Some("\\connect" | "\\c") => {
                let named: Vec<_> = words.filter(|word| !word.starts_with("-reuse-previous=")).collect();
                let named = named.join(" ");
                let first = self.database.is_none() && self.nothing_made;
                if !first && self.database.as_deref() != Some(named.as_str()) {
                    let message = "The dump holds more than one database. Dump each with `pg_dump`";
                    return Err(rejected_at(line, Some(text), message));
                }
                self.database = Some(named);
                Ok(())
            }
            _ => {
                let message = "A command of psql stands here, and none is run. Dump again with `pg_dump`, and \
                               leave the file as it is";
                Err(rejected_at(line, Some(text), message))
            }
        }
    }
}

/// Settings without which the rest of the dump would mean something else.
fn decides(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["client_encoding", "standard_conforming_strings", "search_path"].iter().any(|name| text.contains(name))
}

fn unreadable(error: &ReadError) -> Box<Failure> {
    match (error, error.line()) {
        (ReadError::Source(source), _) => read_failure("restore", source),
        (error, Some(line)) => rejected_at(line, None, format!("The dump cannot be read: {error}")),
        (error, None) => rejected(format!("The dump cannot be read: {error}")),
    }
}

fn truncated(line: u64, inside: Option<&str>) -> Box<Failure> {
    let how = match inside {
        Some(inside) => format!("it ends in the middle of {inside}"),
        None => {
            "it does not end with the line that pg_dump writes last, `-- PostgreSQL database dump complete`"
                .to_owned()
        }
    };
    rejected_at(line, None, format!("The dump is truncated: {how}. Dump again, and upload the whole file"))
}
