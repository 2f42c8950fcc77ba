//! Where a statement ends: the rules of `psqlscan.l`, as far as they decide about `;` and `\`.
//!
//! The lexer keeps its place between calls, so that a statement may come in pieces of any size.

use super::span::{
    comment, continues_name, dollar, escaped, identifier, name_end, quoted, remark, starts_name,
};

/// What the lexer came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The first byte of a statement.
    Start,
    /// A `;` that ends the statement; the place is behind it.
    End,
    /// A backslash outside quotes and comments.
    Backslash,
    /// The two dashes of a comment before a statement.
    Remark,
    /// Nothing yet: more bytes are needed, from the place on.
    More,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Plain,
    /// Between single quotes; `escape` where a backslash takes the next byte with it.
    Quoted {
        escape: bool,
    },
    Identifier,
    /// Between two of these delimiters, dollars included.
    Dollar(Vec<u8>),
    Remark,
    /// Inside so many nested comments.
    Comment(u32),
}

/// The state of the scan of one statement.
pub(super) struct Lexer {
    standard_strings: bool,
    mode: Mode,
    started: bool,
    parens: u32,
    /// How deep in `BEGIN ATOMIC … END`, where each `CASE … END` counts as well.
    blocks: u32,
    begin_seen: bool,
    /// First letters of the leading words, as far as they may introduce a function: `c`, `o`, `r`, `f`, `p`.
    leading: [u8; 4],
    words: usize,
    /// Whether the literal that has just ended took escapes, and whether a line has ended since: another
    /// literal then continues it, by the same rule.
    ended: Option<bool>,
    line_ended: bool,
}

impl Lexer {
    /// At the beginning of a statement. `standard_strings` is the session's `standard_conforming_strings`.
    pub(super) const fn new(standard_strings: bool) -> Self {
        Self {
            standard_strings,
            mode: Mode::Plain,
            started: false,
            parens: 0,
            blocks: 0,
            begin_seen: false,
            leading: [0; 4],
            words: 0,
            ended: None,
            line_ended: false,
        }
    }

    /// Whether a statement has begun.
    pub(super) const fn started(&self) -> bool {
        self.started
    }

