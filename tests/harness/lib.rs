//! One harness for every test that drives the fleet: real processes, real services, an own corner of each.

#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a harness panics, and says why"
)]

pub mod broker;
pub mod collector;
pub mod compare;
pub mod fleet;
pub mod major;
pub mod packs;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod request;
pub mod services;
pub mod standalone;
pub mod watch;
mod wreck;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use uplift_core::{Pack, pack::Files};

/// How long something may take that happens at once on a machine that has nothing else to do. These tests have two processors,
/// and share them with real upgrades: a limit here tells what never comes from what comes, not fast from slow.
pub const SOON: Duration = Duration::from_secs(120);

/// How long to wait before looking again: shorter than any state that a test waits for lasts, longer the longer it was waited
/// already. Ten that look at a Docker host twenty times a second keep it from what they wait for.
const AGAIN: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];

/// Looks until `probe` gives something; fails after `limit`, saying what was waited for.
pub async fn eventually<T>(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain: {what}");
        tokio::time::sleep((started.elapsed() / 20).clamp(AGAIN[0], AGAIN[1])).await;
    }
}

/// A file of the real inputs.
pub fn data(name: &str) -> PathBuf {
    let path = PathBuf::from(services::variable("UPLIFT_TEST_DATA")).join(name);
    assert!(path.is_file(), "{} is not there: point UPLIFT_TEST_DATA at the real inputs", path.display());
    path
}

/// A file of this repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

/// A pack as it lies in a folder.
pub fn pack(folder: &Path) -> Pack {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        for entry in std::fs::read_dir(inside).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    Pack::from_files(files).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}
