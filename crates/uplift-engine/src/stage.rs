//! `stage`: a pack's files, a customer's scripts or a zip's filestore, put where runners find them.
//!
//! The folders are fresh and nobody else writes there, so that a path without `..` stays inside.

use std::{
    env,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, BufRead, BufReader, Read, Stdin},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use uplift_core::{
    event::Digest,
    plan::{Stage, Staged},
};

use crate::{
    failure::{Outcome, infrastructure, rejected},
    filestore,
    input::{Counted, InputError, fault, read_failure},
    zip::{Role, Walker},
};

/// Where failures of this module happen.
const PLACE: &str = "stage";

/// More files than this are not taken: a pack or a customer's scripts are some hundreds.
const MAX_FILES: usize = 100_000;

/// Runs the plan. Returns what was read.
///
/// # Errors
/// The customer's archive is refused, or something of ours broke.
pub fn run(stdin: Stdin, plan: Stage) -> Outcome<Digest> {
    let mut counted = Counted::new(stdin, plan.bytes);
    let staged = match plan.what {
        Staged::Pack => folder("pack")
            .and_then(|root| untar(&mut counted, &root, plan.max_expanded_bytes))
            // Empty where nothing comes to lie there, so that runs need not ask.
            .and_then(|()| make(&filestore::directory(), 0o777)),
        Staged::Scripts => {
            folder("scripts").and_then(|root| unpack(&mut counted, &root, plan.max_expanded_bytes))
        }
        Staged::Filestore => unzip_filestore(&mut counted, plan.max_expanded_bytes),
    };
    let read = staged.and_then(|()| io::copy(&mut counted, &mut io::sink()));
    read.map_err(|error| match (plan.what, fault(&error)) {
        (_, Some(InputError::EndedEarly { .. })) => read_failure(PLACE, &error),
        (Staged::Scripts, _) if !is_of_disk(&error) => rejected(format!(
            "The archive of scripts cannot be unpacked: {error}. Send a zip or a tar (raw or gzip) of plain files and folders"
        )),
        (Staged::Filestore, _) if !is_of_disk(&error) => rejected(format!(
            "The files of the zip cannot be unpacked: {error}. Make the backup again, or send the dump without its files"
        )),
        _ => infrastructure(PLACE, format!("put files in place: {error}")),
    })?;
    Ok(counted.digest())
}

/// Whether it is the disk that is at fault: whatever else goes wrong follows from the archive, for the folders are fresh.
fn is_of_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    fault(error).is_none()
        && matches!(error.kind(), PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

/// Makes a folder beside the others that runners read.
fn folder(name: &str) -> io::Result<PathBuf> {
    let stage = env::var_os("UPLIFT_STAGE").map_or_else(|| PathBuf::from("/uplift"), PathBuf::from);
    let folder = stage.join(name);
    make(&folder, 0o755)?;
    Ok(folder)
}

/// A customer's archive, whatever it is packed as.
fn unpack(source: &mut impl Read, root: &Path, limit: u64) -> io::Result<()> {
    let mut source = BufReader::new(source);
    let head = source.fill_buf()?;
    if head.starts_with(b"PK") {
        let mut room = Room::new(limit);
        let mut walker = Walker::new(source, limit);
        while let Some(entry) = walker.next()? {
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            let mut body = walker.body(&entry);
            if name.ends_with('/') {
                room.count()?;
                io::copy(&mut body, &mut io::sink())?;
            } else {
                write(root, &name, &mut body, &mut room, 0o644)?;
            }
        }
        while walker.central()?.is_some() {}
        walker.end()
    } else if head.starts_with(&[0x1f, 0x8b]) {
        // A tar's long names are read into memory whole, and a small archive can hold a large one.
        untar(&mut MultiGzDecoder::new(source).take(limit.saturating_add(1)), root, limit)
    } else {
        untar(&mut source, root, limit)
    }
}

fn untar(source: &mut impl Read, root: &Path, limit: u64) -> io::Result<()> {
    let mut room = Room::new(limit);
    for entry in tar::Archive::new(source).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        match entry.header().entry_type() {
            tar::EntryType::Directory | tar::EntryType::XGlobalHeader => room.count()?,
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                write(root, &name, &mut entry, &mut room, 0o644)?;
            }
            _ => return Err(invalid(format!("`{name}` is neither a file nor a folder"))),
        }
    }
    Ok(())
}

/// The files of the zip that came in. Runners may write there, and remove what is there.
fn unzip_filestore(source: &mut impl Read, limit: u64) -> io::Result<()> {
    let root = filestore::directory();
    make(&root, 0o777)?;
    let mut room = Room { files: usize::MAX, bytes: limit };
    let mut walker = Walker::new(source, limit);
    while let Some(entry) = walker.next()? {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        let inside = name
            .strip_prefix(filestore::PREFIX)
            .filter(|inside| !inside.ends_with('/') && !inside.is_empty());
        let mut body = walker.body(&entry);
        match (entry.role(), inside) {
            (Role::File, Some(inside)) => write(&root, inside, &mut body, &mut room, 0o666)?,
            _ => drop(io::copy(&mut body, &mut io::sink())?),
        }
    }
    while walker.central()?.is_some() {}
    walker.end()
}

/// How much may still be written.
struct Room {
    files: usize,
    bytes: u64,
}

impl Room {
    const fn new(bytes: u64) -> Self {
        Self { files: MAX_FILES, bytes }
    }

    /// One entry more.
    fn count(&mut self) -> io::Result<()> {
        let left = self.files.checked_sub(1);
        self.files = left.ok_or_else(|| invalid(format!("it holds more than {MAX_FILES} files")))?;
        Ok(())
    }
}

fn write(root: &Path, name: &str, body: &mut impl Read, room: &mut Room, mode: u32) -> io::Result<()> {
    let name = name.trim_start_matches("./");
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.bytes().any(|byte| byte < b' ');
    if name.is_empty() || name.len() > 4096 || !name.split('/').all(plain) {
        return Err(invalid(format!("`{name}` is not a path inside the archive")));
    }
    room.count()?;
    let path = root.join(name);
    if let Some(parent) = path.parent() {
        make(parent, if mode == 0o666 { 0o777 } else { 0o755 })?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    let written = io::copy(&mut body.take(room.bytes.saturating_add(1)), &mut file)?;
    if written > room.bytes {
        return Err(invalid("it is larger once unpacked than is taken".to_owned()));
    }
    room.bytes -= written;
    Ok(())
}

/// Makes a folder and those above it, whatever the umask says.
fn make(folder: &Path, mode: u32) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|parent| !parent.exists()) {
        make(parent, mode)?;
    }
    DirBuilder::new().mode(mode).create(folder)?;
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
