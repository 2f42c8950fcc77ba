//! What a Postgres server writes into its lock file.

use std::{fs, path::Path, time::Duration};

use tokio::time::sleep;

use super::Process;

/// The file's name in the data directory.
const LOCK_FILE: &str = "postmaster.pid";

/// The line that holds the server's status.
const STATUS: usize = 7;

/// Waits until this server accepts connections on this data directory. It may be given up at any time.
pub async fn accepts(data: &Path, server: &Process) {
    let lock = data.join(LOCK_FILE);
    let is_ready = |text: String| {
        // A server that was killed leaves its file.
        text.lines().next() == Some(&server.pid().to_string())
            && text.lines().nth(STATUS).is_some_and(|status| status.trim() == "ready")
    };
    while !fs::read_to_string(&lock).is_ok_and(is_ready) {
        sleep(Duration::from_millis(10)).await;
    }
}

/// The server that runs on this data directory, if one does: its number is in the lock file, and the directory among
/// its arguments.
#[must_use]
pub fn running_on(data: &Path) -> Option<Process> {
    let text = fs::read_to_string(data.join(LOCK_FILE)).ok()?;
    let pid: i32 = text.lines().next()?.parse().ok()?;
    let server = Process::find(pid).filter(Process::is_alive)?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let data = data.to_str()?;
    arguments.split(|&byte| byte == 0).any(|argument| argument == data.as_bytes()).then_some(server)
}
