//! Zips that Python's `zipfile` writes, and zips of ours that it reads.

use std::{
    io::{self, Write},
    process::{Command, Stdio},
};

use flate2::Crc;
use uplift_core::event::Files;

use super::{Content, Role, Walker, Zip, sql};
use crate::input::fault;

/// Runs Python on a program, which writes bytes.
fn python(program: &str, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start python3");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(output.status.success(), "{program}");
    output.stdout
}

/// A zip whose entries are made by a few lines of Python on the `ZipFile` called `z`.
fn zip_of(entries: &str) -> Vec<u8> {
    python(
        &format!(
            "import io, sys, zipfile\nf = io.BytesIO()\n\
             with zipfile.ZipFile(f, 'w', zipfile.ZIP_DEFLATED) as z:\n    {}\n\
             sys.stdout.buffer.write(f.getvalue())",
            entries.replace('\n', "\n    ")
        ),
        &[],
    )
}

/// The same, written to a pipe: lengths stand behind the data.
fn streamed(entries: &str) -> Vec<u8> {
    python(
        &format!(
            "import sys, zipfile\nwith zipfile.ZipFile(sys.stdout.buffer, 'w', zipfile.ZIP_DEFLATED) as z:\n    {}",
            entries.replace('\n', "\n    ")
        ),
        &[],
    )
}

fn read(zip: &[u8]) -> io::Result<(String, Files)> {
    let mut text = String::new();
    let files = sql(zip, 1 << 20, |source| source.read_to_string(&mut text).map(drop))?;
    Ok((text, files))
}

#[track_caller]
fn refused(zip: &[u8], part: &str) {
    let error = read(zip).expect_err(part);
    let said = fault(&error).unwrap_or_else(|| panic!("{part}: {error:?}")).to_string();
    assert!(said.contains(part), "{said}");
}

const BACKUP: &str = "z.writestr('manifest.json', '{}')
z.writestr('filestore/ab/abc', b'x' * 70000)
z.writestr(zipfile.ZipInfo('filestore/cd/\u{fc}'), b'stored')
z.writestr('dump.sql', 'SELECT 1;')
z.writestr('filestore/ef/', '')";

#[test]
fn a_backup_gives_its_dump_and_a_sum_of_its_files() {
    let (text, files) = read(&zip_of(BACKUP)).unwrap();
    assert_eq!((text.as_str(), files.count, files.bytes), ("SELECT 1;", 3, 70006));
    // ZIP64 entries, and a zip that was written to a pipe, hold the same.
    let wide = BACKUP.replace("z.writestr('filestore/ab/abc', b'x' * 70000)", WIDE);
    assert_eq!(read(&zip_of(&wide)).unwrap(), (text.clone(), files.clone()));
    let by_pipe = BACKUP.replace("z.writestr(zipfile.ZipInfo('filestore/cd/\u{fc}'), b'stored')", PACKED);
    assert_eq!(read(&streamed(&by_pipe)).unwrap(), (text, files));
}

const WIDE: &str = "with z.open('filestore/ab/abc', 'w', force_zip64=True) as e: e.write(b'x' * 70000)";
const PACKED: &str = "z.writestr('filestore/cd/\u{fc}', b'stored')";

/// Puts a new dump and a new manifest beside the files of a backup.
fn renewed(backup: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut zip = Zip::new(&mut result);
    let text = "SELECT 2;\n".repeat(50_000);
    zip.stream("dump.sql", |mut sink| {
        let mut crc = Crc::new();
        crc.update(text.as_bytes());
        crate::compress::compress(text.as_bytes(), &mut sink, crate::compress::Packer::Deflate, |_| {})?;
        Ok(Content { bytes: text.len() as u64, crc })
    })
    .unwrap();
    let mut walker = Walker::new(backup, u64::MAX);
    while let Some(entry) = walker.next().unwrap() {
        match entry.role() {
            Role::File => zip.take_over(&mut walker, &entry).unwrap(),
            _ => walker.copy(&entry, &mut io::sink()).unwrap(),
        }
    }
    zip.file("manifest.json", b"{\"new\": true}").unwrap();
    zip.finish(Some(&mut walker)).unwrap();
    result
}

