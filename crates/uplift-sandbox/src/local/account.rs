//! Who a program runs as.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::chown,
    path::Path,
    process::{Command as Blocking, Stdio},
};

use tokio::process::Command;

/// The user that programs run as: this process's own, or, where that is root, one with fewer rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    /// User and group to become.
    becomes: Option<(u32, u32)>,
}

/// What a program is sent when this process ends, however it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Term,
    /// SIGQUIT: Postgres' immediate shutdown.
    Quit,
}

impl End {
    const fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Term => "TERM",
            Self::Quit => "QUIT",
        }
    }
}

impl Account {
    /// The first of these users that there is, where this process is root; else whoever runs it.
    ///
    /// # Errors
    ///
    /// There is none of them, or the users cannot be read.
    pub fn unprivileged(names: &[&str]) -> io::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            let output = Blocking::new("id").arg("-un").stderr(Stdio::inherit()).output()?;
            let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            return Ok(Self { name, becomes: None });
        }
        let users = fs::read_to_string("/etc/passwd")?;
        names.iter().find_map(|name| Self::parse(&users, name)).ok_or_else(|| {
            let names = names.join(" or ");
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("there is no user {names} to run as instead of root"),
            )
        })
    }

    fn parse(users: &str, name: &str) -> Option<Self> {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        let becomes = Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?));
        Some(Self { name: name.to_owned(), becomes })
    }

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is another user than this process's own.
    #[must_use]
    pub const fn is_other(&self) -> bool {
        self.becomes.is_some()
    }

    /// Gives a file or a directory to the user.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        match self.becomes {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// A program that runs as the user, in a process group of its own, and gets the signal `end` when this process
    /// ends. Start it with [`super::spawn`] or [`super::run`].
    #[must_use]
    pub fn command(&self, end: End, program: impl AsRef<OsStr>) -> Command {
        // Of util-linux, which every Debian has. It is what sets a death signal without a line of unsafe code.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", end.name()]);
        if let Some((user, group)) = self.becomes {
            command.arg(format!("--reuid={user}")).arg(format!("--regid={group}"));
            command.args(["--clear-groups", "--no-new-privs"]);
        }
        command.arg("--").arg(program);
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users = "nob:x:1:1::/:/bin/sh\nnobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n";
        let nobody = Account { name: "nobody".into(), becomes: Some((65534, 65533)) };
        assert_eq!(Account::parse(users, "nobody"), Some(nobody));
        assert_eq!(Account::parse(users, "nobod"), None);
    }
}
