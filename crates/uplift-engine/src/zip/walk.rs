//! The way through a zip, from its first entry to its end.

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher as _,
    io::{self, BufRead, BufReader, Read},
};

use super::{
    ZipError,
    body::Body,
    record::{self, Central, DEFLATED, ENCRYPTED, END, END_64, Facts, LOCAL, LOCATOR_64, Local, STORED},
};

/// How many entries are taken; each costs some 50 bytes of memory. An Odoo with a million attachments is a large one.
const MAX_ENTRIES: usize = 1_000_000;

/// The longest name that is taken, in bytes: file systems take no longer path.
const LONGEST_NAME: usize = 4096;

const BLOCK: usize = 256 * 1024;

/// What an entry is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// `dump.sql`.
    Dump,
    /// `manifest.json`.
    Manifest,
    /// Anything else; it goes along as it is.
    File,
}

impl Role {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"dump.sql" => Self::Dump,
            b"manifest.json" => Self::Manifest,
            _ => Self::File,
        }
    }
}

/// Goes through a zip. Call [`Walker::next`] until there is none, and consume each entry before the next; then
/// [`Walker::central`] until there is none; then [`Walker::end`].
pub(crate) struct Walker<R> {
    pub(super) source: Tracked<R>,
    /// How many unpacked bytes are still taken, and how many were at the beginning.
    left: u64,
    limit: u64,
    /// What the last entry is; it is known for certain once that was read.
    last: Facts,
    /// Where the last entry stands, and its name's hash.
    open: Option<(u64, u64)>,
    seen: Vec<Seen>,
    names: HashSet<u64>,
    hasher: RandomState,
    /// The signature that was read last, where nobody has taken it yet.
    signature: Option<u32>,
    listed: usize,
}

/// What is remembered of an entry until the directory speaks of it.
struct Seen {
    offset: u64,
    name: u64,
    facts: Facts,
}

impl<R: Read> Walker<R> {
    pub(crate) fn new(source: R, limit: u64) -> Self {
        Self {
            source: Tracked { source: BufReader::with_capacity(BLOCK, source), at: 0, record: None },
            left: limit,
            limit,
            last: Facts::default(),
            open: None,
            seen: Vec::new(),
            names: HashSet::new(),
            hasher: RandomState::new(),
            signature: None,
            listed: 0,
        }
    }

    /// The next entry's header; none where the directory begins.
    ///
    /// # Errors
    /// What is no zip, or holds what is not taken.
    pub(crate) fn next(&mut self) -> io::Result<Option<Local>> {
        if let Some((offset, name)) = self.open.take() {
            self.seen.push(Seen { offset, name, facts: self.last });
        }
        let offset = self.source.at;
        if !self.is_next(LOCAL)? {
            return Ok(None);
        }
        let entry = Local::read(&mut self.source, offset)?;
        check_name(&entry.name)?;
        let packing = |how| ZipError::Packing { name: entry.shown(), how };
        if entry.flags & ENCRYPTED != 0 {
            return Err(packing("encrypted").into());
        }
        match entry.method {
            DEFLATED => {}
            // Nothing says where it ends.
            STORED if entry.streamed() => return Err(packing("stored without its length").into()),
            STORED => {}
            _ => return Err(packing("packed by another method than deflate").into()),
        }
        if self.seen.len() == MAX_ENTRIES {
            return Err(ZipError::TooMany(MAX_ENTRIES).into());
        }
        let name = self.hasher.hash_one(&entry.name);
        if !self.names.insert(name) {
            return Err(ZipError::Twice(entry.shown()).into());
        }
        self.last = entry.facts;
        self.open = Some((offset, name));
        Ok(Some(entry))
    }

    /// The entry's content, unpacked, and checked once it is read to its end.
    pub(crate) fn body<'a>(&'a mut self, entry: &'a Local) -> Body<'a, R> {
        Body::new(&mut self.source, entry, (&mut self.left, self.limit), &mut self.last)
    }

    /// Whether an entry of this name has come by; before the directory was read.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.names.contains(&self.hasher.hash_one(name))
    }

    /// What is known of the last entry.
    pub(crate) const fn last(&self) -> Facts {
        self.last
    }

    /// The next record of the directory, which fits its entry; none at the directory's end.
    ///
    /// # Errors
    /// It lists what is not there.
    pub(crate) fn central(&mut self) -> io::Result<Option<Central>> {
        if !self.is_next(record::CENTRAL)? {
            return Ok(None);
        }
        let record = Central::read(&mut self.source)?;
        if record.is_link() {
            return Err(ZipError::Link(record.shown()).into());
        }
        let found = self.seen.binary_search_by_key(&record.offset, |seen| seen.offset);
        let seen = &self.seen[found.map_err(|_| ZipError::Directory("an entry is not where it says"))?];
        if seen.name != self.hasher.hash_one(&record.name) {
            return Err(ZipError::Directory("an entry has another name").into());
        }
        if seen.facts != record.facts {
            return Err(ZipError::Lies { name: record.shown(), what: "the length" }.into());
        }
        // Listed twice, it would stand in for one that is not listed.
        if !self.names.remove(&seen.name) {
            return Err(ZipError::Twice(record.shown()).into());
        }
        self.listed += 1;
        Ok(Some(record))
    }

    /// Reads the zip's end.
    ///
    /// # Errors
    /// An entry is not listed, or the end is missing.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if self.listed != self.seen.len() {
            return Err(ZipError::Directory("an entry is missing there").into());
        }
        let skip = |walker: &mut Self, count: u64| {
            let skipped = io::copy(&mut walker.source.by_ref().take(count), &mut io::sink())?;
            if skipped == count { Ok(()) } else { Err(io::Error::from(ZipError::Truncated)) }
        };
        if self.is_next(END_64)? {
            let mut length = Vec::new();
            record::take(&mut self.source, &mut length, 8)?;
            skip(self, u64::from_le_bytes(length.try_into().unwrap_or_default()))?;
        }
        if self.is_next(LOCATOR_64)? {
            skip(self, 16)?;
        }
        if !self.is_next(END)? {
            return Err(ZipError::Truncated.into());
        }
        skip(self, 18)
    }

    /// Whether this signature comes next, which is then consumed.
    fn is_next(&mut self, wanted: u32) -> io::Result<bool> {
        let found = match self.signature.take() {
            Some(found) => found,
            None => {
                let mut bytes = Vec::with_capacity(4);
                record::take(&mut self.source, &mut bytes, 4)?;
                u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
            }
        };
        if found != wanted {
            self.signature = Some(found);
        }
        Ok(found == wanted)
    }
}

/// Whether a name stays in the folder that it is unpacked in, on every system.
fn check_name(name: &[u8]) -> io::Result<()> {
    let sound = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.starts_with(b"/")
        && !name.iter().any(|&byte| byte < b' ' || matches!(byte, b'\\' | b':' | 0x7f))
        && !name.split(|&byte| byte == b'/').any(|part| part == b".." || part == b".");
    if sound { Ok(()) } else { Err(ZipError::Name(record::shown(name)).into()) }
}

/// A source that knows how far it is, and remembers what was consumed where somebody wants that.
pub(super) struct Tracked<R> {
    source: BufReader<R>,
    pub(super) at: u64,
    pub(super) record: Option<Vec<u8>>,
}

impl<R: Read> Read for Tracked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Tracked<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if let Some(record) = &mut self.record {
            record.extend_from_slice(&self.source.buffer()[..count]);
        }
        self.at += count as u64;
        self.source.consume(count);
    }
}
