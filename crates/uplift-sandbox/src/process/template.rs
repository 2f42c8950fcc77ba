//! The cluster that every sandbox of a major begins with: made once, kept, and copied.
//!
//! It is made as `docker/postgres/Dockerfile` makes it, from the same files.

use std::{
    collections::HashMap,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Mutex, time::timeout};
use uuid::Uuid;

use super::host::Machine;
use crate::{
    SandboxError,
    local::{
        Account, End, Process, Programs, Signal, accepts, make_socket_directory, private,
        remove_socket_directory, run, spawn,
    },
};

const INIT: &str = include_str!("../../../../docker/postgres/init.sql");
const CONF: &str = include_str!("../../../../docker/postgres/postgresql.conf");
const HBA: &str = include_str!("../../../../docker/postgres/pg_hba.conf");
const IDENT: &str = include_str!("../../../../docker/postgres/pg_ident.conf");

/// How long the server may take to start, and to stop, while its template is made.
const PATIENCE: Duration = Duration::from_secs(60);

const DOING: &str = "make a cluster to copy";

/// The templates of the majors that were asked for.
#[derive(Default)]
pub(super) struct Templates(Mutex<HashMap<u16, Arc<Template>>>);

/// A template, and the server that understands it.
pub(super) struct Template {
    pub(super) cluster: PathBuf,
    /// The major's own `postgres`, with an `unaccent` that an index can use.
    pub(super) server: PathBuf,
}

impl Templates {
    /// The template of a major; made at the first time.
    pub(super) async fn get(
        &self,
        machine: &Machine,
        major: u16,
        programs: &Programs,
    ) -> Result<Arc<Template>, SandboxError> {
        let mut known = self.0.lock().await;
        if let Some(template) = known.get(&major) {
            return Ok(template.clone());
        }
        let template = Arc::new(find_or_make(machine, major, programs).await?);
        known.insert(major, template.clone());
        Ok(template)
    }
}

async fn find_or_make(machine: &Machine, major: u16, programs: &Programs) -> Result<Template, SandboxError> {
    let Machine { root, account, .. } = machine;
    let mut ask = account.command(End::Kill, programs.program("postgres"));
    ask.arg("--version");
    let version = run(ask, DOING).await?;
    // Whatever it is made from: a server that was upgraded, or another user, gets another one.
    let mut made_from = DefaultHasher::new();
    (version, INIT, CONF, HBA, IDENT, account.name()).hash(&mut made_from);
    let place = root.join(format!("template-{major}-{:016x}", made_from.finish()));
    if !place.is_dir() {
        let fresh = root.join(format!(".new-{}", Uuid::new_v4().simple()));
        private(&fresh, account).map_err(SandboxError::system(DOING))?;
        let made = make(&fresh, account, programs).await;
        let moved = made.and_then(|()| match fs::rename(&fresh, &place) {
            Err(error) if !place.is_dir() => Err(SandboxError::system(DOING)(error)),
            _ => Ok(()),
        });
        // What is still there is of no use: it could not be made, or somebody was faster.
        let _ = fs::remove_dir_all(&fresh);
        moved?;
        tracing::info!(postgres.major = major, directory = %place.display(), "made a cluster to copy");
    }
    let installed = Installed::ask(account, programs).await?;
    Ok(Template { cluster: place.join("cluster"), server: installed.server_in(&place.join("program")) })
}

async fn make(place: &Path, account: &Account, programs: &Programs) -> Result<(), SandboxError> {
    let cluster = place.join("cluster");
    let installed = Installed::ask(account, programs).await?;
    installed.copy_to(&place.join("program")).map_err(SandboxError::system("copy Postgres' program"))?;

    let mut initdb = account.command(End::Kill, programs.program("initdb"));
    initdb.arg("--pgdata").arg(&cluster).args([
        "--username=bootstrap",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    ]);
    run(initdb, DOING).await?;

    let socket = place.join("socket");
    let filled = fill(place, &cluster, &socket, account, programs).await;
    remove_socket_directory(&socket);
    filled?;

    let write = |name: &str, text: &str| fs::write(cluster.join(name), text);
    let configure = || {
        write("pg_hba.conf", HBA)?;
        // Whoever runs the engine is the one that comes in as superuser.
        write("pg_ident.conf", &IDENT.replace("engine", account.name()))?;
        let own = fs::read_to_string(cluster.join("postgresql.conf"))?;
        write("postgresql.conf", &format!("{own}\n{CONF}"))
    };
    configure().map_err(SandboxError::system(DOING))
}

