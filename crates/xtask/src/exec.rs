//! Running other programs to their end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::interrupt;
use crate::layout::Layout;

/// How long a program that was asked to end gets before it is killed.
const GRACE: Duration = Duration::from_secs(30);

/// A cargo, or a program that runs one, at the repository's root and with a shell's environment.
///
/// `cargo xtask` passes what it knows about this package on. There are build scripts that read those variables
/// (ring's), so with them half of the workspace would be built again after each build from a shell.
pub(crate) fn cargo(layout: &Layout, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(&layout.repo);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(about_this_package) {
            command.env_remove(name);
        }
    }
    command
}

fn about_this_package(variable: &str) -> bool {
    let exact = ["CARGO", "CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    exact.contains(&variable) || variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

/// Runs a program with its output in `log`, and quotes the log's end if it fails.
pub(crate) fn logged(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
    let errors = file.try_clone().context("share the log file")?;
    let shown = show(command);
    let child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("start `{shown}`"))?;
    let status = wait(child)?;
    if !status.success() {
        bail!("`{shown}` ended with {status}; the end of {}:\n{}", log.display(), tail(log));
    }
    Ok(())
}

/// Runs a program on this terminal and returns how it ended.
pub(crate) fn streamed(command: &mut Command) -> Result<ExitStatus> {
    let shown = show(command);
    let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("start `{shown}`"))?;
    wait(child)
}

/// Runs a program on this terminal; another exit code than 0 is an error.
pub(crate) fn streamed_ok(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = streamed(command)?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs a short program and returns what it printed, without the last line break.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("start `{shown}`"))?;
    if !out.status.success() {
        bail!("`{shown}` ended with {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
}

/// The last lines of a log, for an error's text.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(15);
    lines[first..].iter().map(|line| format!("    {line}\n")).collect()
}

/// Whether a program is on `PATH`, or at the path given.
pub(crate) fn exists(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn wait(mut child: Child) -> Result<ExitStatus> {
    let mut asked: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait().context("wait for a program")? {
            interrupt::check()?;
            return Ok(status);
        }
        match asked {
            None if interrupt::asked() => {
                // On a terminal Ctrl-C reached the program as well; a second request does no harm.
                if let Ok(raw) = i32::try_from(child.id())
                    && let Some(pid) = Pid::from_raw(raw)
                {
                    let _ = kill_process(pid, Signal::TERM);
                }
                asked = Some(Instant::now());
            }
            Some(since) if since.elapsed() > GRACE => child.kill().context("kill a program")?,
            _ => {}
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn show(command: &Command) -> String {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        shown.push(' ');
        shown.push_str(&arg.to_string_lossy());
    }
    shown
}
