//! One image: what it is made from, whether that has changed, and `docker build`.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::base::Base;
use crate::exec;
use crate::layout::Layout;

/// The label that says what an image was made from.
const CONTENT: &str = "uplift.content";

/// An image to be, with all that it is made from.
pub(super) struct Image {
    tag: String,
    /// What is said to the build, by name.
    arguments: Vec<(&'static str, String)>,
    /// The folder that `docker build` gets.
    context: PathBuf,
    content: String,
}

impl Image {
    /// An image of a folder, and of nothing else than its files, the base and these arguments.
    pub(super) fn new(
        tag: String,
        base: &Base,
        arguments: &[(&'static str, &str)],
        context: PathBuf,
    ) -> Result<Self> {
        Self::on(tag, ("BASE", base.tag()), arguments, context)
    }

    /// The same on another image, which goes by the name of a build argument.
    pub(super) fn on(
        tag: String,
        base: (&'static str, String),
        arguments: &[(&'static str, &str)],
        context: PathBuf,
    ) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        (image_id(&base.1)?, arguments).hash(&mut hasher);
        for path in files(&context)? {
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            (path.file_name(), bytes).hash(&mut hasher);
        }
        let mut arguments: Vec<_> = arguments.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        arguments.push(base);
        Ok(Self { tag, arguments, context, content: format!("{:016x}", hasher.finish()) })
    }

    /// The same, built in another folder, which holds its files and what only the build needs.
    pub(super) fn built_in(self, context: PathBuf) -> Self {
        Self { context, ..self }
    }

    pub(super) fn ensure(&self, layout: &Layout) -> Result<String> {
        if label(&self.tag)?.as_deref() == Some(&self.content) {
            return Ok("up to date".to_owned());
        }
        let mut docker = Command::new("docker");
        // The classic builder comes with the daemon, and BuildKit is one more thing to install.
        docker.env("DOCKER_BUILDKIT", "0").args(["build", "--force-rm", "--tag", &self.tag]);
        for (name, value) in &self.arguments {
            docker.arg("--build-arg").arg(format!("{name}={value}"));
        }
        docker.arg("--label").arg(format!("{CONTENT}={}", self.content)).arg(&self.context);
        let log = layout.log(&format!("image-{}", self.tag.replace(['/', ':'], "-")));
        exec::logged(&mut docker, &log).with_context(|| format!("build image {}", self.tag))?;
        Ok("built".to_owned())
    }
}

/// Removes what new images have replaced, which has no name any more, and stages that only their builds needed. A
/// container that still runs from one keeps it.
pub(super) fn prune() -> Result<()> {
    let mut docker = Command::new("docker");
    docker.args(["image", "prune", "--force", "--filter"]).arg(format!("label={CONTENT}"));
    exec::output(&mut docker).map(drop)
}

pub(super) fn image_id(tag: &str) -> Result<Option<String>> {
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
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut files = list().with_context(|| format!("list {}", folder.display()))?;
    files.sort();
    Ok(files)
}
