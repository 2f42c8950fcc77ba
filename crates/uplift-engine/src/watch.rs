//! `watch`: sees that what a runner writes does not outgrow its budget, from a container of its own that runs as the
//! runner's user, so that it sees what the runner sees and cannot be stopped by it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use uplift_core::{Failure, plan::Watch};

use crate::{failure::Outcome, filestore::scratch};

/// What is watched.
const PLACE: &str = "scratch";

/// How long to wait between two looks, at least and at most; and how many times as long as a look took, so that a large
/// filestore is not walked through all the time.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);
const TIMES: u32 = 4;

/// What anything counts at least, in bytes: empty files are not for nothing, either.
const LEAST: u64 = 4096;

/// Bytes of a block as the system counts them, whatever the file system's own are.
const BLOCK: u64 = 512;

/// Runs the plan until the input ends.
///
/// # Errors
/// What was written takes more than its budget, or a folder of it cannot be looked into.
pub fn run(plan: Watch) -> Outcome<()> {
    let (ended, end) = mpsc::channel::<()>();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(ended);
    });
    let full = || Box::new(Failure::OutOfDisk { place: PLACE.into() });
    loop {
        let began = Instant::now();
        // What a runner hides it may be hiding for a reason; what vanishes meanwhile is fine.
        if used(&scratch()).map_err(|_| full())? > plan.disk_bytes {
            return Err(full());
        }
        let pause = (began.elapsed() * TIMES).clamp(PAUSE, LONGEST);
        if end.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
            return Ok(());
        }
    }
}

/// What everything in a folder takes of the disk, in bytes. No link is followed.
fn used(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let found = match fs::symlink_metadata(entry.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            bytes += (found.blocks() * BLOCK).max(LEAST);
            if found.is_dir() {
                open.push(entry.path());
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_followed_and_nothing_is_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("all")).unwrap();
        fs::write(folder.path().join("file"), vec![1; 10_000]).unwrap();
        let bytes = used(folder.path()).unwrap();
        assert!((10_000 + LEAST..100_000).contains(&bytes), "{bytes}");
        assert!(
            used(Path::new("/proc/self/fd/nothing/here")).is_ok_and(|bytes| bytes == 0),
            "what vanishes is fine"
        );
    }
}
