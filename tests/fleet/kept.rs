//! The state before a step that failed, which is kept for whoever looks into it.

use std::path::PathBuf;

use serde_json::json;
use uplift_core::{
    Epoch, Purpose, RequestId, key,
    request::{Saved, StateCode},
};
use uplift_platform::{
    ledger::{Kept, Past},
    objects::Expect,
};
use uplift_tests::{compare, eventually, fleet::Fleet, postgres::Database, repository, request::LIMIT};

use crate::{
    dumps,
    runners::{fleet, fleet_with},
};

#[tokio::test]
async fn the_state_before_a_run_that_failed_is_kept_as_it_was() {
    let fleet = fleet().await;
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    let failed = fleet.hand_in(Purpose::Test, &dump, "4.2", "shop").await;
    assert_eq!(failed.code, Some(11), "{failed:?}");
    let failure = failed.failure();
    let message = "psycopg2.errors.NotNullViolation: column \"code\" contains null values";
    assert_eq!((&failure["step"], &failure["message"]), (&json!("1.0-4.2/breaks"), &json!(message)));
    let detail = failure["detail"].as_str().unwrap();
    assert!(detail.starts_with("exit code 1\nTraceback (most recent call last):"), "{detail}");

    let (saved, file) = checkpoint(&fleet, failed.id()).await;
    assert_eq!((saved.step.as_str(), saved.postgres_major), ("1.0-4.2/breaks", 15));
    let kept = Database::create("kept").await;
    kept.restore(&file);
    // The same by hand: the dump, and the one step before.
    sample.psql_file(&repository("tests/packs/runners/prepare.sql"), &[]);
    compare::assert_same(&sample, &kept).await;
    sample.remove().await;
    kept.remove().await;

    let metrics =
        fleet.ledger.metrics(&Past::new(&[1.0]), Kept { source: LIMIT, result: LIMIT }).await.unwrap();
    assert_eq!(metrics.saved_bytes, saved.bytes);
    let copied = metrics.copies.iter().find(|copies| copies.labels == ["bytes"]);
    assert!(copied.is_some_and(|copied| copied.value > f64::from(1 << 20)), "{:?}", metrics.copies);

    // It is of use until another attempt has saved one, or somebody has ended the request.
    let id = failed.id();
    fleet.must(&["ops", "retry", &id.to_string()]);
    eventually("the second attempt has failed", LIMIT, async || {
        let request = fleet.request(id).await;
        (request.epoch.0 == 2 && request.state.code() == StateCode::Intervention).then_some(())
    })
    .await;
    only_state(&fleet, Some(&key::checkpoint(id, Epoch(2)))).await;
    fleet.must(&["cancel", &id.to_string()]);
    only_state(&fleet, None).await;
    fleet.stop().await;
}

#[tokio::test]
async fn a_worker_that_drains_while_it_saves_tells_what_failed() {
    // Without a grace, what runs is broken off at once.
    let fleet = fleet_with(&[("UPLIFT__WORKER__GRACE_SECONDS", "0")]).await;
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;
    let request = fleet.submit(Purpose::Test, &dump, "4.15", "shop");
    let words = "saving the state before 1.0-4.15/fails";
    eventually("the state is being saved", LIMIT, async || {
        fleet.log(request).await.contains(words).then_some(())
    })
    .await;
    fleet.workers[fleet.worker_of(request).await].signal("TERM");
    eventually("a person is asked", LIMIT, async || {
        let state = fleet.request(request).await.state.code();
        assert_ne!(state, StateCode::Queued, "it was given back, as if nothing had failed");
        (state == StateCode::Intervention).then_some(())
    })
    .await;
    let log = fleet.log(request).await;
    assert!(!log.contains("fails is saved"), "it was saved before the worker was told:\n{log}");
    let failure = "SELECT failure ->> 'code' FROM attempts";
    assert_eq!(fleet.database.value(failure).await, "script_failed");
    fleet.stop().await;
}

#[tokio::test]
async fn the_state_is_packed_with_zstd_where_postgres_knows_it() {
    // Where a custom-format dump of version 1.15 and later names its compression, and zstd's number there.
    const COMPRESSION: usize = 11;
    const ZSTD: u8 = 3;
    let fleet = fleet().await;
    let sample = dumps::sample().await;
    let text = dumps::text(&fleet, &sample)
        .replace("Dumped from database version 15.", "Dumped from database version 17.");
    sample.remove().await;
    let dump = dumps::file(&fleet, "shop.sql", text.as_bytes());
    let failed = fleet.hand_in(Purpose::Test, &dump, "4.2", "shop").await;
    let (saved, file) = checkpoint(&fleet, failed.id()).await;
    let state = std::fs::read(file).unwrap();
    assert_eq!((saved.postgres_major, &state[..5], state[COMPRESSION]), (17, &b"PGDMP"[..], ZSTD));
    fleet.stop().await;
}

/// Waits until this is the only state that is left.
async fn only_state(fleet: &Fleet, kept: Option<&str>) {
    eventually("no other state is left", LIMIT, async || {
        let left = fleet.objects.list("requests/").await.unwrap();
        let states = left.iter().map(|object| object.key.as_str());
        let states: Vec<_> = states.filter(|key| key.contains("/checkpoints/")).collect();
        (states == kept.into_iter().collect::<Vec<_>>()).then_some(())
    })
    .await;
}

/// The state that a request's newest attempt has saved, beside the fleet.
pub(crate) async fn checkpoint(fleet: &Fleet, request: RequestId) -> (Saved, PathBuf) {
    let (epoch, saved) = fleet.ledger.checkpoint(request).await.unwrap().expect("a saved state");
    let expect = Expect { bytes: saved.bytes, etag: None, sha256: Some(saved.sha256.clone()) };
    let mut reader = fleet.objects.open(&key::checkpoint(request, epoch), expect);
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.next().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    (saved, dumps::file(fleet, &format!("{request}.dump"), &bytes))
}
