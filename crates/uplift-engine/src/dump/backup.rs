//! A backup as Odoo makes it: a zip with the new dump, the manifest brought up to date, and every other file of the zip
//! that came in, as it stands there.

use std::{
    fs::File,
    io::{self, Read, Stdin, Write},
};

use flate2::Crc;
use serde_json::{Map, Value};
use uplift_core::{
    event::{Digest, Event},
    plan::{Dump, Input},
};

use super::{Told, failed, pg_dump::PgDump};
use crate::{
    compress::{Packer, compress},
    connect::Server,
    events::Events,
    failure::Outcome,
    filestore,
    input::{Counted, InputError},
    zip::{Content, Role, Tally, Walker, Zip},
};

/// The longest manifest that is read, in bytes; Odoo's lists some hundred modules.
const LONGEST_MANIFEST: u64 = 16 << 20;

/// Writes the zip. Returns what was read of the one that came in.
pub(super) fn write(
    server: &Server,
    stdin: Stdin,
    sink: &mut impl Write,
    plan: &Dump,
    manifest: Vec<(String, Value)>,
    told: &mut Told<'_>,
) -> Outcome<Digest> {
    let mut zip = Zip::new(sink);
    PgDump::plain(server, plan.source_major)?.finish(|output| {
        zip.stream("dump.sql", |mut sink| {
            let mut text = Text { source: output, content: Content { bytes: 0, crc: Crc::new() } };
            compress(&mut text, &mut sink, Packer::Deflate, |read| told.read(read))?;
            Ok(text.content)
        })
    })?;
    match plan.backup {
        Some(input) => {
            take_over(stdin, input, zip, manifest, plan.filestore.map(|bytes| (server.events(), bytes)))
        }
        None => {
            let written = write_manifest(&mut zip, Map::new(), manifest);
            written.and_then(|()| zip.finish(None::<&mut Walker<io::Empty>>)).map(|()| crate::nothing())
        }
    }
    .map_err(|error| failed(&error))
}

/// Adds what the zip that came in holds beside its dump, and what runners have added to it, where they had it.
fn take_over(
    source: impl Read,
    input: Input,
    mut zip: Zip<impl Write>,
    mut manifest: Vec<(String, Value)>,
    filestore: Option<(&Events, u64)>,
) -> io::Result<Digest> {
    let mut counted = Counted::new(source, input.bytes);
    // What it unpacks to was bounded when it was restored; here it is hardly unpacked at all.
    let mut walker = Walker::new(&mut counted, u64::MAX);
    let mut tally = Tally::default();
    while let Some(entry) = walker.next()? {
        match entry.role() {
            Role::Dump => walker.copy(&entry, &mut io::sink())?,
            Role::Manifest => {
                let mut text = Vec::new();
                let mut body = walker.body(&entry);
                body.by_ref().take(LONGEST_MANIFEST).read_to_end(&mut text)?;
                io::copy(&mut body, &mut io::sink())?;
                let known = serde_json::from_slice(&text).unwrap_or_default();
                write_manifest(&mut zip, known, std::mem::take(&mut manifest))?;
            }
            Role::File => {
                zip.take_over(&mut walker, &entry)?;
                tally.add(&entry.name, walker.last());
            }
        }
    }
    // A zip without a manifest is given one, where the pack knows what belongs there.
    if !manifest.is_empty() {
        write_manifest(&mut zip, Map::new(), manifest)?;
    }
    if let Some((events, bytes)) = filestore {
        add_new_files(&mut zip, &walker, &mut tally, events, bytes)?;
        events.emit(&Event::Files(tally.files()));
    }
    zip.finish(Some(&mut walker))?;
    io::copy(&mut counted, &mut io::sink())?;
    Ok(counted.digest())
}

/// Adds the files that are in the filestore and were not in the zip that came in, so many bytes of them at most.
fn add_new_files(
    zip: &mut Zip<impl Write>,
    walker: &Walker<impl Read>,
    tally: &mut Tally,
    events: &Events,
    mut left: u64,
) -> io::Result<()> {
    let skipped = filestore::files(&mut |name, path| {
        if walker.has(name.as_bytes()) {
            return Ok(());
        }
        let file = File::open(path).map_err(|error| InputError::Added(format!("{name}: {error}")))?;
        let content = Content { bytes: 0, crc: Crc::new() };
        let mut source = Text { source: file.take(left.saturating_add(1)), content };
        let facts = zip.stream(name, |mut sink| {
            compress(&mut source, &mut sink, Packer::Deflate, |_| ())?;
            Ok(source.content)
        })?;
        left = left.checked_sub(facts.unpacked).ok_or_else(|| {
            InputError::Added(format!("{name}: they are larger than what they may take of the disk"))
        })?;
        tally.add(name.as_bytes(), facts);
        Ok(())
    })?;
    if skipped > 0 {
        events.warning(format!(
            "{skipped} files beside the database are left out: they are links, or their names are not plain"
        ));
    }
    Ok(())
}

/// Writes the manifest with what has changed; nothing where there is nothing to write.
fn write_manifest(
    zip: &mut Zip<impl Write>,
    mut known: Map<String, Value>,
    news: Vec<(String, Value)>,
) -> io::Result<()> {
    known.extend(news);
    if known.is_empty() {
        return Ok(());
    }
    zip.file("manifest.json", &serde_json::to_vec_pretty(&known)?)
}

/// A text that is counted and summed up as it is read.
struct Text<R> {
    source: R,
    content: Content,
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(into)?;
        self.content.bytes += count as u64;
        self.content.crc.update(&into[..count]);
        Ok(count)
    }
}
