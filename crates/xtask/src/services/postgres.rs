//! A private Postgres cluster for the ledger.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Service, Started};
use crate::apt::PG_BIN;
use crate::daemon::{Stop, detached};
use crate::env::Env;
use crate::exec;
use crate::layout::{Layout, ports};
use crate::user::{self, User};

pub(super) const NAME: &str = "postgres";

const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn ensure(layout: &Layout, started: &mut Started) -> Result<String> {
    let user = User::for_service("postgres")?;
    let service = Service { name: NAME, ports: &[ports::POSTGRES], stop: Stop::Int, limit: LIMIT };
    let how = service.ensure(layout, started, answers, || prepare(layout, user)).with_context(|| {
        format!("start Postgres; to try it by hand: `{PG_BIN}/postgres -D …` as its user")
    })?;
    Ok(format!("{how} on 127.0.0.1:{}", ports::POSTGRES))
}

pub(super) fn export(env: &mut Env) {
    env.set("UPLIFT_TEST_LEDGER_URL", url("postgres"));
    env.set("UPLIFT_TEST_PG_BIN", PG_BIN.to_owned());
}

/// How a database of the cluster is reached, as its superuser.
pub(crate) fn url(database: &str) -> String {
    format!("{}/{database}", cluster_url())
}

/// The same without a database.
pub(crate) fn cluster_url() -> String {
    format!("postgres://uplift:uplift@127.0.0.1:{}", ports::POSTGRES)
}

/// Makes a database where there is none of that name.
pub(crate) fn create_database(name: &str) -> Result<String> {
    let there = query(&format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'"))?;
    if there != "0" {
        return Ok(format!("database {name} is there"));
    }
    query(&format!("CREATE DATABASE {name}"))?;
    Ok(format!("database {name} created"))
}

fn prepare(layout: &Layout, user: Option<User>) -> Result<Command> {
    let home = layout.state.join("postgres");
    user::own_dir(&home, user)?;
    let data = home.join("data");
    if !data.exists() {
        initialise(layout, user, &home, &data)?;
    }
    let mut command = detached(format!("{PG_BIN}/postgres"));
    command.arg("-D").arg(&data).arg("-k").arg(&home).args(["-p", &ports::POSTGRES.to_string()]);
    for setting in [
        "listen_addresses=127.0.0.1",
        // A database per test, each with a pool or several.
        "max_connections=400",
        "shared_buffers=256MB",
        // It holds nothing that must outlive the machine's power.
        "fsync=off",
        "full_page_writes=off",
        "synchronous_commit=off",
    ] {
        command.args(["-c", setting]);
    }
    user::run_as(&mut command, user);
    Ok(command)
}

/// Makes the cluster beside its place and moves it there, so that a run that is killed leaves no half of one.
fn initialise(layout: &Layout, user: Option<User>, home: &Path, data: &Path) -> Result<()> {
    let fresh = home.join("data.new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).context("remove a half-made cluster")?;
    }
    let password = home.join("password");
    fs::write(&password, "uplift\n").context("write the password file")?;
    let mut command = Command::new(format!("{PG_BIN}/initdb"));
    command.arg("-D").arg(&fresh).arg("--pwfile").arg(&password).args([
        "--username=uplift",
        "--auth-local=scram-sha-256",
        "--auth-host=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    ]);
    command.current_dir(home);
    user::run_as(&mut command, user);
    exec::logged(&mut command, &layout.log("initdb")).context("make the ledger's cluster")?;
    fs::rename(&fresh, data).context("move the new cluster into place")
}

fn answers() -> bool {
    query("SELECT 1").is_ok_and(|answer| answer == "1")
}

fn query(sql: &str) -> Result<String> {
    let mut psql = Command::new(format!("{PG_BIN}/psql"));
    psql.args(["-XAtc", sql, &url("postgres")]).env("PGCONNECT_TIMEOUT", "2");
    exec::output(&mut psql)
}
