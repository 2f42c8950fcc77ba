//! Processes that outlive the command that started them, found again by their pid files.
//!
//! A pid alone may belong to somebody else by now; with the time the process started and the boot's id it
//! is ours or nobody's.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::exec;
use crate::interrupt;
use crate::layout::Layout;

/// How long a service has to end in order. A worker that drains takes the longest: 25 s by default.
const GRACE: Duration = Duration::from_secs(40);

/// The same for one that never answered: it has nothing to bring in order, and a booting RabbitMQ doesn't
/// hear the signal.
const EARLY: Duration = Duration::from_secs(5);

/// How a service is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGTERM to its leader only, which ends its children in order.
    Term,
    /// SIGINT to its leader only: Postgres' fast shutdown, which doesn't wait for clients to leave.
    Int,
}

impl Stop {
    fn signal(self) -> Signal {
        match self {
            Self::Term => Signal::TERM,
            Self::Int => Signal::INT,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Term => "term",
            Self::Int => "int",
        }
    }
}

impl FromStr for Stop {
    type Err = anyhow::Error;

    fn from_str(code: &str) -> Result<Self> {
        match code {
            "term" => Ok(Self::Term),
            "int" => Ok(Self::Int),
            _ => bail!("`{code}` is not a way to stop"),
        }
    }
}

/// A process of ours that is running.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    /// The name that its pid file and log go by.
    pub(crate) name: String,
    pid: i32,
    born: String,
    stop: Stop,
}

impl Daemon {
    /// The process that an earlier command started under this name, if it still runs.
    pub(crate) fn find(layout: &Layout, name: &str) -> Option<Self> {
        let text = fs::read_to_string(pid_file(layout, name)).ok()?;
        let mut words = text.split_whitespace();
        let pid: i32 = words.next()?.parse().ok()?;
        let born = words.next()?.to_owned();
        let stop = words.next()?.parse().ok()?;
        let daemon = Self { name: name.to_owned(), pid, born, stop };
        daemon.alive().then_some(daemon)
    }

    /// Everything of ours that runs, by pid file.
    pub(crate) fn all(layout: &Layout) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        let dir = layout.run();
        for entry in fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))? {
            let path = entry.context("list pid files")?.path();
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            if let Some(name) = name.filter(|_| path.extension().is_some_and(|end| end == "pid")) {
                found.extend(Self::find(layout, &name));
            }
        }
        Ok(found)
    }

    /// Starts a program in a session of its own, with its output in the log of that name, and waits until
    /// `ready` says so.
    pub(crate) fn start(
        layout: &Layout,
        name: &str,
        command: &mut Command,
        stop: Stop,
        limit: Duration,
        ready: impl Fn() -> bool,
    ) -> Result<Self> {
        let log = layout.log(name);
        let (daemon, mut child) = Self::spawn(layout, name, command, stop, &log)?;
        let outcome = interrupt::poll(limit, || match child.try_wait().context("watch the process")? {
            Some(status) => Ok(Some(Err(status))),
            None if ready() => Ok(Some(Ok(()))),
            None => Ok(None),
        });
        let problem = match outcome {
            Ok(Some(Ok(()))) => return Ok(daemon),
            Ok(Some(Err(status))) => format!("{name} ended with {status} while starting"),
            Ok(None) => format!("{name} did not answer within {} s", limit.as_secs()),
            Err(error) => {
                daemon.stop_within(layout, EARLY)?;
                return Err(error);
            }
        };
        daemon.stop_within(layout, EARLY)?;
        bail!("{problem}; the end of {}:\n{}", log.display(), exec::tail(&log))
    }

    fn spawn(
        layout: &Layout,
        name: &str,
        command: &mut Command,
        stop: Stop,
        log: &Path,
    ) -> Result<(Self, Child)> {
        if log.exists() {
            // One generation back is kept: the log of what crashed is what one wants to read next.
            fs::rename(log, log.with_extension("log.1")).context("rotate the log")?;
        }
        let out = OpenOptions::new().create(true).append(true).open(log).context("open the log")?;
        let errors = out.try_clone().context("share the log file")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .current_dir(&layout.state)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let pid = i32::try_from(child.id()).context("read the process id")?;
        // It may have ended by now, which is found out, and told with its log, by whoever waits for it.
        let (_, born) = state_and_birth(pid).with_context(|| format!("find {name} in /proc"))?;
        let daemon = Self { name: name.to_owned(), pid, born, stop };
        fs::write(pid_file(layout, name), format!("{pid} {} {}\n", daemon.born, stop.code()))
            .context("write the pid file")?;
        Ok((daemon, child))
    }

    /// Asks the process to end, waits, and kills its whole session when it does not.
    pub(crate) fn stop(&self, layout: &Layout) -> Result<()> {
        self.stop_within(layout, GRACE)
    }

    fn stop_within(&self, layout: &Layout, grace: Duration) -> Result<()> {
        if let Some(pid) = Pid::from_raw(self.pid) {
            if self.alive() {
                let _ = kill_process(pid, self.stop.signal());
            }
            let begin = Instant::now();
            while self.alive() && begin.elapsed() < grace {
                thread::sleep(Duration::from_millis(20));
            }
            // What is left of the session has no leader to ask any more.
            let _ = kill_process_group(pid, Signal::KILL);
            let begin = Instant::now();
            while self.alive() {
                if begin.elapsed() > GRACE {
                    bail!("{} (pid {}) does not end, not even by SIGKILL", self.name, self.pid);
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        let file = pid_file(layout, &self.name);
        fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))
    }

    fn alive(&self) -> bool {
        birth(self.pid).is_some_and(|born| born == self.born)
    }
}

