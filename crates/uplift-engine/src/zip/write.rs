//! A zip that is written as a stream: entries of our own, entries of another zip, the directory of both.

use std::io::{self, Read, Write};

use flate2::{Compression, Crc, write::DeflateEncoder};

use super::{
    Role, Walker,
    record::{self, Central, DEFLATED, Facts, Local, STREAMED},
};

/// A zip on its way out.
pub(crate) struct Zip<W> {
    sink: Placed<W>,
    /// Records of our own entries.
    own: Vec<Central>,
    /// Where entries of the other zip stood, in rising order, and where they stand now.
    moved: Vec<(u64, u64)>,
}

/// The length and the CRC of an entry's content.
pub(crate) struct Content {
    pub(crate) bytes: u64,
    pub(crate) crc: Crc,
}

impl<W: Write> Zip<W> {
    pub(crate) const fn new(sink: W) -> Self {
        Self { sink: Placed { sink, at: 0 }, own: Vec::new(), moved: Vec::new() }
    }

    /// Adds an entry whose deflated content `write` writes; it says what it has packed. Returns what it is.
    ///
    /// # Errors
    /// What `write` or the sink say.
    pub(crate) fn stream(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<Content>,
    ) -> io::Result<Facts> {
        let offset = self.sink.at;
        self.sink.write_all(&record::local(name, DEFLATED, None))?;
        let began = self.sink.at;
        let content = write(&mut self.sink)?;
        let facts = Facts { crc: content.crc.sum(), packed: self.sink.at - began, unpacked: content.bytes };
        self.sink.write_all(&record::descriptor(facts, true))?;
        self.own.push(Central::new(name, STREAMED, DEFLATED, facts, offset));
        Ok(facts)
    }

    /// Adds a small entry.
    ///
    /// # Errors
    /// What the sink says.
    pub(crate) fn file(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content)?;
        let packed = encoder.finish()?;
        let mut crc = Crc::new();
        crc.update(content);
        let facts = Facts { crc: crc.sum(), packed: packed.len() as u64, unpacked: content.len() as u64 };
        let offset = self.sink.at;
        self.sink.write_all(&record::local(name, DEFLATED, Some(facts)))?;
        self.sink.write_all(&packed)?;
        self.own.push(Central::new(name, 0, DEFLATED, facts, offset));
        Ok(())
    }

    /// Takes an entry of another zip over as it stands.
    ///
    /// # Errors
    /// What either side says.
    pub(crate) fn take_over(&mut self, walker: &mut Walker<impl Read>, entry: &Local) -> io::Result<()> {
        self.moved.push((entry.offset, self.sink.at));
        walker.copy(entry, &mut self.sink)
    }

    /// Writes the directory, with what the other zip's says of the entries that were taken over.
    ///
    /// # Errors
    /// What either side says.
    pub(crate) fn finish(mut self, walker: Option<&mut Walker<impl Read>>) -> io::Result<()> {
        let begins = self.sink.at;
        let mut entries = self.own.len() as u64;
        for record in &self.own {
            self.sink.write_all(&record.bytes())?;
        }
        if let Some(walker) = walker {
            while let Some(mut record) = walker.central()? {
                let found = self.moved.binary_search_by_key(&record.offset, |&(from, _)| from);
                if let (Role::File, Ok(found)) = (Role::of(&record.name), found) {
                    record.offset = self.moved[found].1;
                    self.sink.write_all(&record.bytes())?;
                    entries += 1;
                }
            }
            walker.end()?;
        }
        let length = self.sink.at - begins;
        self.sink.write_all(&record::end(entries, begins, length))?;
        self.sink.flush()
    }
}

/// A sink that knows how far it is.
struct Placed<W> {
    sink: W,
    at: u64,
}

impl<W: Write> Write for Placed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.sink.write(bytes)?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
