//! A window onto a stream of bytes that grows only as far as one statement needs.

use std::io::{self, Read};

/// How much is asked of the source at least, and how large the window is to begin with.
const READ: usize = 256 * 1024;

/// The bytes that were read and not yet consumed, and where in the file they stand.
pub(super) struct Buffer<R> {
    source: R,
    data: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    line: u64,
    exhausted: bool,
}

impl<R: Read> Buffer<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, data: vec![0; 2 * READ], start: 0, end: 0, offset: 0, line: 1, exhausted: false }
    }

    /// What is there.
    pub(super) fn window(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// Whether the window holds all that is left of the source.
    pub(super) const fn exhausted(&self) -> bool {
        self.exhausted
    }

    /// The line, from 1, on which the window begins.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// How many bytes of the source lie before the window.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes of memory it holds.
    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.data.capacity()
    }

    /// Lets go of the window's first bytes.
    pub(super) fn consume(&mut self, count: usize) {
        let gone = &self.data[self.start..self.start + count];
        self.line += memchr::memchr_iter(b'\n', gone).count() as u64;
        self.offset += count as u64;
        self.start += count;
    }

    /// Reads on, at least half of the window's length again: who scans a token anew after each call then
    /// scans it a few times, whatever its length.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        let wanted = self.window().len() / 2 + 1;
        self.make_room(wanted.max(READ));
        let target = self.end + wanted;
        while self.end < target && !self.exhausted {
            match self.source.read(&mut self.data[self.end..]) {
                Ok(0) => self.exhausted = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn make_room(&mut self, room: usize) {
        if self.data.len() - self.end >= room {
            return;
        }
        self.data.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let needed = self.end + room;
        if self.data.len() < needed {
            self.data.resize(needed, 0);
        }
    }
}
