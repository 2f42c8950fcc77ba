//! A dump in custom format, turned into SQL by `pg_restore`, which sees no database: what runs is decided by the one
//! reader of SQL, statement by statement, as for every other dump.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write as _},
    process::{Child, ChildStderr, ChildStdin, Command, Stdio},
    thread,
};

use super::InputError;
use crate::failure::excerpt;

/// How many of pg_restore's own lines are kept: the first one says what is wrong.
const LINES_KEPT: usize = 3;

/// Gives the SQL of an archive to `take`.
///
/// # Errors
/// What source or `take` say, or what pg_restore makes of the archive.
pub(super) fn sql(
    source: &mut (impl Read + Send),
    mut take: impl FnMut(&mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut child = Command::new("pg_restore")
        .arg("--file=-")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(mut stdout), Some(stderr)) = pipes else {
        return Err(io::Error::other("pg_restore has no pipes"));
    };
    thread::scope(|scope| {
        let fed = scope.spawn(|| feed(source, stdin));
        let lines = scope.spawn(|| said(stderr));
        let taken = take(&mut stdout);
        drop(stdout);
        if taken.is_err() {
            // It would wait for more input, and the feeder for it.
            child.kill()?;
        }
        let ended = wait(child, taken.is_ok(), || lines.join().unwrap_or_default());
        // Bytes that did not come are no fault of the archive's.
        fed.join().map_err(|_| io::Error::other("the thread that feeds pg_restore died"))??;
        taken.and(ended)
    })
}

/// Feeds all of the source. A pg_restore that reads no more has failed, or has all that it needs.
fn feed(source: &mut impl Read, mut stdin: ChildStdin) -> io::Result<()> {
    let mut block = vec![0; 256 * 1024];
    loop {
        match source.read(&mut block)? {
            0 => return Ok(()),
            count if stdin.write_all(&block[..count]).is_err() => return Ok(()),
            _ => {}
        }
    }
}

fn wait(mut child: Child, judge: bool, lines: impl FnOnce() -> Vec<String>) -> io::Result<()> {
    let status = child.wait()?;
    let lines = lines();
    if !judge || status.success() {
        return Ok(());
    }
    let lines = if lines.is_empty() { vec![format!("pg_restore ended with {status}")] } else { lines };
    Err(InputError::Archive(lines.join("; ")).into())
}

/// What pg_restore says, without the name that each line begins with.
fn said(stderr: ChildStderr) -> Vec<String> {
    let lines = BufReader::new(stderr).split(b'\n').map_while(Result::ok);
    let mut kept = Vec::new();
    for line in lines {
        if kept.len() < LINES_KEPT {
            let line = String::from_utf8_lossy(&line);
            let line = line.strip_prefix("pg_restore: ").unwrap_or(&line);
            kept.push(excerpt(line.strip_prefix("error: ").unwrap_or(line)));
        }
    }
    kept
}
