//! `cargo xtask up`: the services with a dispatcher, workers and an exporter, for trying things by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::daemon::{Daemon, Stop, detached};
use crate::env::Env;
use crate::exec;
use crate::http;
use crate::images;
use crate::layout::{Layout, ports};
use crate::port;
use crate::services::{self, Started};
use crate::step::{loud, step};
use crate::test::MAJORS;

/// The fleet's database in the ledger's cluster.
const DATABASE: &str = "uplift";

/// A debug build's process on a busy machine: connections, migrations, topology.
const LIMIT: Duration = Duration::from_secs(60);

/// Starts everything and leaves it running. A fleet that runs already is replaced, since its binaries may be old.
pub(crate) fn run(layout: &Layout, workers: u16, file: Option<&Path>) -> Result<()> {
    let services = services::ensure(layout, &mut Started::default())?;
    images::build(&MAJORS)?;
    loud("build", || {
        let mut cargo = exec::cargo(layout, "cargo");
        cargo.args(["build", "--workspace", "--bins", "--quiet"]);
        exec::streamed_ok(&mut cargo).map(|()| "binaries built".to_owned())
    })?;
    services::stop_all(layout, services::fleet(layout)?)?;
    let config = layout.state.join("uplift.toml");
    step("ledger", || services::create_database(DATABASE))?;
    step("configuration", || write_config(&services, &binary(layout, "uplift"), &config))?;
    step("dispatcher", || start(layout, &config, "dispatcher", ports::DISPATCHER))?;
    for (number, port) in (1..=workers).zip(ports::WORKERS..) {
        let name = format!("worker-{number}");
        step(&name, || start(layout, &config, &name, port))?;
    }
    step("exporter", || start(layout, &config, "exporter", ports::EXPORTER))?;

    let mut env = Env::default();
    env.set("UPLIFT_SERVER", server());
    // A cluster to make databases in that one wants to hand in, as the README does with the sample's.
    env.set("UPLIFT_SAMPLE_URL", services::cluster_url());
    step("tokens", || tokens(layout, &config, &mut env))?;
    step("packs", || push_packs(layout, &env))?;
    let file = file.map_or_else(|| layout.state.join("env"), Path::to_path_buf);
    env.write(&file)?;
    println!(
        "\n{} answers; logs are in {}\n  source {}\n  {} --help\n`cargo xtask down` stops it all",
        server(),
        layout.log("worker-1").with_file_name("").display(),
        file.display(),
        layout.bin_dir().join("uplift").display()
    );
    Ok(())
}

fn server() -> String {
    format!("http://127.0.0.1:{}", ports::DISPATCHER)
}

fn write_config(services: &Env, client: &Path, file: &Path) -> Result<String> {
    let get = |name: &str| services.get(name).with_context(|| format!("find {name}"));
    let text = format!(
        "# Written by `cargo xtask up`; a change here is overwritten.\n\
         [ledger]\nurl = {ledger:?}\n\n\
         [hints]\nurl = {amqp:?}\nprefix = \"uplift\"\n\n\
         [objects]\nendpoint = {endpoint:?}\nregion = {region:?}\nbucket = {bucket:?}\n\
         access_key = {access:?}\nsecret_key = {secret:?}\n\n\
         [dispatcher]\nlisten = \"127.0.0.1:{port}\"\nclients = {{ linux-x86_64 = {client:?} }}\n\n\
         [exporter]\nlisten = \"127.0.0.1:{exporter}\"\n",
        client = client,
        ledger = services::ledger_url(DATABASE),
        amqp = get("UPLIFT_TEST_AMQP_URL")?,
        endpoint = get("UPLIFT_TEST_S3_ENDPOINT")?,
        region = get("UPLIFT_TEST_S3_REGION")?,
        bucket = get("UPLIFT_TEST_S3_BUCKET")?,
        access = get("UPLIFT_TEST_S3_ACCESS_KEY")?,
        secret = get("UPLIFT_TEST_S3_SECRET_KEY")?,
        port = ports::DISPATCHER,
        exporter = ports::EXPORTER,
    );
    fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    Ok(format!("in {}", file.display()))
}

/// Starts one of the fleet's processes, whose binary is named by the first word of `name`.
fn start(layout: &Layout, config: &Path, name: &str, port: u16) -> Result<String> {
    port::ensure_free(name, &[port])?;
    let kind = name.split('-').next().unwrap_or(name);
    let mut command = detached(binary(layout, &format!("uplift-{kind}")));
    // An error's chain says what happened; a backtrace would push it out of the log's end.
    command.arg("--config").arg(config).env("RUST_LIB_BACKTRACE", "0");
    if kind == "worker" {
        command.env("UPLIFT__WORKER__LISTEN", format!("127.0.0.1:{port}"));
    }
    let ready = || http::status(port, "/readyz") == Some(200);
    Daemon::start(layout, name, &mut command, Stop::Term, LIMIT, ready)
        .context("start the fleet; `cargo xtask down --wipe` helps against data of another version")?;
    Ok(format!("started on 127.0.0.1:{port}"))
}

fn tokens(layout: &Layout, config: &Path, env: &mut Env) -> Result<String> {
    for (variable, account, role) in
        [("UPLIFT_TOKEN", "demo", "customer"), ("UPLIFT_OPS_TOKEN", "operators", "operator")]
    {
        let mut command = Command::new(binary(layout, "uplift-dispatcher"));
        command.arg("--config").arg(config).args(["token", "create", "--account", account, "--role", role]);
        command.args(["--label", "cargo xtask up", "--days", "30"]);
        env.set(variable, exec::output(&mut command)?);
    }
    Ok("a customer's and an operator's".to_owned())
}

fn push_packs(layout: &Layout, env: &Env) -> Result<String> {
    let dir = layout.repo.join("deploy/packs");
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry.context("list packs")?.path();
        if path.join("pack.toml").exists() {
            let mut command = Command::new(binary(layout, "uplift"));
            command.args(["ops", "packs", "push"]).arg(&path);
            env.apply(&mut command);
            exec::output(&mut command)?;
            names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(format!("pushed {}", names.join(", ")))
}

fn binary(layout: &Layout, name: &str) -> PathBuf {
    layout.bin_dir().join(name)
}
