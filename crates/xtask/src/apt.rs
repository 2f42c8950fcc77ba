//! Debian packages: what is missing is installed, and nothing that apt unpacks is started by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::exec;
use crate::layout::Layout;
use crate::user;

/// Where Debian 12 puts Postgres 15's programs, which are not on `PATH`.
pub(crate) const PG_BIN: &str = "/usr/lib/postgresql/15/bin";

/// A file or program, and the package that brings it.
const NEEDED: [(&str, &str); 21] = [
    ("cc", "build-essential"),
    ("pkg-config", "pkg-config"),
    ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
    ("docker", "docker.io"),
    ("dockerd", "docker.io"),
    ("iptables", "iptables"),
    ("kill", "procps"),
    ("debootstrap", "debootstrap"),
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
    ("epmd", "erlang-base"),
    ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"),
    ("/usr/lib/postgresql/15/bin/initdb", "postgresql-15"),
    // The tests hold our zips against those of its library, which is the one that Odoo uses.
    ("python3", "python3"),
    ("/usr/lib/python3.11/ensurepip", "python3-venv"),
    ("curl", "curl"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    // The pages are tested in a browser.
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    // It checks the rules for alerts.
    ("promtool", "prometheus"),
    // The suite sees every alert come and go.
    ("prometheus-alertmanager", "prometheus-alertmanager"),
];

/// What `cargo xtask demo` needs besides what has built this program: any Postgres will do.
const NEEDED_FOR_DEMO: [(&str, &str); 2] =
    [("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"), ("setpriv", "util-linux")];

/// The package of Debian's own Postgres, whichever major that is.
const POSTGRES: &str = "postgresql";

/// Docker loads a profile for every container where the kernel has AppArmor switched on, with this.
const APPARMOR: (&str, &str) = ("apparmor_parser", "apparmor");

/// Installs what the services and the suite need, and says which packages were missing.
pub(crate) fn ensure(layout: &Layout) -> Result<String> {
    let apparmor = fs::read_to_string("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|enabled| enabled.starts_with('Y'));
    let needed: Vec<_> = NEEDED.into_iter().chain(apparmor.then_some(APPARMOR)).collect();
    install(layout, &missing(&needed))
}

/// Installs what the demo needs, and says which packages were missing.
pub(crate) fn ensure_for_demo(layout: &Layout) -> Result<String> {
    let mut missing = missing(&NEEDED_FOR_DEMO);
    if pg_bin().is_none() {
        missing.push(POSTGRES);
    }
    install(layout, &missing)
}

/// The programs of the newest Postgres that Debian's packages have installed, which are not on `PATH`.
pub(crate) fn pg_bin() -> Option<PathBuf> {
    let majors = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let majors =
        majors.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u16>().ok()?, entry.path())));
    let whole =
        majors.map(|(major, path)| (major, path.join("bin"))).filter(|(_, bin)| bin.join("initdb").exists());
    whole.max().map(|(_, bin)| bin)
}

fn install(layout: &Layout, missing: &[&str]) -> Result<String> {
    if missing.is_empty() {
        return Ok("all there".to_owned());
    }
    let list = missing.join(" ");
    let by_hand = format!("apt-get update && apt-get install --no-install-recommends {list}");
    if !user::is_root() {
        bail!("these Debian packages are missing, and only root can install them: run `{by_hand}` as root");
    }
    let log = layout.log("apt");
    // Lists that are there may be too old to fetch anything with, and a fresh machine has none.
    let _policy = NoDaemons::enforce()?;
    let installed = exec::logged(&mut apt(&["update"]), &log).and_then(|()| {
        let mut install = apt(&["install", "-y", "--no-install-recommends"]);
        exec::logged(install.args(missing), &log)
    });
    installed.with_context(|| format!("install packages; to try it by hand: `{by_hand}`"))?;
    Ok(format!("installed {list}"))
}

fn missing(needed: &[(&str, &'static str)]) -> Vec<&'static str> {
    let mut packages: Vec<&str> =
        needed.iter().filter(|(program, _)| !exec::exists(program)).map(|&(_, package)| package).collect();
    packages.dedup();
    packages
}

fn apt(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(args);
    command
}

/// While this lives, packages' scripts are told to start nothing: the services run under this command's own
/// settings and ports, not under Debian's.
struct NoDaemons {
    policy: PathBuf,
    saved: PathBuf,
}

impl NoDaemons {
    fn enforce() -> Result<Self> {
        Self::enforce_at(Path::new("/usr/sbin"))
    }

    fn enforce_at(dir: &Path) -> Result<Self> {
        let guard = Self { policy: dir.join("policy-rc.d"), saved: dir.join("policy-rc.d.before-uplift") };
        // A saved one is left of a run that was killed; what stands in its place is ours.
        if guard.policy.exists() && !guard.saved.exists() {
            fs::rename(&guard.policy, &guard.saved).context("put aside policy-rc.d")?;
        }
        fs::write(
            &guard.policy,
            "#!/bin/sh\n# Written by `cargo xtask` while it installs packages.\nexit 101\n",
        )
        .and_then(|()| fs::set_permissions(&guard.policy, fs::Permissions::from_mode(0o755)))
        .context("write policy-rc.d")?;
        Ok(guard)
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        let outcome = if self.saved.exists() {
            fs::rename(&self.saved, &self.policy)
        } else {
            fs::remove_file(&self.policy)
        };
        if let Err(error) = outcome {
            eprintln!("could not put {} back: {error}; remove it by hand", self.policy.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("uplift-xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_policy_that_was_there_comes_back() {
        let dir = dir("policy-back");
        let policy = dir.join("policy-rc.d");
        fs::write(&policy, "theirs").unwrap();
        let guard = NoDaemons::enforce_at(&dir).unwrap();
        assert!(fs::read_to_string(&policy).unwrap().contains("exit 101"));
        drop(guard);
        assert_eq!(fs::read_to_string(&policy).unwrap(), "theirs");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn no_policy_is_left_where_none_was() {
        let dir = dir("policy-none");
        drop(NoDaemons::enforce_at(&dir).unwrap());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_killed_runs_policy_is_not_taken_for_the_machines() {
        let dir = dir("policy-killed");
        fs::write(dir.join("policy-rc.d"), "theirs").unwrap();
        std::mem::forget(NoDaemons::enforce_at(&dir).unwrap());
        drop(NoDaemons::enforce_at(&dir).unwrap());
        assert_eq!(fs::read_to_string(dir.join("policy-rc.d")).unwrap(), "theirs");
        fs::remove_dir_all(&dir).unwrap();
    }
}
