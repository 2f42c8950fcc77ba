//! `sniff`: what a dump is, by its first bytes.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use uplift_core::{
    event::{Digest, Event, Sniffed},
    plan::{Compression, Sniff},
};

use crate::{
    events::Events,
    failure::{Outcome, rejected},
    input::{Counted, InputError, read_failure},
};

/// The header stands in the first lines; nothing behind this many bytes is looked at.
const HEADER: u64 = 256 * 1024;

/// The first bytes of what is no plain dump, what it is, and what to do.
const KNOWN: &[(&[u8], &str)] = &[
    (
        b"PGDMP",
        "This is a dump in pg_dump's custom format, which is not taken yet. Dump with `pg_dump --format=plain`",
    ),
    (b"PK\x03\x04", "This is a zip file, which is not taken yet. Upload the `dump.sql` that is in it"),
    (b"BZh", "This is packed with bzip2. Unpack it, or pack it with gzip"),
    (b"\xfd7zXZ", "This is packed with xz. Unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "This is packed with zstd. Unpack it, or pack it with gzip"),
    (b"\x04\x22\x4d\x18", "This is packed with lz4. Unpack it, or pack it with gzip"),
    (
        b"\xff\xfe",
        "This is UTF-16, as PowerShell's `>` writes it. Let pg_dump write the file itself: `pg_dump --file=NAME`",
    ),
    (
        b"toc.dat",
        "This is a dump in pg_dump's tar format, which is not taken yet. Dump with `pg_dump --format=plain`",
    ),
];

const NO_DUMP: &str = "This is not a dump that pg_dump wrote: the line `-- PostgreSQL database dump` is not among \
                       its first ones. Dump with `pg_dump --format=plain`";
const CLUSTER: &str =
    "This is a dump of a whole cluster, by pg_dumpall. Dump the one database with `pg_dump`";

/// Runs the plan. Returns what was read.
///
/// # Errors
/// The bytes are no plain dump.
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
    if !head.starts_with(&[0x1f, 0x8b]) {
        return header(&head[..head.len().min(HEADER as usize)], Compression::None);
    }
    let mut text = Vec::new();
    let read = MultiGzDecoder::new(head).take(HEADER).read_to_end(&mut text);
    match read {
        Ok(_) => {}
        // The rest of the file would go on here.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            if whole {
                return Err(rejected(InputError::GzipTruncated.to_string()));
            }
        }
        Err(_) => return Err(rejected(InputError::GzipDamaged.to_string())),
    }
    if text.is_empty() {
        return Err(rejected(
            "The gzip file is empty inside. Dump again, and upload the file that pg_dump wrote",
        ));
    }
    header(&text, Compression::Gzip)
}

fn header(text: &[u8], compression: Compression) -> Outcome<Sniffed> {
    if let Some((_, message)) = KNOWN.iter().find(|(magic, _)| text.starts_with(magic)) {
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
        compression,
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
mod tests {
    use std::io::Write as _;

    use uplift_core::{Failure, event::Sniffed, plan::Compression};

    use super::sniff;

    const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n\n-- Dumped from database version 13.9\n\
                        -- Dumped by pg_dump version 15.20 (Debian 15.20-0+deb12u1)\n";

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[track_caller]
    fn refused(head: &[u8], part: &str) {
        let Err(failure) = sniff(head, true) else { panic!("taken, but it is: {part}") };
        let Failure::InputRejected(rejection) = *failure else { panic!("{failure:?}") };
        assert!(rejection.message.contains(part), "{}", rejection.message);
    }

    #[test]
    fn a_plain_dump_tells_its_majors() {
        let expected = |compression| Sniffed { compression, server_major: Some(13), dump_major: Some(15) };
        assert_eq!(sniff(DUMP.as_bytes(), true).unwrap(), expected(Compression::None));
        assert_eq!(sniff(&gzip(DUMP.as_bytes()), true).unwrap(), expected(Compression::Gzip));
        let windows = format!("\u{feff}{}", DUMP.replace('\n', "\r\n"));
        assert_eq!(sniff(windows.as_bytes(), true).unwrap(), expected(Compression::None));
    }

    #[test]
    fn a_head_that_cuts_the_gzip_file_is_enough() {
        let scatter = |n: u32| n.wrapping_mul(n).wrapping_mul(2_654_435_761).to_be_bytes()[0];
        let noise: Vec<u8> = (0..1_000_000).map(scatter).collect();
        let packed = gzip(&[DUMP.as_bytes(), &noise].concat());
        assert!(sniff(&packed[..100_000], false).is_ok());
    }

    #[test]
    fn what_is_no_plain_dump_is_named() {
        refused(b"", "empty");
        refused(&gzip(b""), "empty inside");
        refused(b"Dear Sir or Madam", "not a dump");
        refused(b"PGDMP\x01\x0e", "custom format");
        refused(&gzip(b"PGDMP\x01\x0e"), "custom format");
        refused(b"PK\x03\x04", "zip");
        refused(b"\xff\xfe-\0-\0", "UTF-16");
        refused(b"-- PostgreSQL database cluster dump\n-- PostgreSQL database dump\n", "pg_dumpall");
        let packed = gzip(DUMP.as_bytes());
        refused(&packed[..packed.len() - 9], "truncated");
        let mut damaged = packed;
        let checksum = damaged.len() - 6;
        damaged[checksum] ^= 1;
        refused(&damaged, "damaged");
    }
}
