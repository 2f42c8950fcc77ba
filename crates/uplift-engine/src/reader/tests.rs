//! The reader on small inputs; `tests/` of this crate holds it against psql.

use std::io::Read;

use proptest::prelude::*;

use super::{Ending, Item, ReadError, Reader};

const CLOSING: &str = "--\n-- PostgreSQL database dump complete\n--\n";

/// A source that gives no more than so many bytes at a time.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(self.0.len()).min(into.len());
        into[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

/// The items of a file, one a line; data chunks joined.
fn read(text: &[u8], step: usize) -> Result<Vec<String>, ReadError> {
    let mut reader = Reader::new(Trickle(text, step));
    let mut items: Vec<String> = Vec::new();
    let mut data: Option<Vec<u8>> = None;
    loop {
        let item = reader.next()?;
        if let Item::CopyData(chunk) = item {
            data.get_or_insert_default().extend_from_slice(chunk);
            continue;
        }
        if let Some(data) = data.take() {
            items.push(format!("data {:?}", String::from_utf8_lossy(&data)));
        }
        match item {
            Item::Statement(statement) => {
                let from = usize::try_from(statement.offset).unwrap();
                assert!(text[from..].starts_with(statement.text.as_bytes()), "the offset is the statement's");
                let line = 1 + text[..from].iter().filter(|&&byte| byte == b'\n').count() as u64;
                assert_eq!(statement.line, line);
                items.push(format!("{}: {}", statement.line, statement.text));
            }
            Item::CopyStart(statement) => items.push(format!("{}: copy {}", statement.line, statement.text)),
            Item::CopyEnd => items.push("copy end".into()),
            Item::Meta { text, line } => items.push(format!("{line}: meta {text}")),
            Item::End(ending) => {
                items.push(format!("{ending:?}"));
                return Ok(items);
            }
            Item::CopyData(_) => unreachable!(),
        }
    }
}

/// The statements of a text that is closed as a dump.
fn statements(text: &str) -> Vec<String> {
    let mut items = read(format!("{text}\n{CLOSING}").as_bytes(), usize::MAX).unwrap();
    assert_eq!(items.pop().as_deref(), Some("Whole"), "{items:?}");
    items
        .into_iter()
        .map(|item| item.split_once(": ").map_or(item.clone(), |(_, text)| text.into()))
        .collect()
}

#[track_caller]
fn one(statement: &str) {
    assert_eq!(statements(statement), [statement]);
}

#[test]
fn a_semicolon_in_any_kind_of_quote_splits_nothing() {
    one("SELECT 'a;b''c;';");
    one(r"SELECT E'a\';b', 'back\', ';', e'\\';");
    one("SELECT U&'d\\0061;' UESCAPE '!', B'01', X'1F', N'a;';");
    one("SELECT \"a;\"\"b;\", U&\"d;\";");
    one("SELECT $$a;$b$;$$, $t1$;$$;$t$;$t1$, foo$$ ;");
    one("SELECT 1 /* ; /* ; */ ; */ + 2 -- ; '\n;");
    one("SELECT $1, a$b, $Ünï$;$Ünï$;");
    one("CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2; );");
}

#[test]
fn a_literal_goes_on_behind_a_lines_end_by_the_same_rule() {
    one("SELECT E'a'\n  -- really\n '\\';';");
    assert_eq!(
        statements("SELECT 'a'\n'\\'; SELECT ';';").len(),
        2,
        "an ordinary one goes on as an ordinary one"
    );
    assert_eq!(statements("SELECT E'a' , '\\'; SELECT 1;").len(), 2, "behind a comma it is another one");
}

#[test]
fn bodies_between_begin_atomic_and_end_are_kept_whole() {
    one(
        "CREATE FUNCTION f(a int DEFAULT 1) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true \
         THEN 1 ELSE 2 END; END;",
    );
    one("CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC\n INSERT INTO t VALUES (1);\nEND;");
    one("CREATE OR REPLACE FUNCTION public.begin(case_ int) RETURNS int LANGUAGE sql AS 'select 1';");
    assert_eq!(statements("BEGIN; SELECT 1; END;").len(), 3, "a transaction is no body");
    assert_eq!(statements("CREATE TABLE begin (atomic int); SELECT 1;").len(), 2);
}

#[test]
fn strings_are_read_as_the_session_reads_them() {
    let text = "SELECT 'a\\';\nSET standard_conforming_strings = off;\nSELECT 'a\\';';\n\
                SELECT pg_catalog.set_config('standard_conforming_strings', 'on', false);\nSELECT 'a\\';";
    assert_eq!(statements(text).len(), 5);
}

#[test]
fn copy_data_passes_as_it_is() {
    let text = "COPY public.t (a, b) FROM stdin;\n1\t;'$$\n\\.x\n\\\\.\n\\N\t\\.\n\\.\n\nSELECT 1;\n";
    assert_eq!(
        statements(text),
        [
            "copy COPY public.t (a, b) FROM stdin;",
            "data \"1\\t;'$$\\n\\\\.x\\n\\\\\\\\.\\n\\\\N\\t\\\\.\\n\"",
            "copy end",
            "SELECT 1;"
        ]
    );
    assert_eq!(
        statements("COPY t FROM stdin; \r\n\\.\r\nSELECT 1;"),
        ["copy COPY t FROM stdin;", "copy end", "SELECT 1;"]
    );
    assert!(matches!(read(b"COPY t FROM stdin; SELECT 1;\n", 9), Err(ReadError::BehindCopy { line: 1 })));
}

#[test]
fn commands_of_psql_are_seen_wherever_they_stand() {
    let text = "\u{feff}\\restrict abc\nSELECT 1;\n\\! rm -rf /\n";
    assert_eq!(
        read(text.as_bytes(), 1).unwrap()[..3],
        ["1: meta \\restrict abc", "2: SELECT 1;", "3: meta \\! rm -rf /"]
    );
    assert!(matches!(read(b"SELECT 1\n \\g |id\n", 1), Err(ReadError::MetaInStatement { line: 2 })));
    assert!(matches!(read(b"SELECT 1 \\; SELECT 2;", 1), Err(ReadError::MetaInStatement { line: 1 })));
    one("SELECT '\\! id', $$\\! id$$, \"\\! id\" /* \\! id */ -- \\! id\n;");
}

#[test]
fn a_cut_file_is_told_from_a_whole_one() {
    let ending = |text: &str| read(text.as_bytes(), 7).unwrap().pop().unwrap();
    assert_eq!(ending(&format!("SELECT 1;\n{CLOSING}\n\\unrestrict abc\n")), "Whole");
    assert_eq!(ending("SELECT 1;\n-- PostgreSQL database dump complete"), "Whole");
    assert_eq!(ending("SELECT 1;\n"), "Truncated { line: 2, inside: None }");
    assert_eq!(ending("SELECT 1"), "Truncated { line: 1, inside: Some(\"a statement\") }");
    assert_eq!(ending("SELECT 'a"), "Truncated { line: 1, inside: Some(\"a quoted string\") }");
    assert_eq!(ending("COPY t FROM stdin;\n1\n"), "Truncated { line: 3, inside: Some(\"COPY data\") }");
    assert_eq!(ending("COPY t FROM stdin;"), "Truncated { line: 1, inside: Some(\"COPY data\") }");
    assert_eq!(
        ending(&format!("COPY t FROM stdin;\n{CLOSING}")),
        "Truncated { line: 5, inside: Some(\"COPY data\") }"
    );
    assert_eq!(ending(&format!("SELECT '\n{CLOSING}';")), "Truncated { line: 5, inside: None }");
    let cluster = format!("--\n-- PostgreSQL database cluster dump\n--\nSELECT 1;\n{CLOSING}");
    assert!(ending(&cluster).starts_with("Truncated"), "the first of several databases is not all of them");
}

#[test]
fn what_is_no_text_is_refused_with_its_line() {
    assert!(matches!(read(b"\nSELECT '\xff';\n", 3), Err(ReadError::NotUtf8 { line: 2 })));
    assert!(matches!(read(b"\n\nSELECT '\0';\n", 3), Err(ReadError::ZeroByte { line: 3 })));
    let endless = [b"SELECT '".as_slice(), &vec![b'a'; super::MAX_STATEMENT_BYTES + 1]].concat();
    assert!(matches!(read(&endless, 1 << 20), Err(ReadError::TooLong { line: 1 })));
}

#[test]
fn a_long_comment_and_a_long_row_need_no_memory() {
    let text = format!(
        "-- {}\nSELECT 1;\nCOPY t FROM stdin;\n{}\n\\.\n",
        "x".repeat(300_000),
        "y".repeat(3_000_000)
    );
    let items = read(text.as_bytes(), 1 << 16).unwrap();
    assert_eq!(items[0], "2: SELECT 1;");
    assert_eq!(items[2].len(), 3_000_000 + "data \"\\n\"".len());
    let mut reader = Reader::new(text.as_bytes());
    while !matches!(reader.next().unwrap(), Item::End(_)) {}
    assert!(reader.buffer.capacity() < 2 << 20, "{}", reader.buffer.capacity());
}

/// Pieces that end where a statement may, and pieces that do not.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("SELECT ';', E'\\';', $$;$$, \"a;\" /* ; */;".to_owned()),
        Just("COPY t FROM stdin;\n1\\.\n\\.a\n;'$$\n\\.\n".to_owned()),
        Just("COPY t FROM stdin;\r\n\\.\r\n".to_owned()),
        Just("-- PostgreSQL database dump complete\n".to_owned()),
        Just("CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; END;".to_owned()),
        Just("SET standard_conforming_strings = off;".to_owned()),
        Just("\n\\restrict a\n".to_owned()),
        "[ \n\r;'\"$a/*()\\\\.eE-]{0,12}",
        "[a-z ';\n-]{0,8}",
        Just("COPY t FROM stdin".to_owned()),
        Just("$a$".to_owned()),
        Just("é".to_owned()),
    ]
}

