//! Programs that cargo builds, or PyPI has, once, and the cache keeps.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::exec;
use crate::layout::Layout;
use crate::step;

/// A crate's program, in the version and with the build settings that were tried.
struct Tool {
    name: &'static str,
    version: &'static str,
    /// What `cargo install` is told beyond the version.
    args: &'static [&'static str],
    /// Settings of the release profile: these are tools of a test run, and most of their build time is optimising.
    profile: &'static [(&'static str, &'static str)],
}

/// The S3 server. About five minutes on two cores with these settings.
const GARAGE: Tool = Tool {
    name: "garage",
    version: "2.5.0",
    args: &["--no-default-features", "--features", "bundled-libs,lmdb"],
    profile: &[("LTO", "off"), ("CODEGEN_UNITS", "16"), ("OPT_LEVEL", "2"), ("DEBUG", "0")],
};

/// Checks licences, bans, sources and advisories. A minute and a half.
const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    args: &["--no-default-features"],
    profile: &[("LTO", "off"), ("CODEGEN_UNITS", "256"), ("OPT_LEVEL", "0"), ("DEBUG", "0")],
};

/// The test runner, where the machine has none.
const NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    version: "0.9.143",
    args: &["--no-default-features", "--features", "default-no-update"],
    profile: &[("LTO", "off"), ("CODEGEN_UNITS", "256"), ("OPT_LEVEL", "1"), ("DEBUG", "0")],
};

/// Garage's program, and what was done to have it.
pub(crate) fn garage(layout: &Layout) -> Result<(PathBuf, String)> {
    GARAGE.ensure(layout)
}

/// cargo-deny's program, and what was done to have it.
pub(crate) fn deny(layout: &Layout) -> Result<(PathBuf, String)> {
    DENY.ensure(layout)
}

/// cargo-nextest's program: the machine's own, else one from the cache.
pub(crate) fn nextest(layout: &Layout) -> Result<(PathBuf, String)> {
    if exec::exists(NEXTEST.name) {
        return Ok((PathBuf::from(NEXTEST.name), "on PATH".to_owned()));
    }
    NEXTEST.ensure(layout)
}

/// From PyPI: what checks the API against its own description, a server for mail, and Grafana's published schema.
const PYTHON: [&str; 3] =
    ["schemathesis==4.32.5", "aiosmtpd==1.4.6", "grafana-foundation-sdk==1769699998!10.1.0"];

/// From PyPI too: axe, which finds pages that not everybody can read. What it comes with drives a browser, which is not needed.
const AXE: &str = "axe-playwright-python==0.1.8";

/// The folder with the programs from PyPI, and what was done to have it.
pub(crate) fn python(layout: &Layout) -> Result<(PathBuf, String)> {
    let words = format!("{} {AXE}", PYTHON.join(" "));
    let root = layout.cache.join(format!("python-{}", words.replace([' ', '=', '!'], "-")));
    let programs = root.join("bin");
    // The last file that is made, and only when all else is there.
    let whole = root.join("whole");
    if whole.exists() {
        return Ok((programs, format!("{words} cached")));
    }
    let log = layout.log("install-python");
    let mut venv = Command::new("python3");
    exec::logged(venv.args(["-m", "venv", "--clear"]).arg(&root), &log)
        .context("make a place for Python's programs")?;
    let mut pip = Command::new(programs.join("pip"));
    exec::logged(pip.args(["install", "--quiet"]).args(PYTHON), &log)
        .with_context(|| format!("install {words} from PyPI"))?;
    let mut pip = Command::new(programs.join("pip"));
    exec::logged(pip.args(["install", "--quiet", "--no-deps", AXE]), &log)
        .with_context(|| format!("install {AXE} from PyPI"))?;
    std::fs::write(&whole, "").with_context(|| format!("write {}", whole.display()))?;
    Ok((programs, format!("{words} installed")))
}

impl Tool {
    fn ensure(&self, layout: &Layout) -> Result<(PathBuf, String)> {
        let root = layout.cache.join(format!("{}-{}", self.name, self.version));
        let program = root.join("bin").join(self.name);
        // cargo installs a program by renaming it into place, so one that is there is whole.
        if program.exists() {
            return Ok((program, format!("{} {} cached", self.name, self.version)));
        }
        print!("building {} {}, once, in minutes … ", self.name, self.version);
        step::flush();
        let log = layout.log(&format!("install-{}", self.name));
        exec::logged(&mut self.install(layout, &root), &log)
            .with_context(|| format!("build {} with cargo", self.name))?;
        Ok((program, format!("{} {} built", self.name, self.version)))
    }

    fn install(&self, layout: &Layout, root: &Path) -> Command {
        let mut cargo = exec::cargo(layout, "cargo");
        cargo.args(["install", self.name, "--version", self.version, "--locked", "--root"]).arg(root);
        cargo.args(self.args);
        // Away from the repository: its target directory and its settings are none of this build's business.
        cargo.current_dir(root.parent().unwrap_or(root)).env_remove("CARGO_TARGET_DIR");
        for (key, value) in self.profile {
            cargo.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
        }
        cargo
    }
}
