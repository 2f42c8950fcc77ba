//! The sandbox's images, from nothing: a Debian base by debootstrap, then `docker/postgres` and `docker/engine`
//! for each Postgres major. What is up to date is left alone.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::exec;
use crate::layout::Layout;
use crate::step::{loud, step};

/// The label that says what an image was made from.
const CONTENT: &str = "uplift.content";

/// Builds the images of these Postgres majors, and what they stand on.
pub(crate) fn build(majors: &[u16]) -> Result<()> {
    let layout = Layout::from_env()?;
    let mut engine = None;
    loud("engine", || {
        engine = Some(build_engine(&layout)?);
        Ok("linked statically".to_owned())
    })?;
    let engine = engine.context("build the engine")?;
    for &major in majors {
        let base = Base::of(major)?;
        step(&format!("debian {}", base.suite), || base.ensure(&layout))?;
        step(&format!("postgres:{major}"), || Image::postgres(&layout, &base, major)?.ensure(&layout))?;
        step(&format!("engine:{major}"), || Image::engine(&layout, &base, major, &engine)?.ensure(&layout))?;
    }
    Ok(())
}

/// Builds the engine so that one file runs on every base, and returns where it is.
fn build_engine(layout: &Layout) -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    let mut cargo = exec::cargo(layout, "cargo");
    cargo.args(["build", "--quiet", "--release", "--package", "uplift-engine", "--target"]);
    cargo.arg(&target).env(flags, "-C target-feature=+crt-static");
    // These two would win over the flags above.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    exec::streamed_ok(&mut cargo)?;
    let bin_dir = layout.bin_dir();
    let target_dir = bin_dir.parent().context("find the target directory")?;
    Ok(target_dir.join(target).join("release/uplift-engine"))
}

/// The Debian release that ships a Postgres major.
struct Base {
    suite: &'static str,
}

impl Base {
    fn of(major: u16) -> Result<Self> {
        let suite = match major {
            13 => "bullseye",
            15 => "bookworm",
            17 => "trixie",
            _ => bail!("no Debian release ships Postgres {major}: there are 13, 15 and 17"),
        };
        Ok(Self { suite })
    }

    fn tag(&self) -> String {
        format!("uplift/debian:{}", self.suite)
    }

    /// Has the base in Docker: as it is, else from the cached archive, else from Debian's mirror.
    fn ensure(&self, layout: &Layout) -> Result<String> {
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

/// An image to be, with all that it is made from.
struct Image {
    tag: String,
    base: String,
    major: u16,
    /// The folder that `docker build` gets.
    context: PathBuf,
    content: String,
}

impl Image {
    fn postgres(layout: &Layout, base: &Base, major: u16) -> Result<Self> {
        let context = layout.repo.join("docker/postgres");
        Self::new(format!("uplift/postgres:{major}"), base, major, context)
    }

    /// The engine's folder and its binary come from two places, so they are put together in a third.
    fn engine(layout: &Layout, base: &Base, major: u16, engine: &Path) -> Result<Self> {
        let context = layout.state.join("image-engine");
        fs::create_dir_all(&context).with_context(|| format!("create {}", context.display()))?;
        let dockerfile = layout.repo.join("docker/engine/Dockerfile");
        for (from, name) in [(dockerfile.as_path(), "Dockerfile"), (engine, "uplift-engine")] {
            fs::copy(from, context.join(name)).with_context(|| format!("copy {}", from.display()))?;
        }
        Self::new(format!("uplift/engine:{major}"), base, major, context)
    }

    fn new(tag: String, base: &Base, major: u16, context: PathBuf) -> Result<Self> {
        let base = base.tag();
        let mut hasher = DefaultHasher::new();
        (image_id(&base)?, major).hash(&mut hasher);
        for path in files(&context)? {
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            (path.file_name(), bytes).hash(&mut hasher);
        }
        Ok(Self { tag, base, major, context, content: format!("{:016x}", hasher.finish()) })
    }

    fn ensure(&self, layout: &Layout) -> Result<String> {
        if label(&self.tag)?.as_deref() == Some(&self.content) {
            return Ok("up to date".to_owned());
        }
        let mut docker = Command::new("docker");
        // The classic builder comes with the daemon, and BuildKit is one more thing to install.
        docker.env("DOCKER_BUILDKIT", "0").args(["build", "--force-rm", "--tag", &self.tag]);
        docker.arg("--build-arg").arg(format!("BASE={}", self.base));
        docker.arg("--build-arg").arg(format!("PG_MAJOR={}", self.major));
        docker.arg("--label").arg(format!("{CONTENT}={}", self.content)).arg(&self.context);
        let log = layout.log(&format!("image-{}", self.tag.replace(['/', ':'], "-")));
        exec::logged(&mut docker, &log).with_context(|| format!("build image {}", self.tag))?;
        // What this one replaces has no name any more. A container that still runs from it keeps it.
        exec::output(
            Command::new("docker")
                .args(["image", "prune", "--force", "--filter"])
                .arg(format!("label={CONTENT}")),
        )?;
        Ok("built".to_owned())
    }
}

fn image_id(tag: &str) -> Result<Option<String>> {
    inspect(tag, "{{.Id}}")
}

fn label(tag: &str) -> Result<Option<String>> {
    inspect(tag, &format!("{{{{index .Config.Labels \"{CONTENT}\"}}}}"))
}

/// Asks for something of an image; `None` where there is no such image.
fn inspect(tag: &str, format: &str) -> Result<Option<String>> {
    let listed = exec::output(Command::new("docker").args(["image", "ls", "--quiet", tag]))
        .context("list images; is Docker running? `cargo xtask services` starts it")?;
    if listed.is_empty() {
        return Ok(None);
    }
    exec::output(Command::new("docker").args(["image", "inspect", "--format", format, tag])).map(Some)
}

/// The files of a folder, in an order that does not depend on the file system.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut files = list().with_context(|| format!("list {}", folder.display()))?;
    files.sort();
    Ok(files)
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
