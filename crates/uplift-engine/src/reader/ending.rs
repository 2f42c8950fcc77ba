//! Whether a dump is whole: `pg_dump` closes what it writes with a comment.

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Behind its last statement stands the line with which `pg_dump` closes a dump.
    Whole,
    /// It does not.
    Truncated {
        /// The last line, from 1.
        line: u64,
        /// What is broken off there, if anything is.
        inside: Option<&'static str>,
    },
}

/// What was seen of the lines that open and close a dump.
#[derive(Default)]
pub(super) struct Closing {
    cluster: bool,
    closed: bool,
    inside: Option<&'static str>,
}

impl Closing {
    /// A comment before a statement, from its dashes to the line's end.
    pub(super) fn remark(&mut self, text: &[u8]) {
        match text {
            // What pg_dumpall writes holds one closed dump for each database, and a line that closes it all.
            b"-- PostgreSQL database cluster dump" => self.cluster = true,
            b"-- PostgreSQL database dump complete" => self.closed = !self.cluster,
            b"-- PostgreSQL database cluster dump complete" => self.closed = true,
            _ => {}
        }
    }

    /// A statement was read: what closed the dump before it, did not.
    pub(super) const fn statement(&mut self) {
        self.closed = false;
    }

    /// The file ends inside something.
    pub(super) const fn broken_off(&mut self, inside: &'static str) {
        self.inside = Some(inside);
    }

    pub(super) const fn verdict(&self, line: u64) -> Ending {
        if self.closed && self.inside.is_none() {
            Ending::Whole
        } else {
            Ending::Truncated { line, inside: self.inside }
        }
    }
}