proptest! {
    #[test]
    fn pieces_of_any_size_give_the_same_items(parts in prop::collection::vec(piece(), 0..20), step in 1_usize..40) {
        let text = parts.concat();
        let whole = format!("{:?}", read(text.as_bytes(), usize::MAX));
        prop_assert_eq!(whole, format!("{:?}", read(text.as_bytes(), step)));
    }

    #[test]
    fn what_lies_between_items_is_blank_or_comment(parts in prop::collection::vec(piece(), 0..20)) {
        let text = parts.concat();
        let mut reader = Reader::new(text.as_bytes());
        let mut behind = 0;
        // A file that is refused has shown all that lies before.
        while let Ok(item) = reader.next() {
            let item = match item {
                Item::Statement(statement) | Item::CopyStart(statement) => statement,
                Item::CopyData(_) | Item::CopyEnd | Item::Meta { .. } => {
                    behind = usize::MAX;
                    continue;
                }
                Item::End(_) => break,
            };
            let from = usize::try_from(item.offset).unwrap();
            if let Some(between) = text.get(behind..from) {
                let rest: String = between.split(['\n', '\r']).map(|line| line.split("--").next().unwrap()).collect();
                let plain = !rest.contains("/*");
                prop_assert!(!plain || rest.chars().all(|it| it == ';' || it.is_whitespace()), "{:?}", between);
            }
            behind = from + item.text.len();
        }
    }

    #[test]
    fn the_end_is_whole_only_behind_the_closing_line(parts in prop::collection::vec(piece(), 0..12)) {
        let text = parts.concat();
        let mut reader = Reader::new(text.as_bytes());
        let ending = loop {
            match reader.next() {
                Ok(Item::End(ending)) => break Some(ending),
                Ok(_) => {}
                Err(_) => break None,
            }
        };
        if ending == Some(Ending::Whole) {
            prop_assert!(text.contains("-- PostgreSQL database dump complete"));
        }
    }
}
