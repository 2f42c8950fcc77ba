//! A Debian to build on, by debootstrap: no registry of images is needed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::docker::image_id;
use crate::exec;
use crate::layout::Layout;

/// The Debian release that ships a Postgres major.
pub(super) struct Base {
    pub(super) suite: &'static str,
}

impl Base {
    pub(super) fn of(major: u16) -> Result<Self> {
        let suite = match major {
            13 => "bullseye",
            15 => "bookworm",
            17 => "trixie",
            _ => bail!("no Debian release ships Postgres {major}: there are 13, 15 and 17"),
        };
        Ok(Self { suite })
    }

    pub(super) fn tag(&self) -> String {
        format!("uplift/debian:{}", self.suite)
    }

    /// Has the base in Docker: as it is, else from the cached archive, else from Debian's mirror.
    pub(super) fn ensure(&self, layout: &Layout) -> Result<String> {
        if image_id(&self.tag())?.is_some() {
            return Ok("there".to_owned());
        }
        let archive = layout.cache.join(format!("debian-{}.tar", self.suite));
        let how = if archive.exists() { "imported from the cache" } else { "bootstrapped" };
        if !archive.exists() {
            self.bootstrap(layout, &archive)?;
        }
        exec::output(Command::new("docker").arg("import").arg(&archive).arg(self.tag()))?;
        Ok(how.to_owned())
    }

    /// Makes the smallest Debian that apt works in. The mirror is debootstrap's own default.
    fn bootstrap(&self, layout: &Layout, archive: &Path) -> Result<()> {
        let root = layout.state.join(format!("debootstrap-{}", self.suite));
        remove(&root)?;
        let mut debootstrap = Command::new("debootstrap");
        debootstrap.args(["--variant=minbase", self.suite]).arg(&root);
        exec::logged(&mut debootstrap, &layout.log(&format!("debootstrap-{}", self.suite)))
            .context("bootstrap a Debian; it needs root and Debian's mirror")?;
        add_security_suite(&root, self.suite)?;
        for leftover in ["var/cache/apt", "var/lib/apt/lists"] {
            remove(&root.join(leftover))?;
        }
        // Renamed into place when it is whole, so that a cached one always is.
        let unfinished = archive.with_extension("unfinished");
        exec::output(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&unfinished).arg("."))?;
        fs::rename(&unfinished, archive).with_context(|| format!("rename {}", unfinished.display()))?;
        remove(&root)
    }
}

/// debootstrap leaves out the suite that Postgres' fixes come in; it is on the same mirror, one name further.
fn add_security_suite(root: &Path, suite: &str) -> Result<()> {
    let path = root.join("etc/apt/sources.list");
    let sources = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    fs::write(&path, with_security_suite(&sources, suite))
        .with_context(|| format!("write {}", path.display()))
}

fn with_security_suite(sources: &str, suite: &str) -> String {
    let security = sources
        .lines()
        .filter(|line| line.starts_with("deb "))
        .map(|line| line.trim_end_matches(" main"))
        .filter_map(|line| line.strip_suffix(suite))
        .map(|mirror| {
            format!("{}-security {suite}-security main\n", mirror.trim_end().trim_end_matches('/'))
        });
    format!("{}\n{}", sources.trim_end(), security.collect::<String>())
}

/// Removes a folder that may not be there.
fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_security_suite_is_on_the_same_mirror() {
        let sources = with_security_suite("deb http://mirror.example/debian bookworm main", "bookworm");
        let expected = "deb http://mirror.example/debian bookworm main\n\
                        deb http://mirror.example/debian-security bookworm-security main\n";
        assert_eq!(sources, expected);
    }
}
