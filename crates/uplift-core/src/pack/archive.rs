//! A pack as one run of bytes: a tar archive without times and owners, so that the same files always have the
//! same digest.

use std::io::Read as _;

use thiserror::Error;

use super::{Files, ManifestError, Pack};

/// No archive is larger; packs hold scripts, not data.
pub const MAX_ARCHIVE_BYTES: usize = 16 << 20;

/// Why an archive is not a pack.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// More bytes than [`MAX_ARCHIVE_BYTES`].
    #[error(
        "the archive is larger than {MAX_ARCHIVE_BYTES} bytes: a pack holds scripts, keep data out of it"
    )]
    TooLarge,
    /// Not a tar archive, or one that was cut off.
    #[error("the archive cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// Something else than a file with a plain path.
    #[error("`{0}` is not a plain file inside the pack: archive files and folders only")]
    Entry(String),
    /// The files are no pack.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Pack {
    /// The pack's archive; its [`crate::PackDigest`] names the pack.
    ///
    /// # Errors
    /// A path that tar cannot hold.
    pub fn archive(&self) -> Result<Vec<u8>, ArchiveError> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, bytes) in &self.files {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, bytes.as_slice())?;
        }
        Ok(tar.into_inner()?)
    }

    /// Reads a pack out of its archive.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn from_archive(archive: &[u8]) -> Result<Self, ArchiveError> {
        if archive.len() > MAX_ARCHIVE_BYTES {
            return Err(ArchiveError::TooLarge);
        }
        let mut files = Files::new();
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            match entry.header().entry_type() {
                tar::EntryType::Directory => continue,
                tar::EntryType::Regular if is_plain(&path) => {}
                _ => return Err(ArchiveError::Entry(path)),
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.insert(path, bytes);
        }
        Ok(Self::from_files(files)?)
    }
}

fn is_plain(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
