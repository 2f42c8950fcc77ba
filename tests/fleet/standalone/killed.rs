//! It is killed, at each stage, and started again: it goes on with what was running, delivers once, and leaves nothing.

use std::{path::Path, process::Stdio, time::Duration};

use uplift_core::RequestId;
use uplift_tests::{SOON, eventually, standalone::Standalone};

use crate::faults::{Extra, PAUSED, dump_to, pausing_pack};

/// Seconds from the start to the end of a request that went on; the upgrade itself takes some.
const LIMIT: Duration = Duration::from_secs(180);

/// One with a pack whose upgrade can be made to last, and with every result proven.
async fn start(kind: &'static str) -> (Standalone, tempfile::TempDir) {
    let packs = tempfile::tempdir().unwrap();
    pausing_pack(&packs.path().join("sample"));
    let arguments = ["--packs", packs.path().to_str().unwrap()];
    // Whether hints get lost or not, nothing waits for a look at the ledger.
    let settings = [("WORKER__PROVE_TESTS", "true"), ("WORKER__POLL_SECONDS", "600")];
    (Standalone::start(kind, &arguments, &settings).await, packs)
}

/// Submits, kills it at this point of the attempt, and starts it again: the request is delivered by the next attempt.
async fn killed_at(standalone: &mut Standalone, dump: &Path, name: &str, point: &str) {
    let request = standalone.submit("test", dump, name);
    standalone.reaches(request, point).await;
    standalone.kill().await;
    standalone.start_again().await;
    delivered_after(standalone, request, name).await;
}

/// The same while it fetches: it does not get to say so.
async fn killed_while_it_fetches(standalone: &mut Standalone, dump: &Path) {
    let mut ledger = standalone.ledger().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE stages IN SHARE MODE").execute(&mut ledger).await.unwrap();
    killed_at(standalone, dump, "fetch", "stage = 'fetch'").await;
}

/// The same while it settles: what it has to write is locked, and everything that comes before is not.
async fn killed_while_it_settles(standalone: &mut Standalone, dump: &Path) {
    let request = standalone.submit("test", dump, "settle");
    standalone.reaches(request, PAUSED).await;
    let mut ledger = standalone.ledger().await;
    let hold = format!("BEGIN; SELECT FROM attempts WHERE request_id = '{request}' FOR NO KEY UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(hold)).execute(&mut ledger).await.unwrap();
    let stored = "stage = 'settle' AND NOT EXISTS (SELECT FROM uploads u WHERE u.request_id = r.id)";
    standalone.reaches(request, stored).await;
    standalone.kill().await;
    standalone.start_again().await;
    delivered_after(standalone, request, "settle").await;
}

async fn delivered_after(standalone: &Standalone, request: RequestId, name: &str) {
    let sql = format!("SELECT state FROM requests WHERE id = '{request}'");
    eventually(&format!("{name} is delivered"), LIMIT, async || {
        let state = standalone.value(&sql).await;
        assert!(!["intervention", "rejected"].contains(&state.as_str()), "{name} is in {state}");
        (state == "delivered").then_some(())
    })
    .await;
    assert_eq!(standalone.outcomes(request).await, "released delivered", "{name}");
    let counted = format!("SELECT count(*) FROM attempts WHERE request_id = '{request}' AND counted");
    assert_eq!(standalone.value(&counted).await, "0", "{name}: it is not the request's fault");
}

/// No upload, no object of an attempt that did not deliver, no sandbox.
async fn nothing_left(standalone: &Standalone) {
    let objects = standalone.data().join("objects");
    let list = |folder: &str| {
        let find = std::process::Command::new("find").arg(objects.join(folder)).args(["-type", "f"]).output();
        String::from_utf8(find.unwrap().stdout).unwrap()
    };
    eventually("what attempts that were killed had stored is removed", SOON, async || {
        (list("uploads").is_empty() && !list("objects").contains("/attempts/1/")).then_some(())
    })
    .await;
    assert_eq!(list("fresh"), "");
    assert_eq!(standalone.value("SELECT count(*) FROM uploads").await, "0");
    let host = standalone.host().await;
    eventually("every sandbox is removed", SOON, async || {
        host.leftovers().await.unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_stage_it_goes_on_and_delivers_once() {
    let (mut standalone, _packs) = start("process").await;
    let slow = standalone.file("slow.sql");
    dump_to(&slow, Extra { slow_index: 3, ..Extra::default() }).await;
    let pausing = standalone.file("pausing.sql");
    dump_to(&pausing, Extra { pause: 5, ..Extra::default() }).await;
    let large = standalone.file("large.sql");
    dump_to(&large, Extra { ballast: 96, ..Extra::default() }).await;

    killed_while_it_fetches(&mut standalone, &slow).await;
    killed_at(&mut standalone, &slow, "restore", "stage = 'restore' AND progress_done > 0").await;
    killed_at(&mut standalone, &pausing, "step", PAUSED).await;
    let uploading = "stage = 'dump' AND EXISTS (SELECT FROM uploads u WHERE u.request_id = r.id)";
    killed_at(&mut standalone, &large, "dump", uploading).await;
    killed_at(&mut standalone, &slow, "prove", "stage = 'prove' AND progress_done > 0").await;
    killed_while_it_settles(&mut standalone, &pausing).await;
    nothing_left(&standalone).await;
    standalone.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_beside_docker_it_removes_what_runs_on() {
    let (mut standalone, _packs) = start("docker").await;
    let pausing = standalone.file("pausing.sql");
    dump_to(&pausing, Extra { pause: 5, ..Extra::default() }).await;
    killed_at(&mut standalone, &pausing, "step", PAUSED).await;
    nothing_left(&standalone).await;
    standalone.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_customer_uploads_it_takes_the_rest() {
    let (mut standalone, _packs) = start("process").await;
    let dump = standalone.file("large.sql");
    dump_to(&dump, Extra { ballast: 96, ..Extra::default() }).await;
    let mut client = standalone
        .uplift()
        .args(["test", "--dump", dump.to_str().unwrap(), "-t", "3.0", "--database", "shop"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let parts = standalone.data().join("objects/uploads");
    eventually("some parts have arrived", LIMIT, async || {
        assert!(client.try_wait().unwrap().is_none(), "the upload was over too soon");
        let find =
            std::process::Command::new("find").arg(&parts).args(["-type", "f", "-name", "[0-9]*"]).output();
        (!find.unwrap().stdout.is_empty()).then_some(())
    })
    .await;
    client.kill().unwrap();
    client.wait().unwrap();
    standalone.kill().await;
    standalone.start_again().await;

    let request = standalone.value("SELECT id FROM requests WHERE state = 'awaiting_upload'").await;
    let resumed = standalone.must(&["resume", &request, "--dump", dump.to_str().unwrap(), "--wait"]);
    let said = String::from_utf8(resumed.stderr).unwrap();
    assert!(said.contains("are there already"), "{said}");
    assert_eq!(standalone.outcomes(request.parse().unwrap()).await, "delivered");
    standalone.stop().await;
}
