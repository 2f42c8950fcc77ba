//! The Postgres of a sandbox, of either kind: whether it accepts, and how it came to its end.

use std::{collections::VecDeque, fmt, time::Duration};

use tokio::{sync::watch, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::SandboxError;

/// How long Postgres may take to accept. It takes a third of a second; the rest is for a host under load.
const START: Duration = Duration::from_secs(60);

/// How the Postgres of a sandbox came to its end. It is never expected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// The kernel killed a process of it at the memory limit.
    OutOfMemory,
    /// The data directory outgrew its budget.
    OutOfDisk,
    /// It ended by itself.
    Exited {
        /// The exit code.
        code: i64,
        /// The last lines of its log. They hold no customer's rows.
        said: String,
    },
    /// Somebody removed the sandbox.
    Vanished,
    /// Docker or the system did not say, so nobody knows.
    Unknown {
        /// What the last question met.
        why: String,
    },
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str("it ran out of memory"),
            Self::OutOfDisk => f.write_str("its data directory outgrew the disk budget"),
            Self::Exited { code, said } => write!(f, "it ended with code {code}, and said last: {said}"),
            Self::Vanished => f.write_str("its sandbox was removed"),
            Self::Unknown { why } => write!(f, "nobody can say what became of it: {why}"),
        }
    }
}

/// What is known of a Postgres.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Starting,
    Accepting,
    Dead(Death),
}

/// A Postgres that accepts, or did.
pub(crate) struct Postgres {
    pub(crate) watch: Watch,
    pub(crate) _watching: AbortOnDropHandle<()>,
}

/// Knows whether Postgres lives.
#[derive(Clone)]
pub(crate) struct Watch(pub(crate) watch::Receiver<State>);

impl Watch {
    /// Waits for Postgres' death; cancel safe.
    pub(crate) async fn death(&self) -> Death {
        let mut state = self.0.clone();
        match state.wait_for(|state| matches!(state, State::Dead(_))).await.as_deref() {
            Ok(State::Dead(death)) => death.clone(),
            // The sender lives as long as the sandbox, so this is a handle that outlived it.
            _ => Death::Vanished,
        }
    }
}

/// Waits until it accepts, which it has a minute for.
pub(crate) async fn accepting(mut state: watch::Receiver<State>) -> Result<(), SandboxError> {
    let why = match timeout(START, state.wait_for(|state| !matches!(state, State::Starting))).await {
        Ok(Ok(state)) => match &*state {
            State::Dead(death) => death.to_string(),
            State::Starting | State::Accepting => return Ok(()),
        },
        Ok(Err(_)) => "nobody watches it".to_owned(),
        Err(_) => format!("it does not accept after {} s", START.as_secs()),
    };
    Err(SandboxError::PostgresDidNotStart { why })
}

/// Puts lines together from chunks and remembers the last few.
#[derive(Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
    last: VecDeque<String>,
}

impl Lines {
    const KEPT: usize = 10;
    /// Longer lines are cut; bytes.
    const LONGEST: usize = 1000;

    pub(crate) fn push(&mut self, chunk: &[u8]) -> Vec<String> {
        let mut whole = Vec::new();
        for &byte in chunk {
            if byte != b'\n' {
                if self.begun.len() < Self::LONGEST {
                    self.begun.push(byte);
                }
                continue;
            }
            let line = String::from_utf8_lossy(&self.begun).into_owned();
            self.begun.clear();
            if self.last.len() == Self::KEPT {
                self.last.pop_front();
            }
            self.last.push_back(line.clone());
            whole.push(line);
        }
        whole
    }

    pub(crate) fn tail(self) -> String {
        Vec::from(self.last).join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_and_the_last_are_kept() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"uplift: re"), Vec::<String>::new());
        assert_eq!(lines.push(b"ady\nnext\nunfinished"), ["uplift: ready", "next"]);
        for n in 0..20 {
            lines.push(format!(" {n}\n").as_bytes());
        }
        assert!(lines.tail().starts_with(" 10\n"));
    }
}
