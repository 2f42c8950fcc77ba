//! The streaming reader of plain dumps: splits a file into statements and `COPY` data the way psql does, and
//! runs nothing.
//!
//! Memory is bounded: one statement is held, up to [`MAX_STATEMENT_BYTES`]; `COPY` data passes in chunks.

mod buffer;
pub(crate) mod copy;
mod ending;
mod lexer;
mod setting;
pub(crate) mod span;

#[cfg(test)]
mod tests;

use std::io::{self, Read};

use memchr::memchr;
use thiserror::Error;

use buffer::Buffer;
pub use ending::Ending;
use lexer::{Found, Lexer};

/// The longest statement that is taken. `pg_dump` writes rows as `COPY` data, which this does not concern.
pub const MAX_STATEMENT_BYTES: usize = 64 * 1024 * 1024;

/// The longest line with a meta-command, and how much of a comment is looked at.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// How much `COPY` data is gathered before it is passed on, where the source has it.
const COPY_CHUNK: usize = 256 * 1024;

/// A statement as it stands in the file, from its first token to its `;`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Its text, `;` included.
    pub text: &'a str,
    /// The line of its first token, from 1.
    pub line: u64,
    /// The bytes of the file before its first token.
    pub offset: u64,
    /// How its strings are read: `standard_conforming_strings`, as the session has it before the statement.
    pub standard_strings: bool,
}

