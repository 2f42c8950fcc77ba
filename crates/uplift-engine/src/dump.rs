//! `dump`: neutralize, look at the result, and write it out in the format that came in.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
};

use postgres::Client;
use sha2::{Digest as _, Sha256};
use uplift_core::{
    event::{Digest, Event, Stage},
    plan::{Compression, Dump},
};

use crate::{
    ask,
    connect::{Server, TENANT, Use, WORK},
    events::Events,
    failure::{Outcome, excerpt, infrastructure, ours},
    gz,
    health::health,
    script::run as run_script,
    tables::tables,
};

/// The longest run of bytes that is passed on at once.
const BLOCK: usize = 256 * 1024;

/// Where pg_dump's settings stand, in bytes.
const HEAD: u64 = 4096;

/// A setting that servers before 17 do not know.
const NEW_IN_17: &[u8] = b"\nSET transaction_timeout = 0;";

/// How many of pg_dump's own lines are kept for the message, should it fail.
const LINES_KEPT: usize = 20;

/// Runs the plan; the dump goes to `sink`. Returns what was written.
///
/// # Errors
/// A script or an invariant's query fails, or something of ours breaks.
pub fn run(server: &Server, sink: impl Write, plan: &Dump) -> Outcome<Digest> {
    let events = server.events();
    for script in &plan.neutralize {
        server.reset_role(WORK)?;
        let mut client = server.tenant(WORK, Use::Script)?;
        let rows = run_script(&mut client, "neutralize", script, true)?;
        events.info(format!("neutralized: {} touched {rows} rows", script.file));
    }
    server.reset_role(WORK)?;

    let mut own = server.tenant(WORK, Use::Own)?;
    let mut client = server.tenant(WORK, Use::Ask)?;
    events.emit(&Event::Tables { tables: tables(&mut own, "dump")? });
    events.emit(&Event::Reconciled { invariants: ask::reconcile(&mut client, &plan.reconcile)? });
    events.emit(&Event::Health(health(&mut own)?));
    let expected = table_bytes(&mut own)?;
    drop((own, client));
    write_dump(server, sink, plan, expected)
}

/// What the tables take, which is about what their dump takes.
fn table_bytes(client: &mut Client) -> Outcome<u64> {
    let query = "SELECT coalesce(pg_catalog.sum(pg_catalog.pg_table_size(c.oid)), 0)::bigint
                   FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')";
    let bytes: i64 = client.query_one(query, &[]).map_err(|error| ours("dump", &error))?.get(0);
    Ok(bytes.unsigned_abs())
}

fn write_dump(server: &Server, sink: impl Write, plan: &Dump, expected: u64) -> Outcome<Digest> {
    let events = server.events().clone();
    let fails = |error: io::Error| infrastructure("dump", format!("write the dump: {error}"));
    let (mut child, stdout, lines) = start_pg_dump(server)?;
    let stdout = for_source(stdout, plan.source_major).map_err(fails)?;
    let mut sink = Tally { sink, bytes: 0, hash: Sha256::new() };
    let mut last = 0;
    let told = |read: u64| {
        last = read;
        events.progress(Stage::Dump, read.min(expected.saturating_sub(1)), expected);
    };
    let passed = match plan.compression {
        Compression::None => pass(stdout, &mut sink, told),
        Compression::Gzip => gz::compress(stdout, &mut sink, told),
    }
    .and_then(|()| sink.flush());
    // A pg_dump whose output is read no more ends by itself.
    let status = child.wait().map_err(fails)?;
    let lines = lines.join().unwrap_or_default();
    if !status.success() {
        return Err(infrastructure("dump", format!("pg_dump ended with {status}: {}", lines.join("; "))));
    }
    passed.map_err(fails)?;
    server.events().complete(Stage::Dump, last);
    Ok(Digest { bytes: sink.bytes, sha256: format!("{:x}", sink.hash.finalize()) })
}

fn start_pg_dump(server: &Server) -> Outcome<(Child, ChildStdout, JoinHandle<Vec<String>>)> {
    let spawned = Command::new("pg_dump")
        .args(["--format=plain", "--encoding=UTF8", "--no-owner", "--no-privileges", "--no-password"])
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
/// introduced. A 15 takes the rest of what pg_dump 17 writes (tests/fleet/sample.rs); a 16 was not at hand.
fn for_source(mut stdout: impl Read, source_major: Option<u16>) -> io::Result<impl Read> {
    let mut head = Vec::new();
    stdout.by_ref().take(HEAD).read_to_end(&mut head)?;
    if source_major.is_some_and(|major| major < 17)
        && let Some(at) = memchr::memmem::find(&head, NEW_IN_17)
    {
        head.drain(at..at + NEW_IN_17.len());
    }
    Ok(io::Cursor::new(head).chain(stdout))
}

fn pass(mut source: impl Read, sink: &mut impl Write, mut told: impl FnMut(u64)) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let mut read = 0;
    loop {
        match source.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                sink.write_all(&block[..count])?;
                read += count as u64;
                told(read);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Counts and hashes what passes.
struct Tally<W> {
    sink: W,
    bytes: u64,
    hash: Sha256,
}

impl<W: Write> Write for Tally<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.sink.write(bytes)?;
        self.bytes += count as u64;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
