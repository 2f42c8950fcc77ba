//! A process that is known for sure.

use std::{fmt, fs, io, str::FromStr};

use rustix::process::{Pid, kill_process, kill_process_group};
use tokio::process::Child;

pub use rustix::process::Signal;

/// A process, by its number and its birth: the number alone may belong to somebody else by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pid: i32,
    /// In clock ticks since the boot, and which boot.
    born: String,
}

/// What `/proc/<pid>/stat` says.
struct Stat {
    state: char,
    group: i32,
    born: String,
}

impl Process {
    /// The process of this number, alive or a zombie.
    #[must_use]
    pub fn find(pid: i32) -> Option<Self> {
        Some(Self { pid, born: stat(pid)?.born })
    }

    /// A program that was just started.
    ///
    /// # Errors
    ///
    /// It was waited for already.
    pub fn of(child: &Child) -> io::Result<Self> {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Self::find).ok_or_else(|| io::Error::other("it ended at once"))
    }

    /// Its number.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.born == self.born && stat.is_alive())
    }

    /// Whether it, or another one of the group that it led, runs.
    #[must_use]
    pub fn is_group_alive(&self) -> bool {
        match stat(self.pid) {
            // Its number belongs to somebody else, which cannot be while its group lives.
            Some(stat) if stat.born != self.born => false,
            Some(stat) if stat.is_alive() => true,
            _ => pids().filter_map(stat).any(|stat| stat.group == self.pid && stat.is_alive()),
        }
    }

    /// Sends it a signal, if it runs.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            // It may end before the signal comes, which is what the signal is for.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills it and the group that it leads, if they run.
    pub fn kill_group(&self) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_group_alive()) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.born)
    }
}

impl FromStr for Process {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.trim().split_once(' ');
        let parsed =
            parts.and_then(|(pid, born)| Some(Self { pid: pid.parse().ok()?, born: born.to_owned() }));
        parsed.ok_or_else(|| format!("`{text}` names no process"))
    }
}

impl Stat {
    const fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so fields are counted from its end: state is the first.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(Stat {
        state: fields.first()?.chars().next()?,
        group: fields.get(2)?.parse().ok()?,
        born: format!("{}@{}", fields.get(19)?, boot.trim()),
    })
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn a_process_is_known_by_its_birth() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let me = Process::find(pid).unwrap();
        assert!(me.is_alive());
        assert_eq!(me.to_string().parse(), Ok(me.clone()));
        let another: Process = format!("{pid} 1@another-boot").parse().unwrap();
        assert!(!another.is_alive() && !another.is_group_alive());
        assert!("".parse::<Process>().is_err());
    }
}
