//! This machine as a host.

use std::{
    collections::BTreeMap,
    env, fmt, fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{cluster, directory::Directory, template::Templates};
use crate::{
    Label, Limits, ProcessConfig, SandboxError,
    local::{Account, End, Programs, run},
    postgres::Postgres,
};

/// The engine's program.
const ENGINE: &str = "uplift-engine";

/// This machine.
#[derive(Clone)]
pub(crate) struct Host(Arc<Machine>);

pub(super) struct Machine {
    /// What sandboxes lie in.
    pub(super) root: PathBuf,
    pub(super) account: Account,
    pub(super) programs: BTreeMap<u16, Programs>,
    pub(super) engine: PathBuf,
    pub(super) templates: Templates,
}

impl Host {
    /// Finds what is needed, and sees that whoever is to run it can get at it.
    pub(crate) async fn find(config: &ProcessConfig) -> Result<Self, SandboxError> {
        let programs = Programs::find();
        if programs.is_empty() {
            return Err(SandboxError::NoPostgres { what: "PostgreSQL is".into() });
        }
        // Nobody owns nothing: neither files of this machine nor clusters of its own Postgres.
        let account =
            Account::unprivileged(&["nobody"]).map_err(SandboxError::system("find a user to run as"))?;
        let root = &config.directory;
        make_root(root).map_err(SandboxError::system("make the directory of sandboxes"))?;
        let root = root.canonicalize().map_err(SandboxError::system("find the directory of sandboxes"))?;
        enterable(&root, &account).await?;
        let engine = engine(config, &root, &account)?;
        let templates = Templates::default();
        Ok(Self(Arc::new(Machine { root, account, programs, engine, templates })))
    }

    pub(crate) fn ping(&self) -> Result<(), SandboxError> {
        let there = fs::metadata(&self.0.root).and_then(|_| fs::metadata(&self.0.engine));
        there.map(drop).map_err(SandboxError::system("find the directory of sandboxes and the engine"))
    }

    pub(crate) fn majors(&self) -> Vec<u16> {
        self.0.programs.keys().copied().collect()
    }

    pub(crate) fn newest(&self) -> Result<u16, SandboxError> {
        let newest = self.0.programs.keys().next_back().copied();
        newest.ok_or_else(|| SandboxError::NoPostgres { what: "PostgreSQL is".into() })
    }

    pub(crate) async fn open(
        &self,
        label: &Label,
        major: u16,
        limits: &Limits,
    ) -> Result<Postgres, SandboxError> {
        let programs = self.0.programs(major)?;
        let template = self.0.templates.get(&self.0, major, programs).await?;
        let directory = Directory::make(&self.0.root, label, &self.0.account)?;
        cluster::start(&self.0, &directory, &template, limits).await
    }

    pub(crate) fn leftovers(&self) -> Result<Vec<Label>, SandboxError> {
        Directory::all(&self.0.root).map_err(SandboxError::system("list sandboxes"))
    }

    pub(crate) async fn remove(&self, label: &Label) -> Result<(), SandboxError> {
        Directory::of(&self.0.root, label).remove(label).await
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.0
    }
}

impl Machine {
    pub(super) fn programs(&self, major: u16) -> Result<&Programs, SandboxError> {
        let missing = || SandboxError::NoPostgres { what: format!("PostgreSQL {major} is") };
        self.programs.get(&major).ok_or_else(missing)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let majors: Vec<String> = self.majors().iter().map(u16::to_string).collect();
        write!(
            f,
            "process: dumps are restored by plain processes of user {} (PostgreSQL {}), with no containment and no limit \
             to their memory: only for dumps that you trust",
            self.0.account.name(),
            majors.join(", ")
        )
    }
}

/// Others may pass through it, and see nothing of what is in it.
fn make_root(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root)?;
    let found = fs::symlink_metadata(root)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        let message = format!("{} is not a directory of this user's own: name another one", root.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o711))
}

async fn enterable(root: &Path, account: &Account) -> Result<(), SandboxError> {
    let mut test = account.command(End::Kill, "test");
    test.arg("-x").arg(root);
    match run(test, "look whether the directory of sandboxes can be entered").await {
        Err(SandboxError::Program { .. }) => {
            Err(SandboxError::Unenterable { directory: root.to_owned(), user: account.name().to_owned() })
        }
        other => other.map(drop),
    }
}

/// The engine's program, as the account can reach it: what root builds often lies where only root may go, so another
/// user gets a copy.
fn engine(config: &ProcessConfig, root: &Path, account: &Account) -> Result<PathBuf, SandboxError> {
    let engine = config.engine.clone().or_else(beside).or_else(on_path).ok_or(SandboxError::NoEngine)?;
    if !account.is_other() {
        return Ok(engine);
    }
    let copy = || {
        let target = root.join(ENGINE);
        let fresh = root.join(format!(".{ENGINE}-{}", std::process::id()));
        fs::copy(&engine, &fresh)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))?;
        // Engines that run keep the file that they began with.
        fs::rename(&fresh, &target)?;
        Ok(target)
    };
    copy().map_err(SandboxError::system("copy the engine's program"))
}

fn beside() -> Option<PathBuf> {
    env::current_exe().ok().map(|program| program.with_file_name(ENGINE)).filter(|program| program.is_file())
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(ENGINE)).find(|program| program.is_file())
}