/// A command that runs in a session of its own, so that no terminal's hang-up reaches it.
pub(crate) fn detached(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setsid");
    command.arg(program);
    command
}

fn pid_file(layout: &Layout, name: &str) -> std::path::PathBuf {
    layout.run().join(format!("{name}.pid"))
}

/// When a process started, in clock ticks, and in which boot; `None` when there is none, or a zombie.
fn birth(pid: i32) -> Option<String> {
    let (state, birth) = state_and_birth(pid)?;
    (!matches!(state.as_str(), "Z" | "X")).then_some(birth)
}

/// The state's letter, and the birth of a process that may have ended but was not waited for yet.
fn state_and_birth(pid: i32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so fields are counted from its end: state is the first.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(((*fields.first()?).to_owned(), format!("{}@{}", fields.get(19)?, boot.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(name: &str) -> Layout {
        let state = std::env::temp_dir().join(format!("uplift-xtask-{name}-{}", std::process::id()));
        let layout = Layout { repo: state.clone(), cache: state.clone(), state };
        fs::create_dir_all(layout.run()).unwrap();
        fs::create_dir_all(layout.log("x").parent().unwrap()).unwrap();
        layout
    }

    fn start(layout: &Layout, script: &str, ready: impl Fn() -> bool) -> Result<Daemon> {
        let mut command = detached("sh");
        command.args(["-c", script]);
        Daemon::start(layout, "x", &mut command, Stop::Term, Duration::from_secs(20), ready)
    }

    #[test]
    fn a_daemon_is_found_again_and_stopped() {
        let layout = layout("found");
        start(&layout, "exec sleep 600", || true).unwrap();
        let found = Daemon::all(&layout).unwrap();
        assert_eq!(found.len(), 1);
        found[0].stop(&layout).unwrap();
        assert!(Daemon::find(&layout, "x").is_none());
        assert_eq!(fs::read_dir(layout.run()).unwrap().count(), 0);
        fs::remove_dir_all(&layout.state).unwrap();
    }

    #[test]
    fn a_pid_that_was_given_to_another_process_is_not_ours() {
        let layout = layout("another");
        let daemon = start(&layout, "exec sleep 600", || true).unwrap();
        fs::write(pid_file(&layout, "x"), format!("{} 1@another-boot term\n", daemon.pid)).unwrap();
        assert!(Daemon::find(&layout, "x").is_none());
        daemon.stop(&layout).unwrap();
        fs::remove_dir_all(&layout.state).unwrap();
    }

    #[test]
    fn what_ends_while_starting_is_reported_with_its_log() {
        let layout = layout("ends");
        let error = start(&layout, "echo no such file >&2; exit 3", || false).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such file"), "{error}");
        assert!(Daemon::find(&layout, "x").is_none());
        fs::remove_dir_all(&layout.state).unwrap();
    }

    #[test]
    fn a_leader_that_ends_takes_its_children_along() {
        let layout = layout("children");
        let pids = layout.state.join("child");
        let script = format!("sleep 600 & echo $! > {}; wait", pids.display());
        let daemon = start(&layout, &script, || fs::read_to_string(&pids).is_ok_and(|text| !text.is_empty()));
        let child: i32 = fs::read_to_string(&pids).unwrap().trim().parse().unwrap();
        daemon.unwrap().stop(&layout).unwrap();
        let gone = interrupt::poll(Duration::from_secs(20), || Ok(birth(child).is_none().then_some(())));
        assert!(gone.unwrap().is_some());
        fs::remove_dir_all(&layout.state).unwrap();
    }
}
