//! What is left of a sandbox of processes when its worker is killed: files, and no process.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tokio::time::sleep;
use uplift_sandbox::{Exit, Host, Job};

use crate::harness::{Fleet, LIMITS, MAJOR, label, processes_in, run, script};

/// Tells the test below, run by the test above it, where to work.
const DIRECTORY: &str = "UPLIFT_TEST_PARENT_DIRECTORY";

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_is_killed_leaves_no_process_and_what_it_leaves_is_found() {
    let fleet = Fleet::process().await;
    let root = &fleet.config.process.directory;
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "parent::works_until_it_is_killed", "--ignored", "--nocapture"])
        .env(DIRECTORY, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("all of it runs")), "the parent ended early");
    // A server with its backends, an engine, and a shell with two children.
    let before = processes_of(root);
    assert!(before.len() > 8, "{before:?}");
    parent.kill().unwrap();
    parent.wait().unwrap();

    let begun = Instant::now();
    loop {
        let left = processes_of(root);
        if left.is_empty() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "left: {left:?}");
        sleep(Duration::from_millis(50)).await;
    }
    println!("every process had ended {:?} after the parent", begun.elapsed());
    let left = fleet.host.leftovers().await.unwrap();
    assert_eq!(left.len(), 2, "{left:?}");
    for label in &left {
        fleet.host.remove(label).await.unwrap();
        assert!(!fleet.directory(label).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the parent that the test above kills"]
async fn works_until_it_is_killed() {
    let root = PathBuf::from(std::env::var_os(DIRECTORY).expect("only for the test above"));
    let host = Host::connect(&processes_in(&root)).await.unwrap();
    let sandbox = host.open(&label(), MAJOR, &LIMITS).await.unwrap();
    let shell = script("sleep 611 & psql -X -d postgres -c 'SELECT pg_sleep(611)' & wait");
    let _shell = sandbox.start(shell).await.unwrap();
    // It waits for its plan.
    let _engine = host.without_postgres(&label(), &LIMITS).await.unwrap().start(Job::Engine).await.unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    loop {
        let asked = run(&sandbox, script(&format!("psql -X -At -d postgres -c \"{waits}\""))).await;
        if asked.stdout == "1\n" {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    println!("all of it runs");
    std::future::pending::<()>().await;
}

/// Another worker on the same machine, whose parent lives, removes a sandbox with all that runs in it.
#[tokio::test(flavor = "multi_thread")]
async fn another_worker_removes_what_runs() {
    let fleet = Fleet::process().await;
    let (label, sandbox) = fleet.open(LIMITS).await;
    let job = sandbox.start(script("sleep 611 & sleep 611")).await.unwrap();
    let other = Host::connect(&fleet.config).await.unwrap();
    assert_eq!(other.leftovers().await.unwrap(), [label]);
    other.remove(&label).await.unwrap();
    assert_eq!(job.handle.wait().await.unwrap(), Exit::Vanished);
    assert_eq!(processes_of(&fleet.config.process.directory), Vec::<String>::new());
    assert_eq!(fleet.names(&label), "");
}

/// A socket's path may have 107 bytes; a directory's has 4,096.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_path_is_no_obstacle() {
    let short = tempfile::tempdir().unwrap();
    let mut config = processes_in(&short.path().join("long".repeat(30)));
    fs::set_permissions(short.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    config.process.directory.push("deep");
    let host = Host::connect(&config).await.unwrap();
    let label = label();
    let sandbox = host.open(&label, MAJOR, &LIMITS).await.unwrap();
    let ran = run(&sandbox, script("echo $PGHOST; psql -X -At -d postgres -c 'SELECT 1'")).await;
    let (socket, answer) = ran.stdout.split_once('\n').unwrap();
    assert_eq!((ran.exit, answer), (Exit::Code(0), "1\n"), "{}", ran.stderr);
    assert!(Path::new(socket).is_dir());
    sandbox.remove().await.unwrap();
    assert!(!Path::new(socket).exists(), "{socket} is left");
}

/// What has to do with a directory: by its arguments, its working directory or its environment.
fn processes_of(root: &Path) -> Vec<String> {
    let root = root.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let text = |name| fs::read(path.join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let Ok(arguments) = text("cmdline") else { continue };
        let place = fs::read_link(path.join("cwd")).unwrap_or_default();
        let ours = [arguments.clone(), place.display().to_string(), text("environ").unwrap_or_default()];
        let is_test = arguments.contains("works_until_it_is_killed");
        if !arguments.is_empty() && !is_test && ours.iter().any(|text| text.contains(root)) {
            found.push(arguments.replace('\0', " "));
        }
    }
    found
}
