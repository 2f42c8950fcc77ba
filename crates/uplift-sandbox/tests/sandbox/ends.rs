//! How jobs and Postgres end, told apart.

use std::time::Duration;

use tokio::{io::AsyncWriteExt as _, time::timeout};
use uplift_sandbox::{Death, Exit, Job, Limits, SandboxError};

use crate::harness::{Fleet, LIMITS, MAJOR, MIB, label, on_both_kinds, run, script};

on_both_kinds! {
    postgres_above_its_disk_budget_is_killed_and_told_apart,
    a_job_that_outlives_postgres_is_killed,
    a_job_that_is_killed_says_so_and_can_be_asked_twice,
    a_job_whose_container_is_removed_has_vanished,
    the_engine_runs_without_postgres_and_refuses_an_empty_plan,
}

#[tokio::test]
async fn a_job_at_its_memory_limit_is_told_apart_and_postgres_lives() {
    let fleet = Fleet::docker().await;
    let (_, sandbox) = fleet.open(LIMITS).await;
    let ran = run(&sandbox, script("tail /dev/zero")).await;
    assert_eq!(ran.exit, Exit::OutOfMemory, "{ran:?}");
    let ran = run(&sandbox, script("psql -X -At -d postgres -c 'SELECT 1'")).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Code(0), "1\n"));
}

#[tokio::test]
async fn postgres_at_its_memory_limit_is_told_apart() {
    let fleet = Fleet::docker().await;
    let (_, sandbox) = fleet.open(LIMITS).await;
    let hash = "SET work_mem = '2GB'; SELECT count(*) FROM \
                (SELECT DISTINCT repeat(md5(i::text), 30) FROM generate_series(1, 2000000) i) s";
    let ran = run(&sandbox, script(&format!("psql -X -v ON_ERROR_STOP=1 -d postgres -c \"{hash}\""))).await;
    assert_eq!(ran.exit, Exit::OutOfMemory, "{ran:?}");
    assert_eq!(sandbox.died().await, Death::OutOfMemory);
}

async fn postgres_above_its_disk_budget_is_killed_and_told_apart(fleet: Fleet) {
    let (label, sandbox) = fleet.open(Limits { disk_bytes: 256 * MIB, ..LIMITS }).await;
    fleet.make_work(&label, &sandbox).await;
    let fill = "CREATE TABLE t AS SELECT repeat(md5(i::text), 50) FROM generate_series(1, 100000000) i";
    let ran = run(&sandbox, script(&format!("psql -X -v ON_ERROR_STOP=1 -c \"{fill}\""))).await;
    assert_eq!(ran.exit, Exit::OutOfDisk, "{ran:?}");
    assert_eq!(sandbox.died().await, Death::OutOfDisk);
}

async fn a_job_that_outlives_postgres_is_killed(fleet: Fleet) {
    let (label, sandbox) = fleet.open(LIMITS).await;
    let running = sandbox.start(script("sleep 600")).await.unwrap();
    fleet.kill_postgres(&label);
    let exit = timeout(Duration::from_secs(30), running.handle.wait()).await.expect("it must be killed");
    assert!(matches!(exit, Ok(Exit::PostgresDied(Death::Exited { code: 137, .. }))), "{exit:?}");
}

async fn a_job_that_is_killed_says_so_and_can_be_asked_twice(fleet: Fleet) {
    let sandbox = fleet.host.without_postgres(&label(), &LIMITS).await.unwrap();
    let running = sandbox.start(script("sleep 600")).await.unwrap();
    running.handle.kill().await.unwrap();
    assert_eq!(running.handle.wait().await.unwrap(), Exit::Code(137));
    running.handle.kill().await.unwrap();
    assert_eq!(running.handle.wait().await.unwrap(), Exit::Code(137));
}

async fn a_job_whose_container_is_removed_has_vanished(fleet: Fleet) {
    let label = label();
    let sandbox = fleet.host.without_postgres(&label, &LIMITS).await.unwrap();
    let running = sandbox.start(script("sleep 600")).await.unwrap();
    fleet.host.remove(&label).await.unwrap();
    assert_eq!(running.handle.wait().await.unwrap(), Exit::Vanished);
}

async fn the_engine_runs_without_postgres_and_refuses_an_empty_plan(fleet: Fleet) {
    let sandbox = fleet.host.without_postgres(&label(), &LIMITS).await.unwrap();
    let mut running = sandbox.start(Job::Engine).await.unwrap();
    running.stdin.shutdown().await.unwrap();
    let exit = running.handle.wait().await.unwrap();
    assert!(matches!(exit, Exit::Code(code) if code != 0), "{exit:?}");
}

#[tokio::test]
async fn a_missing_image_is_named_and_leaves_nothing() {
    let fleet = Fleet::docker().await;
    let opened = fleet.host.open(&label(), 99, &LIMITS).await.err();
    let image = match &opened {
        Some(SandboxError::ImageMissing { image }) => image.as_str(),
        other => panic!("{other:?}"),
    };
    assert_eq!(image, "uplift/postgres:99");
    assert_eq!(fleet.host.leftovers().await.unwrap(), []);
}

#[tokio::test]
async fn a_postgres_that_cannot_start_says_why_and_leaves_nothing() {
    let fleet = Fleet::docker().await;
    let limits = Limits { memory_bytes: 14 * MIB, ..LIMITS };
    let why = match fleet.host.open(&label(), MAJOR, &limits).await.err() {
        Some(SandboxError::PostgresDidNotStart { why }) => why,
        other => panic!("with 7 MiB: {other:?}"),
    };
    assert_eq!(why, "it ran out of memory");
    assert_eq!(fleet.host.leftovers().await.unwrap(), []);
}
