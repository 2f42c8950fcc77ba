//! Where Postgres is on this machine.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where Debian puts the programs of each major, which are not on `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// What has to be there.
const NEEDED: [&str; 6] = ["initdb", "pg_config", "pg_dump", "pg_restore", "postgres", "psql"];

/// The programs of one Postgres major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// The majors that this machine has: Debian's, and what is on `PATH`.
    #[must_use]
    pub fn find() -> BTreeMap<u16, Self> {
        let mut found = BTreeMap::new();
        let path = std::env::var_os("PATH").unwrap_or_default();
        for directory in std::env::split_paths(&path).filter(|directory| is_whole(directory)) {
            if let Some(major) = major(&directory) {
                found.entry(major).or_insert(Self { directory });
            }
        }
        for entry in fs::read_dir(DEBIAN).into_iter().flatten().flatten() {
            let directory = entry.path().join("bin");
            let major = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(major) = major.filter(|_| is_whole(&directory)) {
                found.insert(major, Self { directory });
            }
        }
        found
    }

    /// The directory that they are in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// One of them.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn is_whole(directory: &Path) -> bool {
    NEEDED.iter().all(|name| directory.join(name).is_file())
}

/// `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`
fn major(directory: &Path) -> Option<u16> {
    let output = Command::new(directory.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(2)?.split('.').next()?.parse().ok()
}
