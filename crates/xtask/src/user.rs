//! Running a service as somebody with fewer rights than root.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// A user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// The user that a service should run as: `name` when this command is root, else whoever runs it.
    pub(crate) fn for_service(name: &str) -> Result<Option<Self>> {
        if !is_root() {
            return Ok(None);
        }
        let text = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        let user = Self::parse(&text, name).with_context(|| format!("find user {name} in /etc/passwd"))?;
        Ok(Some(user))
    }

    fn parse(passwd: &str, name: &str) -> Option<Self> {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }
}

/// Whether this command may install packages and change users.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes a command run as `user`; without one it runs as this command's own.
pub(crate) fn run_as(command: &mut Command, user: Option<User>) {
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
}

/// Makes a directory that belongs to `user`.
pub(crate) fn own_dir(dir: &Path, user: Option<User>) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    if let Some(user) = user {
        chown(dir, Some(user.uid), Some(user.gid))
            .with_context(|| format!("give {} to its service", dir.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let passwd =
            "post:x:1:1::/:/bin/sh\npostgres:x:104:111:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(User::parse(passwd, "postgres"), Some(User { uid: 104, gid: 111 }));
        assert_eq!(User::parse(passwd, "postg"), None);
    }
}