/// What a dump consists of, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// Something to run.
    Statement(Statement<'a>),
    /// `COPY … FROM stdin`: its data follows.
    CopyStart(Statement<'a>),
    /// Data of the `COPY` that was started. A chunk ends with a line unless the line is longer than a chunk.
    CopyData(&'a [u8]),
    /// The line `\.` behind the data.
    CopyEnd,
    /// A line that begins with a backslash, without the line's end.
    Meta {
        /// The whole line.
        text: &'a str,
        /// Which line, from 1.
        line: u64,
    },
    /// The file's end.
    End(Ending),
}

/// Why a file cannot be read as a dump. Lines count from 1.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] io::Error),
    /// A statement is longer than [`MAX_STATEMENT_BYTES`].
    #[error("the statement that begins here is longer than {} MiB", MAX_STATEMENT_BYTES / 1024 / 1024)]
    TooLong {
        /// Where it begins.
        line: u64,
    },
    /// A statement holds bytes that are not UTF-8.
    #[error("the statement is not written in UTF-8. Dump again with `pg_dump --encoding=UTF8`")]
    NotUtf8 {
        /// Where it begins.
        line: u64,
    },
    /// A statement holds a zero byte.
    #[error("the statement holds a zero byte")]
    ZeroByte {
        /// Where it begins.
        line: u64,
    },
    /// A backslash outside quotes, in the middle of a statement.
    #[error("a backslash outside of quotes is a command of psql, and none is run")]
    MetaInStatement {
        /// Where the backslash stands.
        line: u64,
    },
    /// Something follows `COPY … FROM stdin;` on its line.
    #[error("nothing may follow `COPY … FROM stdin;` on its line")]
    BehindCopy {
        /// Which line.
        line: u64,
    },
}

impl ReadError {
    /// The line concerned.
    #[must_use]
    pub const fn line(&self) -> Option<u64> {
        match self {
            Self::Source(_) => None,
            Self::TooLong { line }
            | Self::NotUtf8 { line }
            | Self::ZeroByte { line }
            | Self::MetaInStatement { line }
            | Self::BehindCopy { line } => Some(*line),
        }
    }
}

enum State {
    Begin,
    Statements,
    /// Behind the `;` of a `COPY … FROM stdin`.
    CopyLine,
    /// In `COPY` data; whether at the beginning of a line.
    Copy {
        line_begins: bool,
    },
    Ended,
}

/// Reads a plain dump out of any source. See [`Item`].
pub struct Reader<R> {
    buffer: Buffer<R>,
    lexer: Lexer,
    standard_strings: bool,
    state: State,
    /// Bytes of the window that the last item lent out.
    lent: usize,
    closing: ending::Closing,
}

impl<R: Read> Reader<R> {
    /// At the beginning of a file.
    pub fn new(source: R) -> Self {
        Self {
            buffer: Buffer::new(source),
            lexer: Lexer::new(true),
            standard_strings: true,
            state: State::Begin,
            lent: 0,
            closing: ending::Closing::default(),
        }
    }

    /// How many bytes were consumed.
    pub fn offset(&self) -> u64 {
        self.buffer.offset()
    }

    /// The next item. Behind [`Item::End`] there is only that.
    ///
    /// # Errors
    /// What the source says, and what is no plain dump.
    #[expect(clippy::should_implement_trait, reason = "items borrow from the reader, so it is no iterator")]
    pub fn next(&mut self) -> Result<Item<'_>, ReadError> {
        self.buffer.consume(std::mem::take(&mut self.lent));
        loop {
            match self.state {
                State::Begin => self.skip_mark()?,
                State::Statements => match self.advance()? {
                    Some(Place::Statement(length)) => return self.statement(length),
                    Some(Place::Meta(length)) => return self.meta(length),
                    Some(Place::End) => self.state = State::Ended,
                    None => {}
                },
                State::CopyLine => self.copy_line()?,
                State::Copy { line_begins } => {
                    if let Some(part) = self.copy_part(line_begins)? {
                        return Ok(match part {
                            copy::Part::Data(length) => {
                                self.lent = length;
                                Item::CopyData(&self.buffer.window()[..length])
                            }
                            copy::Part::End(length) => {
                                self.lent = length;
                                self.state = State::Statements;
                                Item::CopyEnd
                            }
                        });
                    }
                }
                State::Ended => return Ok(Item::End(self.closing.verdict(self.buffer.line()))),
            }
        }
    }

    /// A byte order mark may stand before the first line.
    fn skip_mark(&mut self) -> Result<(), ReadError> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        while self.buffer.window().len() < MARK.len() && !self.buffer.exhausted() {
            self.buffer.fill()?;
        }
        if self.buffer.window().starts_with(MARK) {
            self.buffer.consume(MARK.len());
        }
        self.state = State::Statements;
        Ok(())
    }

    /// Scans on to a statement's end, a meta-command or the file's end; the window then begins with it.
    fn advance(&mut self) -> Result<Option<Place>, ReadError> {
        let mut at = 0;
        loop {
            let last = self.buffer.exhausted();
            let (place, found) = self.lexer.scan(self.buffer.window(), at, last);
            at = place;
            if !self.lexer.started() || found == Found::Start {
                self.buffer.consume(std::mem::take(&mut at));
            }
            if at > MAX_STATEMENT_BYTES {
                return Err(ReadError::TooLong { line: self.buffer.line() });
            }
            match found {
                Found::Start => {}
                Found::End => return Ok(Some(Place::Statement(at))),
                Found::Backslash if self.lexer.started() => {
                    let lines = memchr::memchr_iter(b'\n', &self.buffer.window()[..at]).count() as u64;
                    return Err(ReadError::MetaInStatement { line: self.buffer.line() + lines });
                }
                Found::Backslash => return Ok(Some(Place::Meta(self.line_length()?))),
                Found::Remark => self.remark()?,
                Found::More if !last => self.buffer.fill()?,
                Found::More => {
                    if !self.lexer.at_rest() {
                        self.closing.broken_off(self.lexer.inside());
                    }
                    return Ok(Some(Place::End));
                }
            }
        }
    }

    /// The length of the line that the window begins with, without its end; of a long line, its beginning.
    fn line_length(&mut self) -> Result<usize, ReadError> {
        loop {
            let window = self.buffer.window();
            let head = &window[..window.len().min(MAX_LINE_BYTES)];
            if let Some(length) = memchr::memchr2(b'\n', b'\r', head) {
                return Ok(length);
            }
            if self.buffer.exhausted() || window.len() >= MAX_LINE_BYTES {
                return Ok(head.len());
            }
            self.buffer.fill()?;
        }
    }

    /// A comment before a statement may be the one that closes the dump.
    fn remark(&mut self) -> Result<(), ReadError> {
        let length = self.line_length()?;
        self.closing.remark(&self.buffer.window()[..length]);
        self.buffer.consume(length);
        loop {
            let window = self.buffer.window();
            let (length, ended) = span::remark(window, 0);
            self.buffer.consume(length);
            if ended || self.buffer.exhausted() {
                return Ok(());
            }
            self.buffer.fill()?;
        }
    }

    fn statement(&mut self, length: usize) -> Result<Item<'_>, ReadError> {
        let (line, offset) = (self.buffer.line(), self.buffer.offset());
        let window = &self.buffer.window()[..length];
        if memchr(0, window).is_some() {
            return Err(ReadError::ZeroByte { line });
        }
        let text = std::str::from_utf8(window).map_err(|_| ReadError::NotUtf8 { line })?;
        let standard_strings = self.standard_strings;
        if let Some(on) = setting::standard_strings(text, standard_strings) {
            self.standard_strings = on;
        }
        self.lexer = Lexer::new(self.standard_strings);
        self.closing.statement();
        self.lent = length;
        let statement = Statement { text, line, offset, standard_strings };
        if copy::source(text, standard_strings) == Some(copy::Source::Stdin) {
            self.state = State::CopyLine;
            return Ok(Item::CopyStart(statement));
        }
        Ok(Item::Statement(statement))
    }

    fn meta(&mut self, length: usize) -> Result<Item<'_>, ReadError> {
        let line = self.buffer.line();
        self.lent = length;
        let text = std::str::from_utf8(&self.buffer.window()[..length]);
        Ok(Item::Meta { text: text.map_err(|_| ReadError::NotUtf8 { line })?, line })
    }

    /// psql reads the data from the line below; what stands behind the `;` would run after it.
    fn copy_line(&mut self) -> Result<(), ReadError> {
        loop {
            let window = self.buffer.window();
            match window.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r')) {
                Some(place) if window[place] == b'\n' => {
                    self.buffer.consume(place + 1);
                    self.state = State::Copy { line_begins: true };
                    return Ok(());
                }
                Some(_) => return Err(ReadError::BehindCopy { line: self.buffer.line() }),
                None if self.buffer.exhausted() => {
                    self.closing.broken_off("COPY data");
                    self.state = State::Ended;
                    return Ok(());
                }
                None => {
                    let blank = window.len();
                    self.buffer.consume(blank);
                    self.buffer.fill()?;
                }
            }
        }
    }

    fn copy_part(&mut self, line_begins: bool) -> Result<Option<copy::Part>, ReadError> {
        while self.buffer.window().len() < COPY_CHUNK && !self.buffer.exhausted() {
            self.buffer.fill()?;
        }
        let part = copy::split(self.buffer.window(), line_begins, self.buffer.exhausted());
        match part {
            Some(copy::Part::Data(length)) => {
                let line_begins = self.buffer.window()[length - 1] == b'\n';
                self.state = State::Copy { line_begins };
            }
            Some(copy::Part::End(_)) => {}
            None => {
                self.closing.broken_off("COPY data");
                self.state = State::Ended;
            }
        }
        Ok(part)
    }
}

enum Place {
    Statement(usize),
    Meta(usize),
    End,
}
