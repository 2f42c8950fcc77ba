//! Dumps to hand in, whole and broken.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use uplift_tests::{fleet::Fleet, postgres::Database, repository};

/// A sample 1.0 database, small.
pub(crate) async fn sample() -> Database {
    let database = Database::create("sample").await;
    database.psql_file(&repository("deploy/packs/sample/generate.sql"), &[("scale", "1")]);
    database
}

/// A database's plain dump.
pub(crate) fn text(fleet: &Fleet, database: &Database) -> String {
    let file = fleet.file(&format!("{}.sql", database.name));
    database.dump(&file);
    std::fs::read_to_string(file).unwrap()
}

/// A file beside the fleet.
pub(crate) fn file(fleet: &Fleet, name: &str, bytes: &[u8]) -> PathBuf {
    let path = fleet.file(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zip whose entries some lines of Python add to `z`, a `ZipFile`.
pub(crate) fn zip_of(entries: &str) -> Vec<u8> {
    packed("zipfile.ZipFile(f, 'w', zipfile.ZIP_DEFLATED) as z", entries)
}

/// The same for a tar, whose `TarFile` is `t`.
pub(crate) fn tar_of(entries: &str) -> Vec<u8> {
    packed("tarfile.open(fileobj=f, mode='w') as t", entries)
}

fn packed(archive: &str, entries: &str) -> Vec<u8> {
    let program = format!(
        "import io, sys, tarfile, zipfile\nf = io.BytesIO()\nwith {archive}:\n    {}\n\
         sys.stdout.buffer.write(f.getvalue())",
        entries.replace('\n', "\n    ")
    );
    let output = Command::new("python3").args(["-c", &program]).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The same, with a dump as its first entry.
pub(crate) fn zip(dump: &str, entries: &str) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), dump).unwrap();
    zip_of(&format!("z.write('{}', 'dump.sql')\n{entries}", file.path().display()))
}

pub(crate) fn gunzip(file: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_end(&mut text).unwrap();
    text
}
