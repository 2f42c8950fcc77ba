//! The sandbox's images, from nothing: a Debian base by debootstrap, then `docker/postgres` and `docker/engine` for
//! each Postgres major, then `docker/runners` for each series of an ERP. What is up to date is left alone.

mod base;
mod docker;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::exec;
use crate::layout::Layout;
use crate::step::{loud, step};
use base::Base;
use docker::Image;

/// The series of Tryton that runners exist for: those that databases are upgraded to, and the one that the tests read
/// what comes in with.
const TRYTON: [&str; 3] = ["6.0", "7.0", "8.0"];

/// The series of Odoo that tests have a stand-in of, where the server's own image comes from a registry.
const ODOO: &str = "18.0";

/// The Postgres major of the Debian that runners stand on, which has the Python that those series want.
const RUNNERS: u16 = 15;

/// The certificates that this machine trusts, since a network may have some of its own.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

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
        step(&format!("postgres:{major}"), || postgres(&layout, &base, major)?.ensure(&layout))?;
        step(&format!("engine:{major}"), || engine_of(&layout, &base, major, &engine)?.ensure(&layout))?;
    }
    docker::prune()
}

/// Builds the runners that need nothing but Debian's mirror and PyPI.
pub(crate) fn build_runners() -> Result<()> {
    let layout = Layout::from_env()?;
    let base = Base::of(RUNNERS)?;
    step(&format!("debian {}", base.suite), || base.ensure(&layout))?;
    for series in TRYTON {
        step(&format!("tryton:{series}"), || tryton(&layout, &base, series)?.ensure(&layout))?;
    }
    docker::prune()
}

/// Builds the runners that only tests use: a real one, on a server that is not.
pub(crate) fn build_stand_ins() -> Result<()> {
    let layout = Layout::from_env()?;
    let base = Base::of(RUNNERS)?;
    let (server, runner) = (format!("uplift-test/odoo-server:{ODOO}"), format!("uplift-test/odoo:{ODOO}"));
    step(&server, || {
        let folder = layout.repo.join("tests/images/odoo");
        Image::new(server.clone(), &base, &[("SERIES", ODOO)], folder)?.ensure(&layout)
    })?;
    step(&runner, || {
        let on = ("ODOO_IMAGE", server.clone());
        with_authorities(&layout, "odoo", |folder| {
            Image::on(runner.clone(), on, &[("SERIES", ODOO)], folder)
        })?
        .ensure(&layout)
    })?;
    docker::prune()
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

fn postgres(layout: &Layout, base: &Base, major: u16) -> Result<Image> {
    let context = layout.repo.join("docker/postgres");
    Image::new(format!("uplift/postgres:{major}"), base, &[("PG_MAJOR", &major.to_string())], context)
}

/// The engine's folder and its binary come from two places, so they are put together in a third.
fn engine_of(layout: &Layout, base: &Base, major: u16, engine: &Path) -> Result<Image> {
    let context = layout.state.join("image-engine");
    let dockerfile = layout.repo.join("docker/engine/Dockerfile");
    gather(&context, &[(&dockerfile, "Dockerfile"), (engine, "uplift-engine")])?;
    Image::new(format!("uplift/engine:{major}"), base, &[("PG_MAJOR", &major.to_string())], context)
}

fn tryton(layout: &Layout, base: &Base, series: &str) -> Result<Image> {
    let tag = format!("uplift/tryton:{series}");
    with_authorities(layout, "tryton", |folder| Image::new(tag, base, &[("SERIES", series)], folder))
}

/// A runner's image. The certificates lie beside the folder's own files for the build, and make no image another one.
fn with_authorities(
    layout: &Layout,
    runner: &str,
    image: impl FnOnce(PathBuf) -> Result<Image>,
) -> Result<Image> {
    let folder = layout.repo.join("docker/runners").join(runner);
    let context = layout.state.join(format!("image-{runner}"));
    let files = docker::files(&folder)?;
    let named = files.iter().filter_map(|path| Some((path.as_path(), path.file_name()?.to_str()?)));
    gather(&context, &named.collect::<Vec<_>>())?;
    let image = image(folder)?;
    gather(&context, &[(Path::new(AUTHORITIES), "authorities.crt")])?;
    Ok(image.built_in(context))
}

/// Copies files into a folder that is made for them.
fn gather(folder: &Path, files: &[(&Path, &str)]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    for (from, name) in files {
        fs::copy(from, folder.join(name)).with_context(|| format!("copy {}", from.display()))?;
    }
    Ok(())
}
