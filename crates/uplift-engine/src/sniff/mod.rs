//! `sniff`: what a dump is, by its first bytes.

mod custom;

use std::io::Read;

use uplift_core::{
    Format,
    event::{Digest, Event, Sniffed},
    plan::Sniff,
};

use crate::{
    events::Events,
    failure::{Outcome, rejected},
    input::{Counted, InputError, fault, read_failure, unpacked},
    zip::{Role, Walker},
};

/// The header stands in the first lines; nothing behind this many bytes is looked at.
const HEADER: u64 = 256 * 1024;

/// What each format begins with.
const FORMATS: &[(&[u8], Format)] = &[
    (&[0x1f, 0x8b], Format::Gzip),
    (b"\x28\xb5\x2f\xfd", Format::Zstd),
    (b"\xfd7zXZ\0", Format::Xz),
    (b"PGDMP", Format::Custom),
    (b"PK\x03\x04", Format::Zip),
];

/// The first bytes of what is not taken, where they stand, what it is, and what to do.
const REFUSED: &[(usize, &[u8], &str)] = &[
    (0, b"BZh", "This is packed with bzip2. Unpack it, or pack it with gzip, zstd or xz"),
    (0, b"\x04\x22\x4d\x18", "This is packed with lz4. Unpack it, or pack it with gzip, zstd or xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "This is a 7z archive. Upload the dump that is in it, or pack it with zip"),
    (0, b"Rar!\x1a\x07", "This is a RAR archive. Upload the dump that is in it, or pack it with zip"),
    (0, b"PK\x05\x06", "This is an empty zip. Make the backup again"),
    (
        0,
        b"\xff\xfe",
        "This is UTF-16, as PowerShell's `>` writes it. Let pg_dump write the file itself: `pg_dump --file=NAME`",
    ),
    (0, b"toc.dat", TAR),
    (
        257,
        b"ustar",
        "This is a tar archive. Upload the dump that is in it; a dump in directory format is made one file by dumping \
         with `pg_dump --format=custom`",
    ),
];

const TAR: &str =
    "This is a dump in pg_dump's tar format, which is not taken. Dump with `pg_dump --format=custom`";
const NESTED: &str = "is packed once more. Unpack it, and upload what is inside";
const NO_DUMP: &str = "This is not a dump that pg_dump wrote: the line `-- PostgreSQL database dump` is not among \
                       its first ones. Dump with `pg_dump`, in plain or in custom format";
const CLUSTER: &str =
    "This is a dump of a whole cluster, by pg_dumpall. Dump the one database with `pg_dump`";

/// Runs the plan. Returns what was read.
///
/// # Errors
/// The bytes are no dump that is taken.
pub fn run(events: &Events, source: impl Read, plan: &Sniff) -> Outcome<Digest> {
    let mut counted = Counted::new(source, plan.head_bytes);
    let mut head = Vec::new();
    counted.read_to_end(&mut head).map_err(|error| read_failure("sniff", &error))?;
    let sniffed = sniff(&head, plan.head_bytes >= plan.total_bytes)?;
    events.emit(&Event::Sniffed(sniffed));
    Ok(counted.digest())
}

/// `whole` says that no more bytes follow than these.
fn sniff(head: &[u8], whole: bool) -> Outcome<Sniffed> {
    if head.is_empty() {
        return Err(rejected("The file is empty. Dump again, and upload the file that pg_dump wrote"));
    }
    let format = format(head);
    match format {
        Format::Plain => header(head, format),
        Format::Custom => custom::header(head),
        Format::Zip => zip(head, whole),
        Format::Gzip | Format::Zstd | Format::Xz => packed(head, format, whole),
    }
}

fn format(head: &[u8]) -> Format {
    let known = FORMATS.iter().find(|(magic, _)| head.starts_with(magic));
    known.map_or(Format::Plain, |(_, format)| *format)
}

fn packed(head: &[u8], format: Format, whole: bool) -> Outcome<Sniffed> {
    let text = match beginning(unpacked(head, format), whole) {
        Ok(text) => text,
        Err(error) => return Err(read_failure("sniff", &error)),
    };
    if text.is_empty() {
        return Err(rejected(format!(
            "The {format} file is empty inside. Dump again, and upload the file that pg_dump wrote"
        )));
    }
    let inside = self::format(&text);
    if inside != Format::Plain {
        return Err(rejected(format!("This is a {inside} file that {NESTED}")));
    }
    header(&text, format)
}

/// The beginning of a text, as far as the head holds it.
fn beginning(source: std::io::Result<impl Read>, whole: bool) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match source?.take(HEADER).read_to_end(&mut text) {
        // The rest of the file would go on here.
        Err(error) if !whole && matches!(fault(&error), Some(InputError::Truncated(_))) => {}
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    Ok(text)
}

/// A zip's dump stands first in what Odoo makes. Where it stands far behind, its majors are not known, which the newest
/// server can cope with.
fn zip(head: &[u8], whole: bool) -> Outcome<Sniffed> {
    match zipped_dump(head) {
        Ok(Some(text)) => header(&text, Format::Zip),
        Ok(None) if whole => Err(rejected(crate::zip::ZipError::NoDump.to_string())),
        Err(error) if whole || !is_cut(&error) => Err(read_failure("sniff", &error)),
        Ok(None) | Err(_) => Ok(Sniffed { format: Format::Zip, server_major: None, dump_major: None }),
    }
}

fn zipped_dump(head: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut walker = Walker::new(head, u64::MAX);
    while let Some(entry) = walker.next()? {
        if entry.role() == Role::Dump {
            let mut text = Vec::new();
            match walker.body(&entry).take(HEADER).read_to_end(&mut text) {
                Err(error) if !is_cut(&error) => return Err(error),
                _ => return Ok(Some(text)),
            }
        }
        walker.copy(&entry, &mut std::io::sink())?;
    }
    Ok(None)
}

fn is_cut(error: &std::io::Error) -> bool {
    matches!(fault(error), Some(InputError::Zip(crate::zip::ZipError::Truncated)))
}

/// What the first lines of a dump's SQL say.
fn header(text: &[u8], format: Format) -> Outcome<Sniffed> {
    let text = &text[..text.len().min(HEADER as usize)];
    let refused =
        REFUSED.iter().find(|(at, magic, _)| text.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    if let Some((_, _, message)) = refused {
        return Err(rejected(*message));
    }
    let text = String::from_utf8_lossy(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text));
    let lines = || text.lines().map(str::trim_end);
    if lines().any(|line| line == "-- PostgreSQL database cluster dump") {
        return Err(rejected(CLUSTER));
    }
    if !lines().any(|line| line == "-- PostgreSQL database dump") {
        return Err(rejected(NO_DUMP));
    }
    let major = |prefix| lines().find_map(|line| line.strip_prefix(prefix)).and_then(leading_number);
    Ok(Sniffed {
        format,
        server_major: major("-- Dumped from database version "),
        dump_major: major("-- Dumped by pg_dump version "),
    })
}

/// The major of `15.20 (Debian 15.20-0+deb12u1)`, or of `17beta1`.
fn leading_number(text: &str) -> Option<u16> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().ok()
}

#[cfg(test)]
mod tests;
