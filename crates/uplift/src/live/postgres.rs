//! The customer's own Postgres, by its own programs: whatever libpq is told by PGHOST, PGSERVICE or ~/.pgpass holds here, too.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use flate2::read::MultiGzDecoder;

use crate::text;

/// Asks a database, in a session that cannot write. Gives the rows, one a line, columns apart by tabs.
pub(crate) fn ask(database: &str, sql: &str) -> anyhow::Result<String> {
    let output = psql(database)
        .env("PGOPTIONS", "-c default_transaction_read_only=on -c statement_timeout=600s")
        .args(["-F", "\t", "-c", sql])
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|error| missing("psql", &error))?;
    if !output.status.success() {
        bail!("{}", said(&output.stderr, "psql failed and did not say why"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
}

/// Makes a database that sorts and encodes as another one, where that is here.
pub(crate) fn create(name: &str, like: &str) -> anyhow::Result<()> {
    let sql = format!(
        "SELECT format('ENCODING %L LC_COLLATE %L LC_CTYPE %L', pg_encoding_to_char(encoding), datcollate, datctype)
         FROM pg_database WHERE datname = {}",
        literal(like)
    );
    let as_there = ask("postgres", &sql)?;
    // From template0, which holds nothing that a dump would find in its way.
    let sql = format!("CREATE DATABASE {} TEMPLATE template0 {as_there}", identifier(name));
    let output = psql("postgres").args(["-c", &sql]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| missing("psql", &error))?;
    if !output.status.success() {
        let said = said(&output.stderr, "psql failed and did not say why");
        bail!("make the database `{}`: {said}; nothing was changed", text::line(name));
    }
    Ok(())
}

/// Removes a database that this program made.
pub(crate) fn remove(name: &str) {
    let sql = format!("DROP DATABASE IF EXISTS {}", identifier(name));
    // What led here is told; this must not hide it.
    let _ = psql("postgres").args(["-c", &sql]).stdin(Stdio::null()).output();
}

/// Restores a dump into a database that is empty.
pub(crate) fn restore(file: &Path, name: &str, jobs: u8) -> anyhow::Result<()> {
    let shown = file.display();
    let mut magic = [0; 5];
    let read = File::open(file).and_then(|mut file| file.read(&mut magic));
    read.with_context(|| format!("read {shown}"))?;
    let output = match magic {
        [b'P', b'G', b'D', b'M', b'P'] => {
            let mut command = Command::new("pg_restore");
            // Roles of ours are not theirs: all belongs to whoever restores.
            command.args(["--no-owner", "--no-privileges", "--exit-on-error", "-w", "-j", &jobs.to_string()]);
            command.args(["-d", name]).arg(file).stdin(Stdio::null());
            command.output().map_err(|error| missing("pg_restore", &error))?
        }
        [b'P', b'K', ..] => {
            bail!("{shown} is a zip with a filestore: restore it with your ERP's database manager")
        }
        _ => script(file, name, magic.starts_with(&[0x1f, 0x8b]))?,
    };
    if !output.status.success() {
        bail!(
            "restore into `{}`: {}",
            text::line(name),
            said(&output.stderr, "it failed and did not say why")
        );
    }
    Ok(())
}

/// Runs a dump that is SQL.
fn script(file: &Path, name: &str, packed: bool) -> anyhow::Result<std::process::Output> {
    let mut command = psql(name);
    command.args(["-v", "ON_ERROR_STOP=1", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
    command.stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| missing("psql", &error))?;
    let mut stdin = child.stdin.take().context("write to psql")?;
    let mut file = File::open(file).with_context(|| format!("read {}", file.display()))?;
    let written = std::thread::spawn(move || -> io::Result<u64> {
        if packed {
            io::copy(&mut MultiGzDecoder::new(file), &mut stdin)
        } else {
            io::copy(&mut file, &mut stdin)
        }
    });
    let output = child.wait_with_output().context("wait for psql")?;
    match written.join() {
        // One that has stopped reading says itself why.
        Ok(Err(error)) if output.status.success() => Err(error).context("read the dump"),
        _ => Ok(output),
    }
}

/// `pg_dump` of a database, which writes to its stdout: so it does not come back to its beginning at the end, and what it has
/// written can be sent while it goes on.
pub(crate) fn dump(database: &str, format: &str) -> tokio::process::Command {
    let mut command = tokio::process::Command::new("pg_dump");
    command.args(["-w", "--format", format, "-d", database]).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn psql(database: &str) -> Command {
    let mut command = Command::new("psql");
    // No ~/.psqlrc, no prompt for a password that nobody would see.
    command.args(["-X", "-q", "-A", "-t", "-w", "-d", database]);
    command
}

pub(crate) fn missing(program: &str, error: &io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::NotFound {
        return anyhow::anyhow!(
            "there is no {program} on this machine: install Postgres' client programs (Debian: apt install \
             postgresql-client), or hand in a dump with --dump FILE"
        );
    }
    anyhow::anyhow!("start {program}: {error}")
}

/// The last lines of what a program has said.
pub(crate) fn said(stderr: &[u8], otherwise: &str) -> String {
    let stderr = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].join("; ");
    if last.is_empty() { otherwise.to_owned() } else { text::line(&last) }
}

/// A name as SQL takes it.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Text as SQL takes it.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::{identifier, literal, said};

    #[test]
    fn names_stay_names() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("a'b"), "'a''b'");
    }

    #[test]
    fn the_last_words_are_kept() {
        assert_eq!(said(b"one\ntwo\n\nthree\nfour\n", "nothing"), "two; three; four");
        assert_eq!(said(b" \n", "nothing"), "nothing");
    }
}
