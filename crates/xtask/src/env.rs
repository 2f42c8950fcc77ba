//! The environment that tests and the command line are told the services by.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::layout::Layout;

/// Where the real inputs are that tests read.
const TEST_DATA: &str = "UPLIFT_TEST_DATA";

/// The directory of real inputs, which must be there: no test is skipped for want of it.
pub(crate) fn test_data(layout: &Layout) -> Result<PathBuf> {
    let dir = data_dir(layout);
    ensure!(
        dir.is_dir(),
        "the test data is not at {}: set {TEST_DATA} to the directory that holds odoo17-demo.sql.gz",
        dir.display()
    );
    Ok(dir)
}

fn data_dir(layout: &Layout) -> PathBuf {
    let dir = std::env::var_os(TEST_DATA).map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let dir = layout.repo.join(dir);
    // Without the `..` where there is one; a directory that is absent is reported as it was given.
    dir.canonicalize().unwrap_or(dir)
}

/// Variables in the order in which they were set.
#[derive(Debug, Default)]
pub(crate) struct Env(Vec<(String, String)>);

impl Env {
    /// Adds one.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.0.push((name.to_owned(), value));
    }

    /// Adds what doesn't depend on a service: where the binaries and the inputs are.
    pub(crate) fn set_paths(&mut self, layout: &Layout) {
        self.set("UPLIFT_TEST_BIN_DIR", layout.bin_dir().display().to_string());
        self.set(TEST_DATA, data_dir(layout).display().to_string());
    }

    /// The value of one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Hands them to a program.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.envs(self.0.iter().map(|(name, value)| (name, value)));
    }

    /// Writes them for `source`, readable by their owner only, since some are secrets.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let shown = || format!("write {}", file.display());
        let mut out = fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(file)
            .with_context(shown)?;
        out.write_all(self.exports().as_bytes()).with_context(shown)
    }

    fn exports(&self) -> String {
        self.0
            .iter()
            .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_set() {
        let value = r#"it's $HOME "quoted" \n `x`"#;
        let mut env = Env::default();
        env.set("UPLIFT_X", value.to_owned());
        let script = format!("{}printf %s \"$UPLIFT_X\"", env.exports());
        let out = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(out.stdout).unwrap(), value);
    }
}
