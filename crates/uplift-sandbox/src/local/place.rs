//! Directories of a program's own.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, symlink},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::Account;

/// The longest path that a socket can have is 107 bytes; what follows the directory is Postgres' name for it.
const LONGEST_SOCKET_DIRECTORY: usize = 107 - "/.s.PGSQL.5432".len();

/// Makes a directory that nobody but the account (and root) may enter.
///
/// # Errors
///
/// The system's.
pub fn private(path: &Path, account: &Account) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)?;
    account.own(path)
}

/// Makes a private directory for Postgres' socket; where its path would be too long for one, `place` becomes a link to
/// a shorter one. What an earlier server had there is removed.
///
/// # Errors
///
/// The system's.
pub fn make_socket_directory(place: &Path, account: &Account) -> io::Result<PathBuf> {
    remove_socket_directory(place);
    if place.as_os_str().len() <= LONGEST_SOCKET_DIRECTORY {
        private(place, account)?;
        return Ok(place.to_owned());
    }
    // Half of a random number is short, and still nobody's guess.
    let number = Uuid::new_v4().simple().to_string();
    let short = PathBuf::from(format!("/tmp/uplift-{}", &number[..16]));
    private(&short, account)?;
    symlink(&short, place)?;
    Ok(short)
}

/// Where [`make_socket_directory`] has put the socket.
#[must_use]
pub fn socket_directory(place: &Path) -> PathBuf {
    fs::read_link(place).unwrap_or_else(|_| place.to_owned())
}

/// Removes the socket's directory, if there is one.
pub fn remove_socket_directory(place: &Path) {
    // What cannot be removed shows when the next one is made.
    if let Ok(short) = fs::read_link(place) {
        let _ = fs::remove_dir_all(short);
        let _ = fs::remove_file(place);
    } else {
        let _ = fs::remove_dir_all(place);
    }
}
