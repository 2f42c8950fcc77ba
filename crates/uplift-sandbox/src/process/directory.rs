//! The directory of one sandbox: whose it is, which processes belong to it, and how all of that ends.
//!
//! ```text
//! <root>/<request>-<epoch>/   label      whose it is
//!                             processes/ one file a process: its number and birth; the name says how to end it
//!                             data/      the cluster
//!                             socket     the directory of its socket, or a link to a shorter path
//!                             scratch/   where jobs run, and where runners write
//!                             stage/     what runners read
//!                             removed    it is being removed: whatever ends now does so for that reason
//! ```

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::{
    Label, SandboxError,
    local::{
        Account, Process, Signal, make_socket_directory, private, remove_socket_directory, socket_directory,
    },
};

/// How long Postgres may take to end at once before it is killed.
const IMMEDIATE: Duration = Duration::from_secs(5);

/// How long removing one sandbox may take. It takes a moment; the rest is for a host under load.
const REMOVAL: Duration = Duration::from_secs(60);

/// The directory of one request's attempt.
#[derive(Clone, Debug)]
pub(super) struct Directory(PathBuf);

/// How a process of a sandbox is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A Postgres: it is asked to quit, for it has memory to give back and children in groups of their own.
    Quit,
    /// A job: it is killed with its group.
    Kill,
}

impl Ending {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::Kill => "kill",
        }
    }
}

impl Directory {
    pub(super) fn of(root: &Path, label: &Label) -> Self {
        Self(root.join(format!("{}-{}", label.request, label.epoch)))
    }

    /// Finds it or makes it. Whenever there is one, there is its label.
    pub(super) fn make(root: &Path, label: &Label, account: &Account) -> Result<Self, SandboxError> {
        let directory = Self::of(root, label);
        directory
            .try_make(root, label, account)
            .map_err(SandboxError::system("make a sandbox's directory"))?;
        Ok(directory)
    }

    fn try_make(&self, root: &Path, label: &Label, account: &Account) -> io::Result<()> {
        if self.0.is_dir() {
            return Ok(());
        }
        let fresh = root.join(format!(".new-{}", Uuid::new_v4().simple()));
        let passable = |path: &Path| fs::DirBuilder::new().mode(0o711).create(path);
        passable(&fresh)?;
        passable(&fresh.join("processes"))?;
        fs::write(fresh.join("label"), serde_json::to_vec(label)?)?;
        private(&fresh.join("scratch"), account)?;
        private(&fresh.join("stage"), account)?;
        match fs::rename(&fresh, &self.0) {
            // Somebody was faster.
            Err(_) if self.0.is_dir() => fs::remove_dir_all(&fresh),
            renamed => renamed,
        }
    }

    /// Whose directories there are.
    pub(super) fn all(root: &Path) -> io::Result<Vec<Label>> {
        let mut labels = Vec::new();
        for entry in fs::read_dir(root)? {
            let label = fs::read(entry?.path().join("label")).ok();
            labels.extend(label.and_then(|label| serde_json::from_slice::<Label>(&label).ok()));
        }
        labels.sort();
        Ok(labels)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.0.join("scratch")
    }

    pub(super) fn stage(&self) -> PathBuf {
        self.0.join("stage")
    }

    /// The directory of the socket, as short as a socket's path has to be.
    pub(super) fn socket(&self) -> PathBuf {
        socket_directory(&self.0.join("socket"))
    }

    /// Makes an empty directory for the cluster, and one for its socket.
    pub(super) fn make_cluster(&self, account: &Account) -> io::Result<()> {
        private(&self.data(), account)?;
        make_socket_directory(&self.0.join("socket"), account).map(drop)
    }

    /// Puts a process on record, so that whoever removes the sandbox ends it.
    pub(super) fn note(&self, process: &Process, ending: Ending) -> io::Result<()> {
        fs::write(self.record(process, ending), process.to_string())
    }

    /// A process has ended.
    pub(super) fn forget(&self, process: &Process, ending: Ending) {
        // A record that stays names a process that is not alive, and does no harm.
        let _ = fs::remove_file(self.record(process, ending));
    }

    fn record(&self, process: &Process, ending: Ending) -> PathBuf {
        self.0.join("processes").join(format!("{}.{}", process.pid(), ending.suffix()))
    }

    /// Whether what has ended did so because somebody removed the sandbox.
    pub(super) fn is_removed(&self) -> bool {
        self.0.join("removed").exists() || !self.0.exists()
    }

    /// Ends every process and removes every file, and looks again until there is nothing.
    pub(super) async fn remove(&self, label: &Label) -> Result<(), SandboxError> {
        let removed = timeout(REMOVAL, async {
            while self.0.exists() {
                // It may be half gone by another's hand.
                let _ = fs::write(self.0.join("removed"), "");
                self.end_processes().await;
                remove_socket_directory(&self.0.join("socket"));
                let path = self.0.clone();
                let removed = tokio::task::spawn_blocking(move || fs::remove_dir_all(path)).await;
                if !matches!(removed, Ok(Ok(()))) {
                    sleep(Duration::from_millis(20)).await;
                }
            }
        });
        removed.await.map_err(|_| SandboxError::NotRemoved {
            request: label.request.to_string(),
            attempt: label.epoch.to_string(),
        })
    }

    async fn end_processes(&self) {
        let begun = Instant::now();
        loop {
            let mut living = false;
            for (process, ending) in self.processes() {
                match ending {
                    Ending::Kill if process.is_group_alive() => process.kill_group(),
                    Ending::Quit if process.is_alive() => {
                        process.signal(if begun.elapsed() > IMMEDIATE { Signal::KILL } else { Signal::QUIT });
                    }
                    _ => continue,
                }
                living = true;
            }
            if !living {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn processes(&self) -> Vec<(Process, Ending)> {
        let entries = fs::read_dir(self.0.join("processes")).into_iter().flatten().flatten();
        let read = |path: PathBuf| {
            let ending = match path.extension()?.to_str()? {
                "quit" => Ending::Quit,
                _ => Ending::Kill,
            };
            Some((fs::read_to_string(&path).ok()?.parse().ok()?, ending))
        };
        entries.filter_map(|entry| read(entry.path())).collect()
    }
}
