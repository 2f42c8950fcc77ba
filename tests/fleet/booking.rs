//! Upgrades that wait for their hour or for their database, and say so; and how long they take.

use std::{path::PathBuf, process::Command};

use chrono::{SubsecRound as _, TimeDelta, Utc};
use serde_json::Value;
use uplift_core::{Clock, Purpose, request::StateCode, sla};
use uplift_tests::{
    fleet::{Fleet, Options},
    request::json,
};

use crate::{
    dumps,
    faults::{self, Extra, PAUSED, push_pausing_pack},
};

fn status(fleet: &Fleet, request: impl ToString) -> Value {
    json(&fleet.run(&["status", &request.to_string(), "--json"]))
}

fn run(command: &mut Command) -> Value {
    json(&command.output().unwrap())
}

/// A dump of a small database, on disk.
async fn dump(fleet: &Fleet) -> PathBuf {
    let database = dumps::sample().await;
    let file = fleet.file("shop.sql");
    database.dump(&file);
    database.remove().await;
    file
}

#[tokio::test]
async fn a_booked_upgrade_begins_at_its_hour_and_so_does_its_promise() {
    let fleet = Fleet::start().await;
    let dump = dump(&fleet).await;
    let mut submission = fleet.submission(Purpose::Test, &dump, "3.0", "shop");
    let hour = (Clock::System.now() + TimeDelta::hours(3)).trunc_subsecs(0);
    let booked = run(submission.args(["--not-before", &hour.to_rfc3339(), "--json"]));
    assert_eq!(booked["state"], "queued", "{booked}");
    let request = booked["id"].as_str().unwrap().parse().unwrap();
    let shown = status(&fleet, booked["id"].as_str().unwrap());
    let words = shown["held"]["message"].as_str().unwrap();
    assert!(words.contains(&format!("booked for {}", hour.format("%Y-%m-%d %H:%M UTC"))), "{words}");
    let deadline: chrono::DateTime<Utc> = shown["deadline"].as_str().unwrap().parse().unwrap();
    assert_eq!(deadline, hour + sla::TARGET);
    // Workers look for work meanwhile, and find what came later.
    let later = fleet.submit(Purpose::Test, &dump, "3.0", "other");
    fleet.delivered(later).await;
    assert_eq!(fleet.request(request).await.state.code(), StateCode::Queued, "its hour has not come");

    // Its hour comes.
    sqlx::query("UPDATE requests SET booked_for = now() - interval '1 s', not_before = now() WHERE id = $1")
        .bind(request.0)
        .execute(&mut fleet.database.connect().await)
        .await
        .unwrap();
    fleet.delivered(request).await;

    for (time, words) in [("2020-01-01T00:00:00Z", "which is over"), ("2999-01-01T00:00:00Z", "30 days")] {
        let output = fleet
            .submission(Purpose::Test, &dump, "3.0", "shop")
            .args(["--not-before", time])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(words), "{said}");
    }
    fleet.stop().await;
}

#[tokio::test]
async fn a_second_test_of_a_database_waits_and_says_why() {
    let fleet = Fleet::with(Options::default()).await;
    push_pausing_pack(&fleet);
    let dump = faults::dump(&fleet, "shop", Extra { pause: 5, ..Extra::default() }).await;
    let first = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    fleet.delivered(first).await;
    let mut ledger = fleet.database.connect().await;
    // What is taken is the database, not a worker: there are two.
    let second = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    fleet.reaches(second, PAUSED).await;
    let third = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    let (running, shown) = (status(&fleet, second), status(&fleet, third));
    assert_eq!((&running["state"], &shown["state"]), (&"running".into(), &"queued".into()));
    assert_eq!(shown["held"]["kind"], "database");
    let words = shown["held"]["message"].as_str().unwrap();
    assert!(words.contains(&format!("request {second} of the same database runs")), "{words}");
    let estimate = &running["estimate"];
    assert_eq!((&estimate["own"], &estimate["samples"]), (&true.into(), &1.into()), "{running}");
    assert!(estimate["p50_seconds"].as_u64().unwrap() >= 5, "{running}");
    assert_eq!(running["progress"]["stage"], "upgrade", "{running}");
    assert!((20..75).contains(&running["progress"]["percent"].as_u64().unwrap()), "{running}");
    fleet.delivered(second).await;
    fleet.delivered(third).await;
    let overlap: bool = sqlx::query_scalar(
        "SELECT bool_or(a.request_id <> b.request_id AND a.started_at < b.ended_at AND b.started_at < a.ended_at)
         FROM attempts a, attempts b",
    )
    .fetch_one(&mut ledger)
    .await
    .unwrap();
    assert!(!overlap, "one at a time");
    let expected: i64 = sqlx::query_scalar("SELECT count(*) FROM requests WHERE expected_p50 > 0")
        .fetch_one(&mut ledger)
        .await
        .unwrap();
    assert_eq!(expected, 2, "the first had nothing to be told by");
    fleet.stop().await;
}

#[tokio::test]
async fn a_version_that_is_announced_says_its_day() {
    let fleet = Fleet::start().await;
    let dump = dump(&fleet).await;
    let refused = fleet.hand_in(Purpose::Test, &dump, "4.0", "shop").await;
    assert_eq!(refused.code, Some(10), "{refused:?}");
    let words =
        "Sample ERP 4.0 is not ready yet: it is announced for 2027-03-01; supported upgrades of Sample ERP: ";
    assert!(refused.message().starts_with(words), "{}", refused.message());
    fleet.stop().await;
}
