//! Files beside a database, where runners have them and may add to them. What lies there then is as hostile as a dump:
//! only plain files with plain names are looked at, and no link is followed.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use crate::input::InputError;

/// What names of these files begin with in a zip.
pub(crate) const PREFIX: &str = "filestore/";

/// How deep folders may lie: Odoo's are one deep.
const DEPTH: usize = 4;

/// Where runners may write.
pub(crate) fn scratch() -> PathBuf {
    env::var_os("UPLIFT_SCRATCH").map_or_else(|| PathBuf::from("/scratch"), PathBuf::from)
}

/// Where runners find the files.
pub(crate) fn directory() -> PathBuf {
    scratch().join("filestore")
}

/// Gives each file to `take`, by its name in a zip and its path, in the order of the names. Returns how many others there
/// are.
///
/// # Errors
/// What the system or `take` say.
pub(crate) fn files(take: &mut dyn FnMut(&str, &Path) -> io::Result<()>) -> io::Result<u64> {
    let root = directory();
    // A runner may have put something else in its place.
    if !fs::symlink_metadata(&root).is_ok_and(|found| found.is_dir()) {
        return Ok(0);
    }
    walk(&root, PREFIX.trim_end_matches('/'), DEPTH, take)
}

fn walk(
    folder: &Path,
    name: &str,
    depth: usize,
    take: &mut dyn FnMut(&str, &Path) -> io::Result<()>,
) -> io::Result<u64> {
    let unreadable = |error| InputError::Added(format!("{name}: {error}"));
    let mut entries: Vec<_> = fs::read_dir(folder).map_err(unreadable)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut skipped = 0;
    for entry in entries {
        let file_name = entry.file_name();
        let Some(part) = file_name.to_str().filter(|part| is_plain(part)) else {
            skipped += 1;
            continue;
        };
        let name = format!("{name}/{part}");
        let kind = entry.file_type()?;
        if kind.is_file() {
            take(&name, &entry.path())?;
        } else if kind.is_dir() && depth > 0 {
            if name != CHECKLIST {
                skipped += walk(&entry.path(), &name, depth - 1, take)?;
            }
        } else {
            skipped += 1;
        }
    }
    Ok(skipped)
}

/// Where Odoo notes by empty files which attachments may be of no use any more.
const CHECKLIST: &str = "filestore/checklist";

fn is_plain(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    part.len() <= 128 && !part.starts_with('.') && part.bytes().all(plain)
}