#[test]
fn a_result_is_read_by_python_with_every_file_as_it_was() {
    let by_pipe = BACKUP.replace("z.writestr(zipfile.ZipInfo('filestore/cd/\u{fc}'), b'stored')", PACKED);
    for backup in [zip_of(BACKUP), streamed(&by_pipe)] {
        let result = renewed(&backup);
        let told = python(
            "import io, sys, zipfile\nz = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))\n\
             assert z.testzip() is None\nprint([(i.filename, i.file_size, i.CRC) for i in z.infolist()])",
            &result,
        );
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("('dump.sql', 500000, "), "{told}");
        assert!(told.contains("('manifest.json', 13, "), "{told}");
        assert!(told.contains("('filestore/ab/abc', 70000, "), "{told}");
        assert!(told.contains("('filestore/cd/\u{fc}', 6, "), "{told}");
        assert!(told.contains("('filestore/ef/', 0, "), "{told}");
        let (text, files) = read(&result).unwrap();
        assert!(text.starts_with("SELECT 2;"));
        assert_eq!(files, read(&backup).unwrap().1);
    }
}

#[test]
fn a_hundred_thousand_entries_are_taken() {
    let many = "z.writestr('dump.sql', 'SELECT 1;')\n\
                for n in range(100000): z.writestr('filestore/%d' % n, b'')";
    let backup = zip_of(many);
    let (_, files) = read(&backup).unwrap();
    assert_eq!(files.count, 100_000);
    assert_eq!(read(&renewed(&backup)).unwrap().1, files);
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../x", "a/../../x", "/etc/passwd", "a\\\\b", "C:x", "a\\nb", "./x"] {
        refused(&zip_of(&format!("z.writestr('{name}', '')")), "a name that is not taken");
    }
    let link = "i = zipfile.ZipInfo('filestore/l')\ni.external_attr = 0o120777 << 16\n\
                z.writestr(i, '/etc/passwd')\nz.writestr('dump.sql', 'x')";
    refused(&zip_of(link), "a symbolic link, `filestore/l`");
    refused(&zip_of("z.writestr('a', '')\nz.writestr('a', 'b')\nz.writestr('dump.sql', 'x')"), "`a` twice");
}

#[test]
fn what_is_not_taken_is_named() {
    refused(&zip_of("z.writestr('a', '')"), "no `dump.sql`");
    refused(&zip_of("z.writestr('dump.sql', 'x' * 70, zipfile.ZIP_LZMA)"), "another method than deflate");
    refused(&zip_of("z.writestr('dump.sql', b'0' * (2 << 20))"), "more than 1048576 bytes");
}

/// The first place at which these bytes stand.
fn find(zip: &[u8], part: &[u8]) -> usize {
    memchr::memmem::find(zip, part).unwrap()
}

#[test]
fn lies_are_found() {
    let honest = zip_of("z.writestr('dump.sql', 'x' * 1000)\nz.writestr('filestore/a', b'abc' * 100)");
    assert!(read(&honest).is_ok());
    let entry = find(&honest, b"filestore/a") - 30;
    let directory = find(&honest, b"PK\x01\x02");
    let changed = |at: usize| {
        let mut zip = honest.clone();
        zip[at] ^= 1;
        zip
    };
    refused(&changed(entry + 14), "the checksum of the entry `filestore/a`");
    refused(&changed(entry + 18), "is not what the zip says");
    refused(&changed(entry + 22), "the length of the entry `filestore/a`");
    refused(&changed(entry + 6), "encrypted");
    // The directory says something else than the entry.
    refused(&changed(directory + 24), "the length of the entry `dump.sql`");
    refused(&changed(directory + 42), "its directory does not list what it holds");
    refused(&changed(directory + 46), "its directory does not list what it holds");
    // A bomb that calls itself small.
    let mut bomb = zip_of("z.writestr('dump.sql', b'0' * 900000)");
    bomb[22..26].copy_from_slice(&10_u32.to_le_bytes());
    refused(&bomb, "the length of the entry `dump.sql`");
}

#[test]
fn a_zip_that_ends_anywhere_is_told_from_a_whole_one() {
    let whole = zip_of("z.writestr('dump.sql', 'x' * 1000)\nz.writestr('filestore/a', b'abc' * 100)");
    for length in 4..whole.len() {
        refused(&whole[..length], "truncated");
    }
}
