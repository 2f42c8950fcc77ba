//! The head of an archive that pg_dump wrote, which tells what it is. Its layout is that of `ReadHead` in PostgreSQL's
//! `src/bin/pg_dump/pg_backup_archiver.c`, which has hardly changed since 8.0.

use uplift_core::{Format, event::Sniffed};

use super::{TAR, leading_number};
use crate::failure::{Outcome, rejected};

/// The oldest version of the format that says which server was dumped: that of 8.0.
const OLDEST: (u8, u8) = (1, 10);

/// The version in which a number became one byte: how the archive is compressed. That of 16.
const ONE_BYTE: (u8, u8) = (1, 15);

const CUSTOM: u8 = 1;
const TAR_FORMAT: u8 = 3;

/// What the head says.
pub(super) fn header(head: &[u8]) -> Outcome<Sniffed> {
    let cut = || {
        rejected("The dump is truncated: it ends in its first lines. Dump again, and upload the whole file")
    };
    let mut rest = Rest { bytes: head.get(5..).unwrap_or_default(), width: 0 };
    let mut read = || {
        let version = (rest.byte()?, rest.byte()?);
        let _revision = rest.byte()?;
        rest.width = usize::from(rest.byte()?);
        let _width_of_offsets = rest.byte()?;
        let format = rest.byte()?;
        if version < OLDEST || format != CUSTOM {
            return Some(Head { version, format, server: None, pg_dump: None });
        }
        if version < ONE_BYTE {
            rest.number()?;
        } else {
            rest.byte()?;
        }
        // When it was made: seconds, minutes, hours, day, month, year, summer time.
        for _ in 0..7 {
            rest.number()?;
        }
        let _database = rest.text()?;
        let (server, pg_dump) = (rest.text()?, rest.text()?);
        Some(Head { version, format, server: leading_number(&server), pg_dump: leading_number(&pg_dump) })
    };
    let head = read().ok_or_else(cut)?;
    match head.format {
        CUSTOM if head.version < OLDEST => Err(rejected(
            "This is a dump in custom format by a pg_dump older than 8.0. Dump with a newer one",
        )),
        CUSTOM => Ok(Sniffed { format: Format::Custom, server_major: head.server, dump_major: head.pg_dump }),
        TAR_FORMAT => Err(rejected(TAR)),
        _ => Err(rejected(
            "This is the table of contents of a dump in directory format, which is many files. Dump with \
             `pg_dump --format=custom`, which is one",
        )),
    }
}

struct Head {
    version: (u8, u8),
    format: u8,
    server: Option<u16>,
    pg_dump: Option<u16>,
}

/// What is not yet read. Numbers are a sign and so many bytes, the lowest first.
struct Rest<'a> {
    bytes: &'a [u8],
    width: usize,
}

impl Rest<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(byte)
    }

    fn number(&mut self) -> Option<i64> {
        let negative = self.byte()? != 0;
        let (bytes, rest) = self.bytes.split_at_checked(self.width)?;
        self.bytes = rest;
        let value = bytes.iter().take(7).rev().fold(0, |sum, &byte| sum << 8 | i64::from(byte));
        Some(if negative { -value } else { value })
    }

    /// A length and so many bytes; a negative length stands for no text.
    fn text(&mut self) -> Option<String> {
        let Ok(length) = usize::try_from(self.number()?) else { return Some(String::new()) };
        let (bytes, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}
