//! A process of the fleet, with its log.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::services::variable;

/// Killed when dropped, unless it has ended.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts one of the project's programs; what it says goes to a file.
    pub fn start(program: &str, arguments: &[&str], log: &Path) -> Self {
        Self::start_with(program, arguments, &[], log)
    }

    /// The same, with settings that win over its file: `("WORKER__SLOTS", "4")`.
    pub fn start_with(program: &str, arguments: &[&str], settings: &[(String, String)], log: &Path) -> Self {
        let variable = |(name, value): &(String, String)| (format!("UPLIFT__{name}"), value.clone());
        Self::start_in(program, arguments, &settings.iter().map(variable).collect::<Vec<_>>(), log)
    }

    /// The same, with variables of the environment.
    pub fn start_in(program: &str, arguments: &[&str], environment: &[(String, String)], log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(binary(program))
            .args(arguments)
            .env("RUST_BACKTRACE", "1")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("start {program}: {error}"));
        Self { child, log: log.to_owned() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `KILL`, `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success(), "send {name}");
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its id on this machine.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("--- the end of {}", self.log.display());
            lines.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// A program of this project.
pub fn binary(name: &str) -> PathBuf {
    let path = PathBuf::from(variable("UPLIFT_TEST_BIN_DIR")).join(name);
    assert!(path.is_file(), "{} is not built: run `cargo build`", path.display());
    path
}