/// Runs the server once, for the roles and databases that the engine counts on.
async fn fill(
    place: &Path,
    cluster: &Path,
    socket: &Path,
    account: &Account,
    programs: &Programs,
) -> Result<(), SandboxError> {
    let init = place.join("init.sql");
    fs::write(&init, INIT).map_err(SandboxError::system(DOING))?;
    let socket = make_socket_directory(socket, account).map_err(SandboxError::system(DOING))?;
    let mut server = account.command(End::Quit, programs.program("postgres"));
    server.arg("-D").arg(cluster).arg("-k").arg(&socket).args(["-c", "listen_addresses=", "-c", "fsync=off"]);
    server.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = spawn(server).await.map_err(SandboxError::system(DOING))?;
    let process = Process::of(&child).map_err(SandboxError::system(DOING))?;

    let mut psql = account.command(End::Kill, programs.program("psql"));
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "bootstrap", "-d", "postgres", "-h"]).arg(&socket);
    psql.arg("-f").arg(&init).env_remove("PGOPTIONS").env_remove("PGSERVICE");
    let done = async {
        tokio::select! {
            () = accepts(cluster, &process) => run(psql, DOING).await.map(drop),
            ended = child.wait() => Err(SandboxError::PostgresDidNotStart { why: format!("it ended: {ended:?}") }),
        }
    };
    let done = timeout(PATIENCE, done).await.unwrap_or_else(|_| {
        Err(SandboxError::PostgresDidNotStart {
            why: format!("it took longer than {} s", PATIENCE.as_secs()),
        })
    });
    let signal = if done.is_ok() { Signal::INT } else { Signal::QUIT };
    process.signal(signal);
    let stopped = timeout(PATIENCE, child.wait()).await;
    done?;
    match stopped {
        Ok(Ok(status)) if status.success() => Ok(()),
        other => {
            Err(SandboxError::PostgresDidNotStart { why: format!("it did not stop in order: {other:?}") })
        }
    }
}

/// Where the packages have put a major.
struct Installed {
    /// What the three below have in common.
    prefix: PathBuf,
    programs: PathBuf,
    shared: PathBuf,
    libraries: PathBuf,
}

impl Installed {
    async fn ask(account: &Account, programs: &Programs) -> Result<Self, SandboxError> {
        let mut ask = account.command(End::Kill, programs.program("pg_config"));
        ask.args(["--bindir", "--sharedir", "--pkglibdir"]);
        let said = run(ask, "ask where Postgres is installed").await?;
        let mut paths = said.lines().map(PathBuf::from);
        let mut next = || paths.next().unwrap_or_default();
        let (programs, shared, libraries) = (next(), next(), next());
        let is_common = |path: &&Path| shared.starts_with(path) && libraries.starts_with(path);
        let prefix = programs.ancestors().find(is_common).unwrap_or(Path::new("/")).to_owned();
        Ok(Self { prefix, programs, shared, libraries })
    }

    /// The server's program in a copy.
    fn server_in(&self, copy: &Path) -> PathBuf {
        self.within(copy, &self.programs).join("postgres")
    }

    /// A path of the installation, in a copy of it.
    fn within(&self, copy: &Path, path: &Path) -> PathBuf {
        copy.join(path.strip_prefix(&self.prefix).unwrap_or(path))
    }

    /// Makes a copy that is all links but for two things: the server's program, which finds everything else from where
    /// it lies itself, and `unaccent`, declared immutable. Odoo sites do that to index by it, and so does the image;
    /// here, the machine's own files stay as they are.
    fn copy_to(&self, copy: &Path) -> io::Result<()> {
        let server = self.server_in(copy);
        let shared = self.within(copy, &self.shared);
        let libraries = self.within(copy, &self.libraries);
        let extensions = shared.join("extension");
        for directory in [server.parent(), libraries.parent(), Some(&*extensions)].into_iter().flatten() {
            fs::create_dir_all(directory)?;
        }
        fs::copy(self.programs.join("postgres"), &server)?;
        symlink(&self.libraries, &libraries)?;
        for entry in fs::read_dir(&self.shared)? {
            let entry = entry?;
            if entry.file_name() != "extension" {
                symlink(entry.path(), shared.join(entry.file_name()))?;
            }
        }
        for entry in fs::read_dir(self.shared.join("extension"))? {
            let entry = entry?;
            let (name, target) = (entry.file_name(), extensions.join(entry.file_name()));
            if name.to_string_lossy().starts_with("unaccent--") {
                let script = fs::read_to_string(entry.path())?;
                fs::write(target, script.replace(" STABLE", " IMMUTABLE"))?;
            } else {
                symlink(entry.path(), target)?;
            }
        }
        Ok(())
    }
}
