//! Faults: each test names one, and ends with what has to hold whatever happened: delivered exactly once, nothing
//! lost, nothing left behind.

mod attach;
mod broker;
mod deadline;
mod dispatcher;
mod dispatchers;
mod drain;
mod ledger;
mod orphans;
mod store;
mod traces;
mod worker;

use std::path::{Path, PathBuf};

use sqlx::Row as _;
use uplift_core::{
    RequestId, key,
    request::{Delivery, State},
};
use uplift_platform::objects::Expect;
use uplift_tests::{fleet::Fleet, postgres::Database, repository};

/// What a dump of the sample has beside the sample's data: it makes a point of an upgrade last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extra {
    /// How long the step `pause` takes, in seconds.
    pub(crate) pause: u32,
    /// How long the program of the step `run-pause` takes, in seconds.
    pub(crate) run_pause: u32,
    /// How long each building of one index takes, in seconds: at restore, and again when the result is proven.
    pub(crate) slow_index: u32,
    /// Bytes of a further table, in MiB.
    pub(crate) ballast: u32,
}

/// A plain dump of a sample 1.0 database, beside the fleet.
pub(crate) async fn dump(fleet: &Fleet, name: &str, extra: Extra) -> PathBuf {
    let dump = fleet.file(&format!("{name}.sql"));
    dump_to(&dump, extra).await;
    dump
}

/// The same, anywhere.
pub(crate) async fn dump_to(dump: &Path, extra: Extra) {
    let source = Database::create("sample").await;
    source.psql_file(&repository("deploy/packs/sample/generate.sql"), &[("scale", "1")]);
    let Extra { pause, run_pause, slow_index, ballast } = extra;
    let pauses = format!("INSERT INTO erp_meta VALUES ('pause', '{pause}'), ('run_pause', '{run_pause}')");
    source.psql_command(&pauses);
    if slow_index > 0 {
        source.psql_command(&format!(
            "CREATE FUNCTION slow(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
                 BEGIN PERFORM pg_catalog.pg_sleep({slow_index}); RETURN i; END $$;
             CREATE TABLE slow_table AS SELECT 1 AS i;
             CREATE INDEX ON slow_table (slow(i))"
        ));
    }
    if ballast > 0 {
        source.psql_command(&format!(
            "CREATE TABLE ballast AS
                 SELECT i, repeat(md5(i::text), 32768) AS t FROM generate_series(1, {ballast}) AS i"
        ));
    }
    source.dump(dump);
    source.remove().await;
}

/// Pushes the sample pack with two more steps in the middle of its second hop, which take as long as the dump says: one of
/// SQL, and one that runs a program.
pub(crate) fn push_pausing_pack(fleet: &Fleet) {
    let folder = fleet.file("pausing-pack");
    pausing_pack(&folder);
    fleet.push_pack(&folder);
}

/// Writes that pack.
pub(crate) fn pausing_pack(folder: &Path) {
    let sample = repository("deploy/packs/sample");
    let copied = std::process::Command::new("cp").arg("-r").arg(&sample).arg(folder).status().unwrap();
    assert!(copied.success());
    let script = "SELECT pg_sleep(value::float) FROM erp_meta WHERE key = 'pause';\n";
    std::fs::write(folder.join("2.0-3.0/35-pause.sql"), script).unwrap();
    let text = std::fs::read_to_string(folder.join("pack.toml")).unwrap();
    let before = "[[hop.step]]\nname = \"ledger-kept\"";
    assert!(text.contains(before));
    let pauses = std::fs::read_to_string(repository("tests/packs/pauses.toml")).unwrap();
    std::fs::write(folder.join("pack.toml"), text.replace(before, &(pauses + before))).unwrap();
}

/// As an SQL condition for [`Fleet::reaches`]: the step `pause` is at work.
pub(crate) const PAUSED: &str = "EXISTS (SELECT FROM steps s WHERE s.request_id = r.id AND s.epoch = r.epoch
    AND s.step LIKE '%/pause' AND s.ended_at IS NULL)";

/// The same of the program behind it.
pub(crate) const RUNS: &str = "EXISTS (SELECT FROM steps s WHERE s.request_id = r.id AND s.epoch = r.epoch
    AND s.step LIKE '%/run-pause' AND s.ended_at IS NULL)";

/// An attempt as the ledger has it.
#[derive(Debug, PartialEq, Eq)]
struct Attempt {
    outcome: String,
    place: String,
    counted: bool,
}

/// The attempts of a request, in order.
async fn attempts(fleet: &Fleet, request: RequestId) -> Vec<Attempt> {
    let rows = sqlx::query(
        "SELECT coalesce(outcome, 'none') AS outcome, coalesce(place, '') AS place, counted FROM attempts
         WHERE request_id = $1 ORDER BY epoch",
    )
    .bind(request.0)
    .fetch_all(&mut fleet.database.connect().await)
    .await
    .unwrap();
    rows.iter()
        .map(|row| Attempt {
            outcome: row.get("outcome"),
            place: row.get("place"),
            counted: row.get("counted"),
        })
        .collect()
}

/// The outcomes and places of a request's attempts, in order.
async fn outcomes(fleet: &Fleet, request: RequestId) -> Vec<(String, String)> {
    attempts(fleet, request).await.into_iter().map(|attempt| (attempt.outcome, attempt.place)).collect()
}

/// Waits for the delivery, and checks that there is exactly one, and that the result is what was settled.
async fn delivered_once(fleet: &Fleet, request: RequestId) -> Delivery {
    let delivery = fleet.delivered(request).await;
    assert_delivered_once(fleet, request).await;
    delivery
}

/// Checks that there is exactly one delivery, and that the result is what was settled.
async fn assert_delivered_once(fleet: &Fleet, request: RequestId) {
    let found = fleet.request(request).await;
    let State::Delivered(delivery) = found.state else { panic!("request {request} is {:?}", found.state) };
    let attempts = attempts(fleet, request).await;
    let last = usize::try_from(delivery.epoch.0).unwrap();
    assert_eq!((found.epoch, attempts.len()), (delivery.epoch, last), "{attempts:?}");
    let delivered: Vec<_> = attempts.iter().map(|attempt| attempt.outcome == "delivered").collect();
    assert!(delivered[last - 1] && !delivered[..last - 1].contains(&true), "{attempts:?}");
    assert!(attempts.iter().all(|attempt| attempt.outcome != "none"), "{attempts:?}");
    let audit = format!("SELECT count(*) FROM audit WHERE action = 'deliver' AND request_id = '{request}'");
    assert_eq!(fleet.database.value(&audit).await, "1", "deliveries in the audit");

    let expect =
        Expect { bytes: delivery.digest.bytes, etag: None, sha256: Some(delivery.digest.sha256.clone()) };
    let mut reader = fleet.objects.open(&key::attempt(request, delivery.epoch, &delivery.result), expect);
    while reader.next().await.expect("the result is what was settled").is_some() {}
}
