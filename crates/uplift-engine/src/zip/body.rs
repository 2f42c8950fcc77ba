//! The content of an entry, held against what the zip says of it.

use std::io::{self, BufRead as _, Read, Take};

use flate2::{Crc, bufread::DeflateDecoder};

use super::{
    ZipError,
    record::{self, DESCRIPTOR, Facts, Local, STORED},
    walk::Tracked,
};

/// Reads an entry's content. Once it has come to the end, length and CRC are what the zip says.
pub(crate) struct Body<'a, R: Read> {
    source: Packed<'a, R>,
    entry: &'a Local,
    began: u64,
    crc: Crc,
    unpacked: u64,
    left: &'a mut u64,
    limit: u64,
    facts: &'a mut Facts,
    ended: bool,
}

enum Packed<'a, R: Read> {
    Stored(Take<&'a mut Tracked<R>>),
    Deflated(DeflateDecoder<Take<&'a mut Tracked<R>>>),
}

impl<'a, R: Read> Body<'a, R> {
    /// `left` of `limit` unpacked bytes are still taken; what is found goes into `facts`.
    pub(super) fn new(
        source: &'a mut Tracked<R>,
        entry: &'a Local,
        (left, limit): (&'a mut u64, u64),
        facts: &'a mut Facts,
    ) -> Self {
        let began = source.at;
        let source = source.take(if entry.streamed() { u64::MAX } else { entry.facts.packed });
        let source = match entry.method {
            STORED => Packed::Stored(source),
            _ => Packed::Deflated(DeflateDecoder::new(source)),
        };
        Self { source, entry, began, crc: Crc::new(), unpacked: 0, left, limit, facts, ended: false }
    }

    /// The zip behind the entry.
    pub(super) fn tracked(&mut self) -> &mut Tracked<R> {
        match &mut self.source {
            Packed::Stored(source) => source.get_mut(),
            Packed::Deflated(decoder) => decoder.get_mut().get_mut(),
        }
    }

    fn lies(&self, what: &'static str) -> io::Error {
        ZipError::Lies { name: self.entry.shown(), what }.into()
    }

    /// The decoder's complaints are about the zip; what the source says passes as it is.
    fn complaint(&mut self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => match self.tracked().fill_buf() {
                Ok([]) => ZipError::Truncated.into(),
                Ok(_) => self.lies("the length"),
                Err(error) => error,
            },
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => self.lies("the data"),
            _ => error,
        }
    }

    fn end(&mut self) -> io::Result<()> {
        let packed = self.tracked().at - self.began;
        let found = Facts { crc: self.crc.sum(), packed, unpacked: self.unpacked };
        let said = if self.entry.streamed() { self.descriptor(found)? } else { self.entry.facts };
        if found.packed < said.packed && self.tracked().fill_buf()?.is_empty() {
            return Err(ZipError::Truncated.into());
        }
        if (found.packed, found.unpacked) != (said.packed, said.unpacked) {
            return Err(self.lies("the length"));
        }
        if found.crc != said.crc {
            return Err(self.lies("the checksum"));
        }
        *self.facts = found;
        Ok(())
    }

    /// What stands behind the data. Whether its sizes have 64 bits is said by the header, or by the sizes.
    fn descriptor(&mut self, found: Facts) -> io::Result<Facts> {
        let narrow = u64::from(u32::MAX);
        let wide = self.entry.wide || found.packed > narrow || found.unpacked > narrow;
        let source = self.tracked();
        let mut bytes = Vec::new();
        record::take(source, &mut bytes, 4)?;
        // The signature may be missing.
        if bytes == DESCRIPTOR.to_le_bytes() {
            bytes.clear();
            record::take(source, &mut bytes, 4)?;
        }
        let width = if wide { 8 } else { 4 };
        record::take(source, &mut bytes, 2 * width)?;
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let (crc, sizes) = bytes.split_at(4);
        let (packed, unpacked) = sizes.split_at(width);
        let crc = u32::try_from(number(crc)).unwrap_or_default();
        Ok(Facts { crc, packed: number(packed), unpacked: number(unpacked) })
    }
}

impl<R: Read> Read for Body<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ended || into.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.source {
            Packed::Stored(source) => source.read(into),
            Packed::Deflated(decoder) => decoder.read(into),
        };
        let count = read.map_err(|error| self.complaint(error))?;
        if count == 0 {
            self.ended = true;
            self.end()?;
            return Ok(0);
        }
        self.crc.update(&into[..count]);
        self.unpacked += count as u64;
        // A bomb is told before it has gone off.
        if !self.entry.streamed() && self.unpacked > self.entry.facts.unpacked {
            return Err(self.lies("the length"));
        }
        *self.left = self.left.checked_sub(count as u64).ok_or(ZipError::TooLarge(self.limit))?;
        Ok(count)
    }
}
