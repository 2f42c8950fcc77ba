//! A sample database as a customer has one, and its dump.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::apt;
use crate::daemon::{Daemon, Stop, detached};
use crate::exec;
use crate::layout::Layout;
use crate::user::{self, User};

/// Where the sample is to go from 1.0.
pub(super) const TARGET: &str = "3.0";

const NAME: &str = "sample";

const LIMIT: Duration = Duration::from_secs(60);

/// Makes the database in a cluster of its own, dumps it, and removes the cluster; gives the dump.
pub(super) fn make(layout: &Layout) -> Result<PathBuf> {
    let bin = apt::pg_bin().context("find the Postgres that was installed below /usr/lib/postgresql")?;
    let user = User::for_service("postgres")?;
    let home = layout.state.join(NAME);
    user::own_dir(&home, user)?;
    let data = home.join("data");
    let mut initdb = Command::new(bin.join("initdb"));
    initdb.arg("-D").arg(&data).current_dir(&home);
    initdb.args(["--username=shop", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
    user::run_as(&mut initdb, user);
    exec::logged(&mut initdb, &layout.log("initdb")).context("make a cluster for the sample")?;

    let mut server = detached("setpriv");
    server.args(["--pdeathsig", "QUIT", "--"]).arg(bin.join("postgres"));
    server.arg("-D").arg(&data).arg("-k").arg(&home).args(["-c", "listen_addresses=", "-c", "fsync=off"]);
    user::run_as(&mut server, user);
    let tool = |name: &str| {
        let mut command = Command::new(bin.join(name));
        command.arg("--host").arg(&home).args(["--username=shop", "--dbname=postgres"]);
        command
    };
    let ready = || exec::output(&mut tool("pg_isready")).is_ok();
    let server = Daemon::start(layout, NAME, &mut server, Stop::Int, LIMIT, ready)?;
    let dump = layout.state.join("shop.sql.gz");
    let made = fill(&tool, layout, &dump);
    let stopped = server.stop(layout);
    made.and(stopped)?;
    std::fs::remove_dir_all(&home).context("remove the sample's cluster")?;
    Ok(dump)
}

fn fill(tool: &dyn Fn(&str) -> Command, layout: &Layout, dump: &Path) -> Result<()> {
    let script = layout.repo.join("deploy/packs/sample/generate.sql");
    let mut psql = tool("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "scale=1", "-f"]).arg(script);
    exec::output(&mut psql).context("fill the sample")?;
    exec::output(tool("pg_dump").args(["--compress=6", "--file"]).arg(dump))
        .context("dump the sample")
        .map(drop)
}
