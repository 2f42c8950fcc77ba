//! The Postgres container: started, seen to accept, and watched until its end.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    time::Duration,
};

use bollard::{
    Docker,
    container::{AttachContainerResults, LogOutput},
    models::{Mount, MountType, VolumeCreateRequest},
};
use futures_util::StreamExt as _;
use tokio::{sync::watch, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Label, Limits, SandboxError,
    container::{self, Ended, Spec, Uid},
};

/// How long Postgres may take to accept. It takes a third of a second; the rest is for a host under load.
const START: Duration = Duration::from_secs(60);

/// The exit code of the image's entrypoint where the disk budget is exceeded (ENOSPC).
const EXIT_OUT_OF_DISK: i64 = 28;

/// Where the socket is, in every container; libpq of Debian looks there by itself.
pub(crate) const SOCKET_DIRECTORY: &str = "/run/postgresql";
const DATA_DIRECTORY: &str = "/var/lib/postgresql/data";

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
    /// Somebody removed the container.
    Vanished,
    /// Docker stopped answering, so nobody knows.
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
            Self::Vanished => f.write_str("its container was removed"),
            Self::Unknown { why } => write!(f, "Docker does not say what became of it: {why}"),
        }
    }
}

#[derive(Clone, Debug)]
enum State {
    Starting,
    Accepting,
    Dead(Death),
}

/// A Postgres that accepts, or did.
pub(crate) struct Postgres {
    pub(crate) watch: Watch,
    _watching: AbortOnDropHandle<()>,
}

/// Knows whether Postgres lives.
#[derive(Clone)]
pub(crate) struct Watch(watch::Receiver<State>);

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

impl Postgres {
    /// Makes the volumes, starts the container and waits until it accepts.
    pub(crate) async fn start(
        docker: &Docker,
        fleet: &str,
        label: &Label,
        image: String,
        limits: &Limits,
    ) -> Result<Self, SandboxError> {
        for volume in volumes(fleet, label) {
            docker.create_volume(volume).await.map_err(SandboxError::docker("create a volume"))?;
        }
        let spec = spec(label, image, limits);
        let (id, attached) = container::launch(docker, fleet, label, spec).await?;
        let (states, state) = watch::channel(State::Starting);
        let watching = AbortOnDropHandle::new(tokio::spawn(follow(docker.clone(), id, attached, states)));
        accepting(state.clone()).await?;
        Ok(Self { watch: Watch(state), _watching: watching })
    }
}

async fn accepting(mut state: watch::Receiver<State>) -> Result<(), SandboxError> {
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

/// The data directory, and the socket's: a tmpfs, so that it can be filled by nobody and costs no disk.
fn volumes(fleet: &str, label: &Label) -> [VolumeCreateRequest; 2] {
    let volume = |what, options| VolumeCreateRequest {
        name: Some(label.name(what)),
        driver_opts: options,
        labels: Some(label.to_map(fleet)),
        ..Default::default()
    };
    let owner = Uid::POSTGRES.owns();
    let tmpfs = HashMap::from([
        ("type".into(), "tmpfs".into()),
        ("device".into(), "tmpfs".into()),
        ("o".into(), format!("size=1m,nr_inodes=64,mode=0755,noexec,nosuid,nodev,{owner}")),
    ]);
    [volume("data", None), volume("socket", Some(tmpfs))]
}

/// The socket's directory as a job sees it. Connecting to a socket needs no writable mount.
pub(crate) fn socket_for_jobs(label: &Label) -> Mount {
    Mount { read_only: Some(true), ..mount(label, "socket", SOCKET_DIRECTORY) }
}

fn mount(label: &Label, volume: &str, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(label.name(volume)),
        target: Some(target.into()),
        ..Default::default()
    }
}

fn spec(label: &Label, image: String, limits: &Limits) -> Spec {
    Spec {
        name: label.name("postgres"),
        image,
        user: Uid::POSTGRES,
        entrypoint: Vec::new(),
        arguments: limits.postgres_settings(),
        env: vec![format!("UPLIFT_DISK_BYTES={}", limits.disk_bytes)],
        mounts: vec![mount(label, "data", DATA_DIRECTORY), mount(label, "socket", SOCKET_DIRECTORY)],
        memory: limits.postgres_memory(),
        cpus: limits.cpus,
        pids: limits.pids,
        stdin: false,
        init: false,
    }
}

/// Reads what the container says until it says no more, then waits for its end. An attach that breaks is no end.
async fn follow(
    docker: Docker,
    id: String,
    mut attached: AttachContainerResults,
    states: watch::Sender<State>,
) {
    let mut lines = Lines::default();
    while let Some(Ok(output)) = attached.output.next().await {
        // Only the entrypoint writes to stdout; Postgres writes to stderr.
        let speaks_protocol = matches!(output, LogOutput::StdOut { .. });
        for line in lines.push(output.as_ref()) {
            if !speaks_protocol {
                continue;
            }
            if line == "uplift: ready" {
                states.send_replace(State::Accepting);
            } else if line.starts_with("uplift: disk budget exceeded") {
                states.send_replace(State::Dead(Death::OutOfDisk));
            }
        }
    }
    let death = match container::ended(&docker, &id).await {
        Ok(Ended::Exited { code: EXIT_OUT_OF_DISK, .. }) => Death::OutOfDisk,
        Ok(Ended::Exited { out_of_memory: true, .. }) => Death::OutOfMemory,
        Ok(Ended::Exited { code, .. }) => Death::Exited { code, said: lines.tail() },
        Ok(Ended::Vanished) => Death::Vanished,
        Err(error) => Death::Unknown { why: error.to_string() },
    };
    states.send_replace(State::Dead(death));
}

/// Puts lines together from chunks and remembers the last few.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
    last: VecDeque<String>,
}

impl Lines {
    const KEPT: usize = 10;
    /// Longer lines are cut; bytes.
    const LONGEST: usize = 1000;

    fn push(&mut self, chunk: &[u8]) -> Vec<String> {
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

    fn tail(self) -> String {
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
