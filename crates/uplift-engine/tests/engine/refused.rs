//! Input that is refused, and with which words.

use std::io::Write as _;

use uplift_core::{
    Failure, Format,
    plan::{Input, Plan, Restore, Sniff},
};

use crate::{
    cluster::Cluster,
    engine::{MAX_EXPANDED, engine, input, restore_unknown, target},
};

/// A whole dump with this body.
pub(crate) fn dump(body: &str) -> String {
    format!("--\n-- PostgreSQL database dump\n--\n{body}\n--\n-- PostgreSQL database dump complete\n--\n")
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_may_not_run_is_refused_with_its_line() {
    let cluster = Cluster::start();
    let cases = [
        ("SELECT 1;\n\\! id", 5, "command of psql", None),
        ("SELECT 1\n \\g |id\n;", 5, "command of psql", None),
        ("\\connect one\nCREATE TABLE t (a int);\n\\connect two", 6, "more than one database", None),
        ("CREATE TABLE t (a int);\nCOPY t FROM PROGRAM 'id';", 5, "COPY with a program", None),
        ("CREATE TABLE t (a int);\nCOPY t FROM '/etc/passwd';", 5, "COPY with a file", None),
        (
            "DO $$ BEGIN EXECUTE 'COPY pg_am FROM PROGRAM ''id'''; END $$;",
            4,
            "external program",
            Some("42501"),
        ),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'x';", 4, "permission denied", Some("42501")),
        ("SELECT pg_read_file('/etc/passwd');", 4, "permission denied", Some("42501")),
        ("ALTER ROLE tenant SUPERUSER;", 4, "pg_dumpall", None),
        ("DO $$ BEGIN EXECUTE 'ALTER ROLE tenant SUPERUSER'; END $$;", 4, "Postgres refuses", Some("42501")),
        ("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53100'; END $$;", 4, "refuses", Some("53100")),
        ("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53200'; END $$;", 4, "refuses", Some("53200")),
        ("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '58030'; END $$;", 4, "refuses", Some("58030")),
        ("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '08006'; END $$;", 4, "refuses", Some("08006")),
        ("DO $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END $$;", 4, "refuses", Some("57P01")),
        ("\n\nCREATE TABLE t (a int);\nCREATE TABLE t (a int);", 7, "already exists", Some("42P07")),
        ("CREATE TABLE t (a int);\nCOPY t FROM stdin;\n1\nx\n\\.\n", 5, "COPY t, line 2", Some("22P02")),
        ("BEGIN;\nCREATE TABLE t (a int);", 0, "does not end it", None),
        (
            "CREATE EXTENSION nowhere;\nCREATE TABLE t (a nowhere_type);",
            5,
            "left out: nowhere",
            Some("42704"),
        ),
    ];
    for (body, line, part, sqlstate) in cases {
        let run = restore_unknown(&cluster, dump(body).as_bytes());
        let rejection = run.rejection();
        assert!(rejection.message.contains(part), "{body}: {rejection:?}");
        assert_eq!(rejection.line.unwrap_or(0), line, "{body}: {rejection:?}");
        assert_eq!(rejection.sqlstate.as_deref(), sqlstate, "{body}: {rejection:?}");
    }
    let latin: Vec<u8> =
        dump("SELECT 'caf?';").bytes().map(|byte| if byte == b'?' { 0xe9 } else { byte }).collect();
    let run = restore_unknown(&cluster, &latin);
    assert!(run.rejection().message.contains("--encoding=UTF8"), "{:?}", run.rejection());
    assert_eq!(run.rejection().line, Some(4));
    let tables = "SELECT count(*) FROM pg_database WHERE datname = 'proof'";
    assert_eq!(cluster.sql("control", tables), "0");
}

#[test]
fn damaged_files_are_refused() {
    let cluster = Cluster::start();
    let whole = dump("CREATE TABLE t (a int);\nCOPY t FROM stdin;\n1\n\\.\nSELECT 1;");
    let mut damaged = gzip(whole.as_bytes());
    let checksum = damaged.len() - 6;
    damaged[checksum] ^= 1;
    let cases: [(&[u8], &str); 7] = [
        (b"", "truncated"),
        (b"Dear Sir or Madam,\n", "in the middle of a statement"),
        (&whole.as_bytes()[..whole.find("SELECT").unwrap()], "does not end with the line"),
        (&whole.as_bytes()[..whole.find("\\.").unwrap()], "in the middle of COPY data"),
        (&gzip(whole.as_bytes())[..60], "gzip file is truncated"),
        (&damaged, "gzip file is damaged"),
        (&gzip(format!("{}{whole}", "-- zeros\n".repeat(1000)).as_bytes()), "larger than 5000 bytes"),
    ];
    for (bytes, part) in cases {
        let limit = if part.contains("5000") { 5000 } else { MAX_EXPANDED };
        let plan =
            Restore { input: input(bytes), max_expanded_bytes: limit, target: target(), packs: Vec::new() };
        let run = engine(Some(&cluster), &Plan::Restore(plan), bytes);
        assert!(run.rejection().message.contains(part), "{part}: {:?}", run.rejection());
    }
}

#[test]
fn a_connection_that_breaks_is_not_the_customers_fault() {
    let cluster = Cluster::start();
    let bytes = dump("CREATE TABLE t (a int);");
    let input = Input { bytes: bytes.len() as u64 + 1, format: Format::Plain };
    let plan = Restore { input, max_expanded_bytes: MAX_EXPANDED, target: target(), packs: Vec::new() };
    let run = engine(Some(&cluster), &Plan::Restore(plan), bytes.as_bytes());
    assert_eq!(run.code, 70);
    let Failure::Infrastructure { message, .. } = run.failure() else { panic!("{:?}", run.failure()) };
    assert!(message.contains("ended early"), "{message}");
    let run = engine(None, &Plan::Sniff(Sniff { head_bytes: 10, total_bytes: 10 }), b"short");
    assert_eq!(run.code, 70);
}

#[test]
fn one_database_may_be_connected_to() {
    let cluster = Cluster::start();
    let body = "CREATE DATABASE odoo WITH TEMPLATE = template0;\nALTER DATABASE odoo OWNER TO odoo;\n\\connect odoo\n\
                SET client_encoding = 'UTF8';\nCREATE TABLE t (a int);\n\\connect odoo\nCREATE TABLE u (a int);";
    let run = restore_unknown(&cluster, dump(body).as_bytes());
    assert!(run.rejection().message.contains("no product"), "{:?}", run.rejection());
    assert_eq!(cluster.sql("work", "SELECT count(*) FROM pg_class WHERE relname IN ('t', 'u')"), "2");
}
