//! What is there, and what is left after a removal.

use std::{path::PathBuf, process::Command};

use uplift_core::id::Epoch;
use uplift_sandbox::{DockerConfig, Exit, Host, Label, SandboxError};

use crate::harness::{Fleet, LIMITS, label, run, script};

/// Everything that Docker has of a request, by its names.
fn names(label: &Label) -> String {
    let ask = |args: &[&str]| {
        let out = Command::new("docker").args(args).output().expect("run docker");
        String::from_utf8(out.stdout).expect("UTF-8")
    };
    let filter = format!("label=uplift.request={}", label.request);
    ask(&["ps", "-a", "-q", "--filter", &filter]) + &ask(&["volume", "ls", "-q", "--filter", &filter])
}

#[tokio::test]
async fn removing_leaves_nothing_of_this_and_everything_of_others() {
    let fleet = Fleet::new().await;
    let (mine, sandbox) = fleet.open(LIMITS).await;
    let (other, others) = fleet.open(LIMITS).await;
    // The same request, claimed again elsewhere.
    let later = Label { epoch: Epoch(2), ..mine };
    let later_sandbox = fleet.host.open(&later, crate::harness::MAJOR, &LIMITS).await.unwrap();
    let _hanging = sandbox.start(script("sleep 600")).await.unwrap();

    let mut all = [mine, other, later];
    all.sort();
    assert_eq!(fleet.host.leftovers().await.unwrap(), all);
    sandbox.remove().await.unwrap();
    assert!(!fleet.host.leftovers().await.unwrap().contains(&mine));
    fleet.host.remove(&mine).await.unwrap();

    for alive in [&others, &later_sandbox] {
        let ran = run(alive, script("psql -X -At -d postgres -c 'SELECT 1'")).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Code(0), "1\n"), "{}", ran.stderr);
    }
    others.remove().await.unwrap();
    assert_eq!(names(&other), "");
    later_sandbox.remove().await.unwrap();
    assert_eq!(names(&mine), "");
}

#[tokio::test]
async fn two_removals_at_once_both_succeed() {
    let fleet = Fleet::new().await;
    let (label, _sandbox) = fleet.open(LIMITS).await;
    let (one, two) = tokio::join!(fleet.host.remove(&label), fleet.host.remove(&label));
    one.unwrap();
    two.unwrap();
    assert_eq!(names(&label), "");
}

#[tokio::test]
async fn another_fleets_sandboxes_are_not_seen() {
    let (fleet, other) = (Fleet::new().await, Fleet::new().await);
    let (label, sandbox) = fleet.open(LIMITS).await;
    assert_eq!(other.host.leftovers().await.unwrap(), []);
    other.host.remove(&label).await.unwrap();
    assert_eq!(fleet.host.leftovers().await.unwrap(), [label]);
    sandbox.remove().await.unwrap();
}

#[tokio::test]
async fn nothing_there_is_nothing_to_remove() {
    let fleet = Fleet::new().await;
    fleet.host.remove(&label()).await.unwrap();
}

#[tokio::test]
async fn a_docker_that_is_down_is_unreachable() {
    let config =
        DockerConfig { socket: Some(PathBuf::from("/nonexistent/docker.sock")), ..DockerConfig::default() };
    let error = Host::connect(&config).await.err().unwrap();
    assert!(matches!(error, SandboxError::Unreachable { .. }) && error.is_unreachable(), "{error:?}");
}
