//! `cargo xtask demo`: from a fresh machine to an upgraded database, and nothing left running.

mod sample;
mod summary;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use tempfile::TempDir;

use crate::apt;
use crate::daemon::{Daemon, Stop, detached};
use crate::env::Env;
use crate::exec;
use crate::interrupt;
use crate::layout::Layout;
use crate::step::{loud, step};

/// A cluster is made, and a debug build starts, on a busy machine.
const START: Duration = Duration::from_secs(120);

/// The name that the database goes by: production finds its test by it.
const DATABASE: &str = "demo";

/// What to upgrade.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Upgrade this dump, not a sample
    #[arg(long, value_name = "FILE", requires = "target")]
    dump: Option<PathBuf>,
    /// To this version
    #[arg(long, value_name = "VERSION", requires = "dump")]
    target: Option<String>,
    /// Put the upgraded dump, the report and the log into this folder [default: target/demo]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What for: production is preceded by a test, which is accepted
    #[arg(long, value_enum, default_value_t = Purpose::Test)]
    purpose: Purpose,
    /// Replace files that an earlier run left in --out
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Purpose {
    Test,
    Production,
}

/// Does everything, stops everything, and ends with the exit code of the command line.
pub(crate) fn run(layout: &Layout, demo: &Demo) -> Result<ExitCode> {
    let dump = demo.dump.as_deref().map(|dump| {
        let shown = dump.display();
        dump.canonicalize().with_context(|| format!("find the dump {shown}"))
    });
    let dump = dump.transpose()?;
    step("packages", || apt::ensure_for_demo(layout))?;
    loud("build", || build(layout))?;
    let room = Room::make(layout)?;
    let dump = match dump {
        Some(dump) => dump,
        None => {
            let mut made = None;
            step("sample", || {
                let dump = sample::make(&room.layout)?;
                let bytes = fs::metadata(&dump).context("look at the sample")?.len();
                made = Some(dump);
                Ok(format!("a Sample ERP 1.0, dumped: {bytes} bytes"))
            })?;
            made.context("make the sample")?
        }
    };
    let mut standalone = None;
    let outcome = step("standalone", || {
        standalone = Some(start(layout, &room)?);
        Ok("started".to_owned())
    })
    .and_then(|()| upgrade(layout, demo, &room, &dump));
    interrupt::clear();
    let stopped = match standalone {
        Some(standalone) => {
            step("standalone", || standalone.stop(&room.layout).map(|()| "stopped".to_owned()))
        }
        None => Ok(()),
    };
    match (outcome, stopped) {
        (Ok(code), Ok(())) => Ok(code),
        (Err(error), Ok(())) | (Ok(_), Err(error)) => Err(error),
        (Err(error), Err(second)) => Err(error.context(format!("{second:#}; and before that"))),
    }
}

/// What the demo needs a place for, removed at its end.
struct Room {
    _directory: TempDir,
    layout: Layout,
}

impl Room {
    fn make(layout: &Layout) -> Result<Self> {
        // Not in /tmp, which may be memory: the sandboxes' databases lie there, too.
        let directory = tempfile::Builder::new().prefix("uplift-demo-").tempdir_in("/var/tmp");
        let directory = directory.context("make a directory in /var/tmp")?;
        // Postgres, which does not run as root, has to come through.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711))
            .context("open the directory")?;
        let layout = Layout { state: directory.path().to_path_buf(), ..layout.clone() };
        for dir in [layout.run(), layout.state.join("log")] {
            fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        }
        Ok(Self { _directory: directory, layout })
    }

    fn data(&self) -> PathBuf {
        self.layout.state.join("data")
    }
}

/// Builds the two programs that it takes.
pub(crate) fn build(layout: &Layout) -> Result<String> {
    let mut cargo = exec::cargo(layout, "cargo");
    cargo.args(["build", "--quiet", "--package", "uplift", "--package", "uplift-engine", "--bins"]);
    exec::streamed_ok(&mut cargo)?;
    Ok("uplift and uplift-engine built".to_owned())
}

fn start(layout: &Layout, room: &Room) -> Result<Daemon> {
    // Should this command be killed, it ends as well.
    let mut command = detached("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(layout.bin_dir().join("uplift"));
    command.args([
        "standalone",
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
        "--store-port",
        "0",
    ]);
    command.arg("--data-dir").arg(room.data()).env("RUST_LIB_BACKTRACE", "0");
    let log = room.layout.log("standalone");
    let told = || fs::read_to_string(&log).unwrap_or_default();
    let ready = || told().lines().any(|line| line.starts_with("stop it "));
    let daemon = Daemon::start(&room.layout, "standalone", &mut command, Stop::Term, START, ready)?;
    let text = told();
    let sandbox = text.lines().find(|line| line.starts_with("sandbox ")).unwrap_or_default();
    print!("{}\n{:<14} ", sandbox.replacen("sandbox   ", "", 1), "");
    Ok(daemon)
}

/// Upgrades as a customer does; gives the command line's exit code.
fn upgrade(layout: &Layout, demo: &Demo, room: &Room, dump: &Path) -> Result<ExitCode> {
    let customer =
        Customer { program: layout.bin_dir().join("uplift"), env: environment(&room.data().join("env"))? };
    let target = demo.target.as_deref().unwrap_or(sample::TARGET);
    let default = layout.bin_dir().with_file_name("demo");
    let (out, force) = match &demo.out {
        Some(out) => (out.clone(), demo.force),
        None => (default, true),
    };
    let submit = |purpose: &str| {
        let mut command = customer.command();
        command.args([purpose, "--dump"]).arg(dump).args([
            "--target",
            target,
            "--database",
            DATABASE,
            "--wait",
        ]);
        command
    };
    if demo.purpose == Purpose::Production {
        println!("\nfirst a test, since production needs one that was accepted");
        if let Some(code) = failed(&mut submit("test"))? {
            return Ok(code);
        }
        customer.accept_newest()?;
        println!("\naccepted; now production");
    }
    let mut last = submit(if demo.purpose == Purpose::Test { "test" } else { "production" });
    last.arg("--out").arg(&out).args(force.then_some("--force"));
    if let Some(code) = failed(&mut last)? {
        return Ok(code);
    }
    println!("\n{}", summary::of(&out)?);
    Ok(ExitCode::SUCCESS)
}

/// Runs the command line on this terminal; its exit code where that is a failure. It has said why.
fn failed(command: &mut Command) -> Result<Option<ExitCode>> {
    let status = exec::streamed(command)?;
    Ok(match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(0) => None,
        Some(code) => Some(ExitCode::from(code)),
        None => bail!("`uplift` ended with {status}"),
    })
}

/// Whoever has the tokens.
struct Customer {
    program: PathBuf,
    env: Env,
}

impl Customer {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        self.env.apply(&mut command);
        command
    }

    fn accept_newest(&self) -> Result<()> {
        let list = exec::output(self.command().args(["--json", "status", "--database", DATABASE]))?;
        let list: serde_json::Value = serde_json::from_str(&list).context("read the list of requests")?;
        let id = list["requests"][0]["id"].as_str().context("find the test in the list of requests")?;
        exec::output(self.command().args(["accept", id])).map(drop)
    }
}

/// What standalone has written for a shell.
fn environment(file: &Path) -> Result<Env> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let mut env = Env::default();
    for line in text.lines() {
        let assigned = line.strip_prefix("export ").and_then(|line| line.split_once('='));
        let (name, value) = assigned.with_context(|| format!("read {}", file.display()))?;
        env.set(name, value.trim_matches('\'').to_owned());
    }
    Ok(env)
}
