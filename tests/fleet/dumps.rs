//! Dumps to hand in, whole and broken.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
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

pub(crate) fn gunzip(file: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_end(&mut text).unwrap();
    text
}
