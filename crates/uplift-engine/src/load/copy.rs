//! The rows of one `COPY`, from the dump to the server.

use std::io::{Read, Write as _};

use postgres::Client;
use uplift_core::failure::Failure;

use super::{truncated, unreadable};
use crate::{
    failure::{Outcome, of_dump, rejected_at},
    reader::{Ending, Item, Reader},
    token::{Token, tokens},
};

/// A first chunk of this many bytes is not the last one: the table is worth some care.
const LARGE: usize = 128 * 1024;

/// How pg_dump ends the statement.
const FROM_STDIN: &str = " FROM stdin;";

/// One `COPY … FROM stdin` of the dump.
pub(super) struct Copy<'a> {
    pub(super) text: &'a str,
    pub(super) line: u64,
    /// Whether it may have a transaction of its own.
    pub(super) alone: bool,
    /// What to add to a refusal.
    pub(super) note: &'a str,
}

impl Copy<'_> {
    /// Passes the rows on, and returns how many they were.
    pub(super) fn run<R: Read>(
        &self,
        client: &mut Client,
        reader: &mut Reader<R>,
        told: &mut impl FnMut(),
    ) -> Outcome<u64> {
        let mut item = reader.next().map_err(|error| unreadable(&error))?;
        let large = matches!(item, Item::CopyData(chunk) if chunk.len() >= LARGE);
        let frozen = if large && self.alone { self.freeze(client)? } else { None };
        let statement = frozen.as_deref().unwrap_or(self.text);
        let mut writer = client.copy_in(statement).map_err(|error| self.fails(&error))?;
        loop {
            match item {
                Item::CopyData(chunk) => {
                    // A writer that fails says why when it is finished.
                    if writer.write_all(chunk).and_then(|()| writer.flush()).is_err() {
                        break;
                    }
                }
                Item::CopyEnd => break,
                Item::End(Ending::Truncated { line, inside }) => return Err(truncated(line, inside)),
                Item::End(Ending::Whole) | Item::Statement(_) | Item::CopyStart(_) | Item::Meta { .. } => {
                    let message = "The rows of this COPY do not end";
                    return Err(rejected_at(self.line, Some(self.text), message));
                }
            }
            told();
            item = reader.next().map_err(|error| unreadable(&error))?;
        }
        let rows = writer.finish().map_err(|error| self.fails(&error))?;
        if frozen.is_some() {
            client.batch_execute("COMMIT").map_err(|error| self.fails(&error))?;
        }
        Ok(rows)
    }

    /// Begins a transaction in which the table is new, and gives the statement that makes use of it: its rows
    /// are then written without a log, and once, as rows that everybody sees. `None` where that cannot be.
    fn freeze(&self, client: &mut Client) -> Outcome<Option<String>> {
        let (Some(table), Some(head)) = (table_name(self.text), self.text.strip_suffix(FROM_STDIN)) else {
            return Ok(None);
        };
        let empty = "SELECT relkind = 'r' AND pg_catalog.pg_relation_size(oid) = 0
                       FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1)";
        let row = client.query_opt(empty, &[&table]).map_err(|error| self.fails(&error))?;
        if !row.is_some_and(|row| row.get(0)) {
            return Ok(None);
        }
        // What refers to the table forbids to truncate it.
        if client.batch_execute(&format!("BEGIN; TRUNCATE ONLY {table}")).is_err() {
            client.batch_execute("ROLLBACK").map_err(|error| self.fails(&error))?;
            return Ok(None);
        }
        Ok(Some(format!("{head} FROM stdin WITH (FREEZE)")))
    }

    fn fails(&self, error: &postgres::Error) -> Box<Failure> {
        let place = error.as_db_error().and_then(|db| db.where_()).unwrap_or_default();
        let notes: Vec<_> = [place, self.note].into_iter().filter(|note| !note.is_empty()).collect();
        of_dump(self.line, self.text, &notes.join(". "), error)
    }
}

/// The table of a `COPY`, as it is written there.
fn table_name(text: &str) -> Option<String> {
    let mut name = String::new();
    // COPY is what comes first.
    for token in tokens(text, true).skip(1) {
        match token {
            Token::Word(part) | Token::Name(part) if name.is_empty() || name.ends_with('.') => {
                name.push_str(part)
            }
            Token::Sign('.') => name.push('.'),
            _ => break,
        }
    }
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::table_name;

    #[test]
    fn the_table_is_what_stands_behind_copy() {
        let name = |text| table_name(text);
        assert_eq!(name("COPY public.t (a, b) FROM stdin;").as_deref(), Some("public.t"));
        assert_eq!(name("COPY \"a.b\".\"c\"\"d\" FROM stdin;").as_deref(), Some("\"a.b\".\"c\"\"d\""));
        assert_eq!(name("COPY t FROM stdin;").as_deref(), Some("t"));
        assert_eq!(name("COPY (SELECT 1) TO STDOUT;"), None);
    }
}
