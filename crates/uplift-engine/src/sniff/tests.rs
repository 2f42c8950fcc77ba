use std::io::Write as _;

use uplift_core::{Failure, Format, event::Sniffed};

use super::sniff;
use crate::zip::Zip;

const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n\n-- Dumped from database version 13.9\n\
                    -- Dumped by pg_dump version 15.20 (Debian 15.20-0+deb12u1)\n";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 3).unwrap()
}

fn xz(text: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut zip = Zip::new(&mut bytes);
    for (name, content) in entries {
        zip.file(name, content).unwrap();
    }
    zip.finish(None::<&mut crate::zip::Walker<&[u8]>>).unwrap();
    bytes
}

/// The head of an archive as pg_dump writes it: numbers have a sign and four bytes.
fn custom(version: (u8, u8), format: u8) -> Vec<u8> {
    let mut head = b"PGDMP".to_vec();
    head.extend([version.0, version.1, 0, 4, 8, format]);
    let number = |value: u32| [&[0], &value.to_le_bytes()[..]].concat();
    head.extend(if version < (1, 15) { number(6) } else { vec![1] });
    for value in [13, 31, 1, 21, 10, 126, 0] {
        head.extend(number(value));
    }
    for text in ["shop", "14.9", "16.2 (Debian)"] {
        head.extend(number(text.len() as u32));
        head.extend(text.bytes());
    }
    head
}

#[track_caller]
fn refused(head: &[u8], part: &str) {
    let Err(failure) = sniff(head, true) else { panic!("taken, but it is: {part}") };
    let Failure::InputRejected(rejection) = *failure else { panic!("{failure:?}") };
    assert!(rejection.message.contains(part), "{}", rejection.message);
}

/// A way to pack.
type Pack = fn(&[u8]) -> Vec<u8>;

const PACKERS: [(Format, Pack); 3] = [(Format::Gzip, gzip), (Format::Zstd, zstd), (Format::Xz, xz)];

#[test]
fn a_dump_tells_its_majors_however_it_is_packed() {
    let expected = |format| Sniffed { format, server_major: Some(13), dump_major: Some(15) };
    assert_eq!(sniff(DUMP.as_bytes(), true).unwrap(), expected(Format::Plain));
    for (format, pack) in PACKERS {
        assert_eq!(sniff(&pack(DUMP.as_bytes()), true).unwrap(), expected(format));
    }
    let odoo = zip(&[("dump.sql", DUMP.as_bytes()), ("manifest.json", b"{}")]);
    assert_eq!(sniff(&odoo, true).unwrap(), expected(Format::Zip));
    let windows = format!("\u{feff}{}", DUMP.replace('\n', "\r\n"));
    assert_eq!(sniff(windows.as_bytes(), true).unwrap(), expected(Format::Plain));
}

#[test]
fn an_archive_tells_its_majors() {
    for version in [(1, 10), (1, 14), (1, 15), (1, 16)] {
        let expected = Sniffed { format: Format::Custom, server_major: Some(14), dump_major: Some(16) };
        assert_eq!(sniff(&custom(version, 1), false).unwrap(), expected, "{version:?}");
    }
    let dump = std::fs::read(std::env::var("UPLIFT_TEST_DATA").unwrap() + "/tryton60.dump").unwrap();
    let expected = Sniffed { format: Format::Custom, server_major: Some(15), dump_major: Some(15) };
    assert_eq!(sniff(&dump, true).unwrap(), expected);
}

#[test]
fn a_head_that_cuts_the_file_is_enough() {
    let scatter = |n: u32| n.wrapping_mul(n).wrapping_mul(2_654_435_761).to_be_bytes()[0];
    let noise: Vec<u8> = (0..1_000_000).map(scatter).collect();
    let text = [DUMP.as_bytes(), &noise].concat();
    for (format, pack) in PACKERS {
        // A zstd frame gives its text block by block, of 128 KiB each.
        assert!(sniff(&pack(&text)[..300_000], false).is_ok(), "{format}");
    }
    assert!(sniff(&zip(&[("dump.sql", &text)])[..100_000], false).is_ok());
}

#[test]
fn a_dump_that_stands_behind_the_head_has_unknown_majors() {
    let scatter = |n: u32| n.wrapping_mul(n).wrapping_mul(2_654_435_761).to_be_bytes()[0];
    let noise: Vec<u8> = (0..1_000_000).map(scatter).collect();
    let backup = zip(&[("filestore/a", &noise), ("dump.sql", DUMP.as_bytes())]);
    let sniffed = sniff(&backup[..100_000], false).unwrap();
    assert_eq!(sniffed, Sniffed { format: Format::Zip, server_major: None, dump_major: None });
}

#[test]
fn what_is_no_dump_is_named() {
    refused(b"", "empty");
    refused(b"Dear Sir or Madam", "not a dump");
    refused(b"PGDMP\x01\x0e", "truncated");
    refused(&custom((1, 14), 3), "tar format");
    refused(&custom((1, 14), 5), "directory format");
    refused(&zip(&[("a.txt", b"x")]), "no `dump.sql`");
    refused(&zip(&[("dump.sql", b"x")]), "not a dump");
    refused(b"PK\x03\x04", "truncated");
    refused(b"\xff\xfe-\0-\0", "UTF-16");
    refused(b"-- PostgreSQL database cluster dump\n-- PostgreSQL database dump\n", "pg_dumpall");
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    refused(&tar, "tar archive");
    refused(&gzip(&tar), "tar archive");
    for (format, pack) in PACKERS {
        refused(&pack(b""), "empty inside");
        refused(&pack(&custom((1, 14), 1)), "a custom file that is packed once more");
        let packed = pack(DUMP.as_bytes());
        refused(&packed[..packed.len() - 9], "truncated");
        let mut damaged = packed;
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0xff;
        refused(&damaged, &format!("the {format} file is damaged"));
    }
}
