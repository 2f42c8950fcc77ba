//! A Postgres of any major, with the tools of that major: the sandbox's own image, used as a plain server.

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use uuid::Uuid;

use crate::{SOON, eventually};

/// A server in a container of its own; removed when dropped.
pub struct Major {
    container: String,
}

impl Major {
    /// Starts it.
    pub async fn start(major: u16) -> Self {
        let container = format!("uplift-test-{}", Uuid::now_v7().simple());
        let image = format!("uplift/postgres:{major}");
        run(Command::new("docker")
            .args([
                "run",
                "--detach",
                "--rm",
                "--network",
                "none",
                "--shm-size",
                "256m",
                "--name",
                &container,
            ])
            .args(["--env", "UPLIFT_DISK_BYTES=8000000000", &image]));
        let server = Self { container };
        eventually("Postgres accepts", SOON, async || {
            server.psql("control").args(["-c", "SELECT 1"]).output().unwrap().status.success().then_some(())
        })
        .await;
        server
    }

    /// Makes a database as the sandbox makes them.
    pub fn create(&self, name: &str) {
        let statements = ["DROP DATABASE IF EXISTS", "CREATE DATABASE"];
        for (statement, rest) in statements.into_iter().zip(["", "TEMPLATE uplift"]) {
            run(self.psql("control").arg("-c").arg(format!("{statement} {name} {rest}")));
        }
    }

    /// Restores a gzipped plain dump with this major's psql, as far as this major can.
    pub fn restore(&self, name: &str, dump: &Path) {
        let mut unpack = Command::new("zcat").arg(dump).stdout(Stdio::piped()).spawn().unwrap();
        run(self.psql(name).stdin(unpack.stdout.take().unwrap()));
        assert!(unpack.wait().unwrap().success(), "unpack {}", dump.display());
    }

    /// Dumps a database with this major's pg_dump.
    pub fn dump(&self, name: &str, to: &Path) {
        let mut command =
            self.exec(&["pg_dump", "--no-owner", "--no-privileges", "-U", "bootstrap", "-d", name]);
        run(command.stdout(File::create(to).unwrap()));
    }

    /// Dumps a database in custom format.
    pub fn dump_custom(&self, name: &str, to: &Path) {
        let mut command = self.exec(&["pg_dump", "--format=custom", "-U", "bootstrap", "-d", name]);
        run(command.stdout(File::create(to).unwrap()));
    }

    /// Restores such a dump with this major's pg_restore.
    pub fn restore_custom(&self, name: &str, dump: &Path) {
        let mut command =
            self.exec(&["pg_restore", "--exit-on-error", "--no-owner", "-U", "bootstrap", "-d", name]);
        run(command.stdin(File::open(dump).unwrap()));
    }

    fn psql(&self, database: &str) -> Command {
        self.exec(&["psql", "-X", "-q", "-U", "bootstrap", "-d", database])
    }

    /// Runs a program as the one uid that may be the superuser.
    fn exec(&self, program: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["exec", "--interactive", "--user", "7002", &self.container]).args(program);
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Major {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.container]).output();
    }
}

fn run(command: &mut Command) {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
