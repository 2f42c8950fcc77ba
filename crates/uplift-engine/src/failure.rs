//! How the engine's troubles become the failures that the worker knows.

use std::error::Error as _;

use postgres::error::{DbError, ErrorPosition, SqlState};
use uplift_core::failure::{Failure, Rejection, ScriptFailure};

/// What every part of the engine returns. Boxed, since a failure is large and rare.
pub type Outcome<T> = Result<T, Box<Failure>>;

/// How much of a statement or a message is passed on, in bytes.
const EXCERPT: usize = 2000;

/// Something of ours broke at a place.
pub(crate) fn infrastructure(place: &str, message: impl Into<String>) -> Box<Failure> {
    Box::new(Failure::Infrastructure { place: place.to_owned(), message: message.into() })
}

/// The input is at fault.
pub(crate) fn rejected(message: impl Into<String>) -> Box<Failure> {
    Box::new(Failure::rejected(message))
}

/// The input is at fault at a line.
pub(crate) fn rejected_at(line: u64, statement: Option<&str>, message: impl Into<String>) -> Box<Failure> {
    Box::new(Failure::InputRejected(Rejection {
        message: message.into(),
        line: Some(line),
        statement: statement.map(excerpt),
        sqlstate: None,
    }))
}

/// What Postgres says about a statement of ours.
pub(crate) fn ours(place: &str, error: &postgres::Error) -> Box<Failure> {
    environment(place, error).unwrap_or_else(|| infrastructure(place, describe(error)))
}

/// What Postgres says about a statement of the dump.
pub(crate) fn of_dump(line: u64, statement: &str, note: &str, error: &postgres::Error) -> Box<Failure> {
    let Some(db) = error.as_db_error() else { return ours("restore", error) };
    environment("restore", error).unwrap_or_else(|| {
        let mut message = format!("Postgres refuses a statement of the dump: {}", says(db));
        if !note.is_empty() {
            message.push_str(". ");
            message.push_str(note);
        }
        Box::new(Failure::InputRejected(Rejection {
            message,
            line: Some(line),
            statement: Some(excerpt(statement)),
            sqlstate: Some(db.code().code().to_owned()),
        }))
    })
}

/// Where a statement of a script stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The step's id, or the stage.
    pub(crate) step: &'a str,
    /// The script's path inside the pack.
    pub(crate) file: Option<&'a str>,
    /// The line of the statement's first token in that file.
    pub(crate) line: u64,
    /// The statement.
    pub(crate) text: &'a str,
}

/// What Postgres says about a statement of a pack.
pub(crate) fn of_script(place: Place<'_>, error: &postgres::Error) -> Box<Failure> {
    let Some(db) = error.as_db_error() else { return ours(place.step, error) };
    environment(place.step, error).unwrap_or_else(|| {
        let detail: Vec<_> = [db.detail(), db.hint(), db.where_()].into_iter().flatten().collect();
        Box::new(Failure::ScriptFailed(ScriptFailure {
            step: place.step.to_owned(),
            file: place.file.map(str::to_owned),
            line: place.file.map(|_| place.line + lines_before(place.text, db)),
            statement: Some(excerpt(place.text)),
            sqlstate: Some(db.code().code().to_owned()),
            message: excerpt(db.message()),
            detail: (!detail.is_empty()).then(|| excerpt(&detail.join("\n"))),
        }))
    })
}

/// A script is at fault in a way that Postgres has no words for.
pub(crate) fn script(place: Place<'_>, message: impl Into<String>) -> Box<Failure> {
    Box::new(Failure::ScriptFailed(ScriptFailure {
        step: place.step.to_owned(),
        file: place.file.map(str::to_owned),
        line: place.file.map(|_| place.line),
        statement: (!place.text.is_empty()).then(|| excerpt(place.text)),
        message: message.into(),
        ..ScriptFailure::default()
    }))
}

/// How many lines of the statement stand before the place that Postgres points at.
fn lines_before(text: &str, db: &DbError) -> u64 {
    match db.position() {
        Some(&ErrorPosition::Original(position)) => {
            let before = text.chars().take((position as usize).saturating_sub(1));
            before.filter(|&character| character == '\n').count() as u64
        }
        _ => 0,
    }
}

/// Failures that no statement is to blame for: the machine's or the server's.
fn environment(place: &str, error: &postgres::Error) -> Option<Box<Failure>> {
    let place = place.to_owned();
    let Some(db) = error.as_db_error() else {
        return Some(Box::new(Failure::Infrastructure { place, message: describe(error) }));
    };
    if of_procedure(db.routine(), db.where_()) {
        return None;
    }
    let failure = match db.code() {
        code if *code == SqlState::DISK_FULL => Failure::OutOfDisk { place },
        code if *code == SqlState::OUT_OF_MEMORY => Failure::OutOfMemory { place },
        // 08: connection, 57P: the server stops or starts, 58: its files.
        code if ["08", "57P", "58"].iter().any(|class| code.code().starts_with(class)) => {
            Failure::Infrastructure { place, message: describe(error) }
        }
        _ => return None,
    };
    Some(Box::new(failure))
}

/// Whether an error comes out of code in a procedural language, which may raise whatever SQLSTATE it likes. PL/pgSQL
/// raises in this one routine; every such language names its function in the error's context.
fn of_procedure(routine: Option<&str>, context: Option<&str>) -> bool {
    let named = |line: &str| line.trim_start_matches("in ").starts_with("PL/");
    routine == Some("exec_stmt_raise") || context.is_some_and(|context| context.lines().any(named))
}

/// An error in one line, down to its cause.
fn describe(error: &postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return says(db);
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn says(db: &DbError) -> String {
    let mut text = excerpt(db.message());
    for more in [db.detail(), db.hint()].into_iter().flatten() {
        text = format!("{text} ({})", excerpt(more));
    }
    text
}

/// The beginning of a text, cut between characters and marked.
pub(crate) fn excerpt(text: &str) -> String {
    if text.len() <= EXCERPT {
        return text.to_owned();
    }
    format!("{}… ({} bytes)", &text[..text.floor_char_boundary(EXCERPT)], text.len())
}

#[cfg(test)]
mod tests {
    use super::of_procedure;

    #[test]
    fn an_error_of_a_procedure_is_known() {
        assert!(of_procedure(Some("exec_stmt_raise"), None));
        let context = "SQL statement \"SELECT f()\"\nPL/pgSQL function inline_code_block line 1 at PERFORM";
        assert!(of_procedure(Some("mdextend"), Some(context)));
        assert!(of_procedure(None, Some("in PL/Tcl function \"f\"")));
        assert!(!of_procedure(Some("mdextend"), Some("COPY t, line 1: \"PL/pgSQL function\"")));
        assert!(!of_procedure(Some("mdextend"), None));
    }
}