    /// What a file that ends here breaks off.
    pub(super) const fn inside(&self) -> &'static str {
        match self.mode {
            Mode::Quoted { .. } => "a quoted string",
            Mode::Identifier => "a quoted name",
            Mode::Dollar(_) => "a dollar-quoted string",
            Mode::Comment(_) => "a comment",
            Mode::Plain | Mode::Remark => "a statement",
        }
    }

    /// Whether the place is between tokens.
    pub(super) fn at_rest(&self) -> bool {
        !self.started && self.mode == Mode::Plain
    }

    /// Scans from `at` to the next thing that matters, and says where that is. `last` says that no more bytes
    /// will come.
    pub(super) fn scan(&mut self, bytes: &[u8], mut at: usize, last: bool) -> (usize, Found) {
        loop {
            let (place, closed) = match &mut self.mode {
                Mode::Plain => {
                    let (place, found) = self.plain(bytes, at, last);
                    at = place;
                    match found {
                        Some(found) => return (at, found),
                        None => continue,
                    }
                }
                Mode::Quoted { escape: true } => escaped(bytes, at, last),
                Mode::Quoted { escape: false } => quoted(bytes, at, last),
                Mode::Identifier => identifier(bytes, at),
                Mode::Dollar(delimiter) => dollar(bytes, at, delimiter),
                Mode::Remark => remark(bytes, at),
                Mode::Comment(depth) => comment(bytes, at, last, depth),
            };
            at = place;
            if !closed {
                return (at, Found::More);
            }
            if let Mode::Quoted { escape } = self.mode {
                self.ended = Some(escape);
                self.line_ended = false;
            }
            self.mode = Mode::Plain;
        }
    }

    /// Scans outside of quotes and comments, up to something found or another mode.
    fn plain(&mut self, bytes: &[u8], mut at: usize, last: bool) -> (usize, Option<Found>) {
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'\n' | b'\r' => self.line_ended = true,
                b' ' | b'\t' | 0x0b | 0x0c => {}
                b'-' | b'/' => match bytes.get(at + 1) {
                    None if !last => return (at, Some(Found::More)),
                    Some(b'-') if byte == b'-' && !self.started => return (at, Some(Found::Remark)),
                    Some(b'-') if byte == b'-' => return self.enter(Mode::Remark, at + 2),
                    Some(b'*') if byte == b'/' => return self.enter(Mode::Comment(1), at + 2),
                    _ if !self.started => return self.start(at),
                    _ => self.token(),
                },
                b'\\' => return (at, Some(Found::Backslash)),
                b';' if !self.started => {}
                _ if !self.started => return self.start(at),
                b';' if self.parens == 0 && self.blocks == 0 => return (at + 1, Some(Found::End)),
                b'\'' => {
                    let escape = self.ended.filter(|_| self.line_ended).unwrap_or(!self.standard_strings);
                    return self.literal(escape, at + 1);
                }
                b'"' => return self.enter(Mode::Identifier, at + 1),
                b'$' => match self.dollar_sign(bytes, at, last) {
                    Sign::Unclear => return (at, Some(Found::More)),
                    Sign::Opens(delimiter) => {
                        let behind = at + delimiter.len();
                        return self.enter(Mode::Dollar(delimiter), behind);
                    }
                    Sign::Plain => self.token(),
                },
                _ if starts_name(byte) => {
                    let end = name_end(bytes, at);
                    if end == bytes.len() && !last {
                        return (at, Some(Found::More));
                    }
                    self.word(&bytes[at..end]);
                    if let (Some(escape), Some(b'\'')) = (self.prefix(&bytes[at..end]), bytes.get(end)) {
                        return self.literal(escape, end + 1);
                    }
                    at = end;
                    continue;
                }
                _ => {
                    match byte {
                        b'(' => self.parens += 1,
                        b')' => self.parens = self.parens.saturating_sub(1),
                        _ => {}
                    }
                    self.token();
                }
            }
            at += 1;
        }
        (at, Some(Found::More))
    }

    fn start(&mut self, at: usize) -> (usize, Option<Found>) {
        self.started = true;
        (at, Some(Found::Start))
    }

    fn enter(&mut self, mode: Mode, at: usize) -> (usize, Option<Found>) {
        if !matches!(mode, Mode::Remark | Mode::Comment(_)) {
            self.token();
        }
        self.mode = mode;
        (at, None)
    }

    fn literal(&mut self, escape: bool, at: usize) -> (usize, Option<Found>) {
        self.enter(Mode::Quoted { escape }, at)
    }

    /// A token that is no comment stands here: no literal goes on, no `BEGIN` waits.
    fn token(&mut self) {
        self.ended = None;
        self.begin_seen = false;
    }

    /// Whether the literal behind this word takes escapes, if the word is the prefix of a literal.
    fn prefix(&self, word: &[u8]) -> Option<bool> {
        match word {
            b"e" | b"E" => Some(true),
            b"b" | b"B" | b"x" | b"X" => Some(false),
            b"n" | b"N" => Some(!self.standard_strings),
            _ => None,
        }
    }

    fn dollar_sign(&self, bytes: &[u8], at: usize, last: bool) -> Sign {
        let tag = &bytes[at + 1..];
        let length = match tag.first() {
            Some(&first) if starts_name(first) => {
                tag.iter().position(|&byte| !continues_name(byte) || byte == b'$').unwrap_or(tag.len())
            }
            _ => 0,
        };
        match tag.get(length) {
            Some(b'$') => Sign::Opens(bytes[at..=at + 1 + length].to_vec()),
            None if !last => Sign::Unclear,
            _ => Sign::Plain,
        }
    }

    /// Minds `BEGIN ATOMIC … END`, as psql does: only in `CREATE [OR REPLACE] FUNCTION | PROCEDURE`. psql
    /// takes any `BEGIN` there; this one wants `ATOMIC` behind it, so that a function may be called `begin`.
    fn word(&mut self, word: &[u8]) {
        let begin_seen = self.begin_seen;
        self.token();
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        if let Some(slot) = self.leading.get_mut(self.words)
            && ["create", "or", "replace", "function", "procedure"].iter().any(|keyword| is(keyword))
        {
            *slot = word[0].to_ascii_lowercase();
        }
        self.words += 1;
        let function = matches!(self.leading, [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p']);
        if !function || self.parens > 0 {
            return;
        }
        if self.blocks == 0 {
            self.begin_seen = is("begin");
            self.blocks = u32::from(begin_seen && is("atomic"));
        } else if is("case") {
            self.blocks += 1;
        } else if is("end") {
            self.blocks -= 1;
        }
    }
}

enum Sign {
    Opens(Vec<u8>),
    Plain,
    Unclear,
}
