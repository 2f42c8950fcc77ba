//! What an interrupted command has to know when it is given again: which request it made, and whether its dump is whole. It
//! lies in the user's state directory, for the user's eyes only.

use std::{
    env,
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What is known of a command that was given before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The request that it made.
    pub(crate) request: Option<Uuid>,
    /// Whether the dump in the spool is whole.
    pub(crate) dumped: bool,
}

/// The state of one command, which no other process has meanwhile.
#[derive(Debug)]
pub(crate) struct Kept {
    file: File,
    spool: PathBuf,
    pub(crate) state: State,
}

impl Kept {
    /// Opens the state of a command, told by its words.
    pub(crate) fn open(words: &[&str]) -> anyhow::Result<Self> {
        Self::open_in(&directory()?, words)
    }

    fn open_in(directory: &Path, words: &[&str]) -> anyhow::Result<Self> {
        let shown = directory.display();
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.with_context(|| format!("make the directory {shown}"))?;
        let name: String = format!("{:x}", Sha256::digest(words.join("\0"))).chars().take(24).collect();
        let path = directory.join(format!("{name}.json"));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = file.with_context(|| format!("open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("the same command is running already: wait for it, or follow it with `uplift log -f`")
            }
            Err(TryLockError::Error(error)) => return Err(error).context("lock the state"),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("read {}", path.display()))?;
        // What another version wrote, or half of it, is as good as nothing: the request itself is with the platform.
        let state = serde_json::from_str(&text).unwrap_or_default();
        Ok(Self { file, spool: directory.join(format!("{name}.spool")), state })
    }

    /// Where the dump lies until it is sent.
    pub(crate) fn spool(&self) -> &Path {
        &self.spool
    }

    /// A new, empty spool.
    pub(crate) fn new_spool(&self) -> anyhow::Result<File> {
        self.clear_spool();
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.spool);
        file.with_context(|| format!("make {}", self.spool.display()))
    }

    /// The spool is not needed any more.
    pub(crate) fn clear_spool(&self) {
        // Where there is none, all is well; one that cannot be removed is replaced by the next.
        let _ = fs::remove_file(&self.spool);
    }

    /// Writes down a change.
    pub(crate) fn keep(&mut self, change: impl FnOnce(&mut State)) -> anyhow::Result<()> {
        change(&mut self.state);
        let written: anyhow::Result<()> = (|| {
            self.file.rewind()?;
            let text = serde_json::to_vec(&self.state)?;
            self.file.write_all(&text)?;
            self.file.set_len(text.len() as u64)?;
            Ok(self.file.sync_all()?)
        })();
        written.context("write down how far this is")
    }

    /// Nothing is to be picked up again.
    pub(crate) fn forget(&mut self) -> anyhow::Result<()> {
        self.clear_spool();
        self.keep(|state| *state = State::default())
    }
}

/// The user's directory for state.
fn directory() -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(state) = absolute("XDG_STATE_HOME") {
        return Ok(state.join("uplift"));
    }
    let home = absolute("HOME").context("HOME is not set: set it, or XDG_STATE_HOME")?;
    Ok(home.join(".local/state/uplift"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_state_is_read_back_and_is_one_process_s_and_one_user_s() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("uplift");
        let mut kept = Kept::open_in(&directory, &["https://a", "shop"]).unwrap();
        assert_eq!(kept.state, State::default());
        assert!(Kept::open_in(&directory, &["https://a", "shop"]).is_err(), "it is locked");
        Kept::open_in(&directory, &["https://a", "sho", "p"]).unwrap();
        kept.keep(|state| state.request = Some(Uuid::nil())).unwrap();
        kept.keep(|state| state.dumped = true).unwrap();
        drop(kept.new_spool().unwrap());
        for entry in fs::read_dir(&directory).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        drop(kept);
        let mut kept = Kept::open_in(&directory, &["https://a", "shop"]).unwrap();
        assert_eq!(kept.state, State { request: Some(Uuid::nil()), dumped: true });
        kept.forget().unwrap();
        assert!(!kept.spool().exists());
    }
}
