//! What is there, and what is left after a removal.

use std::path::PathBuf;

use uplift_core::id::Epoch;
use uplift_sandbox::{DockerConfig, Exit, Host, Label, SandboxConfig, SandboxError};

use crate::harness::{Fleet, LIMITS, label, on_both_kinds, run, script};

on_both_kinds! {
    removing_leaves_nothing_of_this_and_everything_of_others,
    two_removals_at_once_both_succeed,
    nothing_there_is_nothing_to_remove,
}

async fn removing_leaves_nothing_of_this_and_everything_of_others(fleet: Fleet) {
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
    assert_eq!(fleet.names(&other), "");
    later_sandbox.remove().await.unwrap();
    assert_eq!(fleet.names(&mine), "");
}

async fn two_removals_at_once_both_succeed(fleet: Fleet) {
    let (label, _sandbox) = fleet.open(LIMITS).await;
    let (one, two) = tokio::join!(fleet.host.remove(&label), fleet.host.remove(&label));
    one.unwrap();
    two.unwrap();
    assert_eq!(fleet.names(&label), "");
}

#[tokio::test]
async fn another_fleets_sandboxes_are_not_seen() {
    let (fleet, other) = (Fleet::docker().await, Fleet::docker().await);
    let (label, sandbox) = fleet.open(LIMITS).await;
    assert_eq!(other.host.leftovers().await.unwrap(), []);
    other.host.remove(&label).await.unwrap();
    assert_eq!(fleet.host.leftovers().await.unwrap(), [label]);
    sandbox.remove().await.unwrap();
}

async fn nothing_there_is_nothing_to_remove(fleet: Fleet) {
    fleet.host.remove(&label()).await.unwrap();
}

#[tokio::test]
async fn a_docker_that_is_down_is_unreachable() {
    let socket = Some(PathBuf::from("/nonexistent/docker.sock"));
    let docker = DockerConfig { socket, ..DockerConfig::default() };
    let config = SandboxConfig { docker, ..SandboxConfig::default() };
    let error = Host::connect(&config).await.err().unwrap();
    assert!(matches!(error, SandboxError::Unreachable { .. }) && error.is_unreachable(), "{error:?}");
}
