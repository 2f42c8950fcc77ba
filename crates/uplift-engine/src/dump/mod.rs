//! `dump`: neutralize, look at the result, and write it out in the format that was asked for.

mod backup;
mod pg_dump;

use std::io::{self, Read, Stdin, Write};

use postgres::Client;
use sha2::{Digest as _, Sha256};
use uplift_core::{
    Format,
    event::{Digest, Event, Stage},
    plan::Dump,
};

use crate::{
    ask, checkpoint,
    compress::{Packer, compress},
    connect::{Server, Use, WORK},
    failure::{Outcome, infrastructure, ours},
    health::health,
    input::{fault, read_failure},
    script::run as run_script,
    tables::tables,
};
use pg_dump::PgDump;

/// The longest run of bytes that is passed on at once.
const BLOCK: usize = 256 * 1024;

/// Runs the plan; the dump goes to `sink`. Returns what was read and what was written.
///
/// # Errors
/// A script or an invariant's query fails, or something of ours breaks.
pub fn run(server: &Server, stdin: Stdin, sink: impl Write, plan: &Dump) -> Outcome<(Digest, Digest)> {
    let events = server.events();
    // Nothing fails any more that it would be needed for, and its room may be.
    checkpoint::forget(server)?;
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
    let manifest = match (plan.format, &plan.manifest) {
        (Format::Zip, Some(query)) => ask::manifest(&mut client, query)?,
        _ => Vec::new(),
    };
    drop((own, client));

    let mut sink = Tally::new(sink);
    let mut told = Told { server, last: 0, expected };
    let read = match plan.format {
        Format::Zip => backup::write(server, stdin, &mut sink, plan, manifest, &mut told)?,
        format => {
            write_dump(server, &mut sink, format, plan.source_major, &mut told)?;
            crate::nothing()
        }
    };
    events.complete(Stage::Dump, told.last);
    Ok((read, sink.digest()))
}

/// Dumps the database as it is, for ourselves. Returns what was written.
///
/// # Errors
/// `pg_dump` fails.
pub(crate) fn state(server: &Server, sink: impl Write, major: u32) -> Outcome<Digest> {
    let mut sink = Tally::new(sink);
    PgDump::state(server, major)?
        .finish(|output| pass(output, &mut sink, |_| ()).and_then(|()| sink.flush()))?;
    Ok(sink.digest())
}

/// What the tables take, which is about what their dump takes.
fn table_bytes(client: &mut Client) -> Outcome<u64> {
    let query = "SELECT coalesce(pg_catalog.sum(pg_catalog.pg_table_size(c.oid)), 0)::bigint
                   FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')";
    let bytes: i64 = client.query_one(query, &[]).map_err(|error| ours("dump", &error))?.get(0);
    Ok(bytes.unsigned_abs())
}

/// Writes a dump that is a file of its own.
fn write_dump(
    server: &Server,
    sink: &mut impl Write,
    format: Format,
    source_major: Option<u16>,
    told: &mut Told<'_>,
) -> Outcome<()> {
    let dump = match format {
        Format::Custom => PgDump::custom(server)?,
        _ => PgDump::plain(server, source_major)?,
    };
    let packer = match format {
        Format::Gzip => Some(Packer::Gzip),
        Format::Zstd => Some(Packer::Zstd),
        Format::Xz => Some(Packer::Xz),
        Format::Plain | Format::Custom | Format::Zip => None,
    };
    dump.finish(|output| {
        match packer {
            None => pass(output, sink, |read| told.read(read)),
            Some(packer) => compress(output, sink, packer, |read| told.read(read)),
        }
        .and_then(|()| sink.flush())
    })
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

/// The failure that a failed write stands for; what the customer's zip is at fault for is found at its restore.
fn failed(error: &io::Error) -> Box<uplift_core::Failure> {
    match fault(error) {
        Some(_) => read_failure("dump", error),
        None => infrastructure("dump", format!("write the dump: {error}")),
    }
}

/// How far the dump is.
struct Told<'a> {
    server: &'a Server,
    last: u64,
    expected: u64,
}

impl Told<'_> {
    fn read(&mut self, bytes: u64) {
        self.last = bytes;
        let done = bytes.min(self.expected.saturating_sub(1));
        self.server.events().progress(Stage::Dump, done, self.expected);
    }
}

/// Counts and hashes what passes.
struct Tally<W> {
    sink: W,
    bytes: u64,
    hash: Sha256,
}

impl<W> Tally<W> {
    fn new(sink: W) -> Self {
        Self { sink, bytes: 0, hash: Sha256::new() }
    }

    fn digest(self) -> Digest {
        Digest { bytes: self.bytes, sha256: format!("{:x}", self.hash.finalize()) }
    }
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
