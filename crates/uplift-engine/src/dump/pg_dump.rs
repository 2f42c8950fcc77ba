//! `pg_dump` at work.

use std::{
    io::{self, BufRead as _, BufReader, Read},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
};

use super::failed;
use crate::{
    connect::{Server, TENANT, WORK},
    events::Events,
    failure::{Outcome, excerpt, infrastructure},
};

/// Where pg_dump's settings stand, in bytes.
const HEAD: u64 = 4096;

/// A setting that servers before 17 do not know.
const NEW_IN_17: &[u8] = b"\nSET transaction_timeout = 0;";

/// How many of pg_dump's own lines are kept for the message, should it fail.
const LINES_KEPT: usize = 20;

/// A pg_dump that has been started, and what it writes.
pub(super) struct PgDump {
    child: Child,
    output: Box<dyn Read + Send>,
    lines: JoinHandle<Vec<String>>,
}

impl PgDump {
    /// SQL, for a server of this major.
    pub(super) fn plain(server: &Server, source_major: Option<u16>) -> Outcome<Self> {
        let (child, stdout, lines) = start(server, &["--format=plain"])?;
        let output = for_source(stdout, source_major).map_err(|error| failed(&error))?;
        Ok(Self { child, output: Box::new(output), lines })
    }

    /// An archive, compressed as pg_dump does by default.
    pub(super) fn custom(server: &Server) -> Outcome<Self> {
        Self::archive(server, &["--format=custom"])
    }

    /// An archive for ourselves, compressed as fast as this major can.
    pub(super) fn state(server: &Server, major: u32) -> Outcome<Self> {
        let compress = if major >= 16 { "--compress=zstd:1" } else { "--compress=1" };
        Self::archive(server, &["--format=custom", compress])
    }

    fn archive(server: &Server, arguments: &[&str]) -> Outcome<Self> {
        let (child, stdout, lines) = start(server, arguments)?;
        Ok(Self { child, output: Box::new(stdout), lines })
    }

    /// Gives all of its output to `take`, and sees how it ends.
    pub(super) fn finish<T>(self, take: impl FnOnce(Box<dyn Read + Send>) -> io::Result<T>) -> Outcome<T> {
        let Self { mut child, output, lines } = self;
        let taken = take(output);
        // A pg_dump whose output is read no more ends by itself.
        let status = child.wait().map_err(|error| failed(&error))?;
        let lines = lines.join().unwrap_or_default();
        if !status.success() {
            let lines = lines.join("; ");
            return Err(infrastructure("dump", format!("pg_dump ended with {status}: {lines}")));
        }
        taken.map_err(|error| failed(&error))
    }
}

fn start(server: &Server, arguments: &[&str]) -> Outcome<(Child, ChildStdout, JoinHandle<Vec<String>>)> {
    let spawned = Command::new("pg_dump")
        .args(arguments)
        .args(["--encoding=UTF8", "--no-owner", "--no-privileges", "--no-password"])
        .args(["--host", server.directory(), "--port", &server.port().to_string()])
        .args(["--username", TENANT, "--dbname", WORK])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|error| infrastructure("dump", format!("start pg_dump: {error}")))?;
    match (child.stdout.take(), child.stderr.take()) {
        (Some(stdout), Some(stderr)) => {
            let events = server.events().clone();
            Ok((child, stdout, thread::spawn(move || forward(stderr, &events))))
        }
        _ => Err(infrastructure("dump", "pg_dump has no output")),
    }
}

/// Passes on what pg_dump says aside, and keeps its last lines.
fn forward(stderr: ChildStderr, events: &Events) -> Vec<String> {
    let mut kept = Vec::new();
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = excerpt(&String::from_utf8_lossy(&line));
        events.warning(line.clone());
        if kept.len() == LINES_KEPT {
            kept.remove(0);
        }
        kept.push(line);
    }
    kept
}

/// pg_dump's head without what the source's server does not know: `transaction_timeout`, a parameter that PostgreSQL 17
/// introduced. A 15 takes the rest of what pg_dump 17 writes (tests/fleet/sample.rs); a 16 was not at hand. A server
/// that is not known may be an old one.
fn for_source(mut stdout: impl Read, source_major: Option<u16>) -> io::Result<impl Read> {
    let mut head = Vec::new();
    stdout.by_ref().take(HEAD).read_to_end(&mut head)?;
    if source_major.is_none_or(|major| major < 17)
        && let Some(at) = memchr::memmem::find(&head, NEW_IN_17)
    {
        head.drain(at..at + NEW_IN_17.len());
    }
    Ok(io::Cursor::new(head).chain(stdout))
}
