//! The dump on disk.

use std::{
    fs::{File, Metadata},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, bail};

use crate::exit::{NotADump, UsageError};

/// A dump on disk, as it was when it was opened.
#[derive(Debug)]
pub(crate) struct Dump {
    path: PathBuf,
    file: File,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Dump {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("open the dump {shown}"))?;
        let metadata = file.metadata().with_context(|| format!("look at the dump {shown}"))?;
        if metadata.is_dir() {
            let hint =
                "a dump is one file: for a folder made by `pg_dump -Fd`, dump again with `pg_dump -Fc`";
            return Err(UsageError(format!("{shown} is a folder; {hint}")).into());
        }
        if !metadata.is_file() {
            let hint = "its length has to be known before it is sent: write the dump to a file first";
            return Err(UsageError(format!("{shown} is no file; {hint}")).into());
        }
        if metadata.len() == 0 {
            return Err(NotADump(format!("{shown} is empty: did the dump fail? Make it again")).into());
        }
        let (bytes, modified) = identity(&metadata);
        Ok(Self { path: path.to_owned(), file, bytes, modified })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What to call it towards people.
    pub(crate) fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A second handle on the same file, for reading it elsewhere.
    pub(crate) fn reader(&self) -> anyhow::Result<File> {
        self.file.try_clone().with_context(|| format!("open the dump {} again", self.path.display()))
    }

    /// A file that was still being written is half of one dump and half of another.
    pub(crate) fn check_unchanged(&self) -> anyhow::Result<()> {
        let metadata = self.file.metadata().context("look at the dump")?;
        if identity(&metadata) != (self.bytes, self.modified) {
            let shown = self.path.display();
            bail!("{shown} changed while it was sent: wait until the dump is complete, then start again");
        }
        Ok(())
    }
}

fn identity(metadata: &Metadata) -> (u64, Option<SystemTime>) {
    (metadata.len(), metadata.modified().ok())
}

/// The file's name without what tells the format: `shop` for `shop.sql.gz`; `None` where nothing is left.
pub(crate) fn database_name(path: &Path) -> Option<String> {
    const ENDINGS: [&str; 10] =
        [".gz", ".zst", ".xz", ".bz2", ".sql", ".dump", ".pgdump", ".backup", ".custom", ".zip"];
    let name = path.file_name()?.to_str()?;
    let mut stem = name;
    while let Some(shorter) = ENDINGS.iter().find_map(|ending| stem.strip_suffix(ending)) {
        stem = shorter;
    }
    (!stem.is_empty()).then(|| stem.to_owned())
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, path::Path};

    use super::{Dump, database_name};
    use crate::exit::Exit;

    #[test]
    fn a_database_is_called_like_its_dump() {
        let name = |path: &str| database_name(Path::new(path));
        assert_eq!(name("/backups/shop.sql.gz").as_deref(), Some("shop"));
        assert_eq!(name("shop.v2.dump").as_deref(), Some("shop.v2"));
        assert_eq!(name("shop").as_deref(), Some("shop"));
        assert_eq!(name(".sql.gz"), None);
    }

    #[test]
    fn what_is_no_dump_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let code = |path: &Path| Exit::of(&Dump::open(path).unwrap_err());
        assert_eq!(code(folder.path()), Exit::Usage);
        assert_eq!(code(Path::new("/dev/null")), Exit::Usage);
        assert_eq!(code(&folder.path().join("missing.sql")), Exit::Error);
        let empty = folder.path().join("empty.sql");
        fs::write(&empty, "").unwrap();
        assert_eq!(code(&empty), Exit::Rejected);
    }

    #[test]
    fn a_dump_that_grows_is_noticed() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"half").unwrap();
        let dump = Dump::open(file.path()).unwrap();
        dump.check_unchanged().unwrap();
        file.write_all(b" and half").unwrap();
        assert!(dump.check_unchanged().is_err());
    }
}
