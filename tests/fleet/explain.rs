//! Why a request is where it is: in words that are true of it, from the upload to its end.

use chrono::TimeDelta;
use uplift_core::{Clock, Purpose, RequestId};
use uplift_tests::{
    eventually,
    fleet::{Fleet, Options},
    repository,
    request::{LIMIT, json as output_json},
};

use crate::{dumps, pages::token};

/// Waits until a request is explained with these words.
async fn explained(fleet: &Fleet, request: RequestId, words: &[&str]) {
    let mut said = String::new();
    let told = async || {
        said = fleet.must(&["explain", &request.to_string()]);
        words.iter().all(|word| said.contains(word)).then_some(())
    };
    eventually(&format!("{words:?}"), LIMIT, told).await;
}

#[tokio::test]
async fn a_request_says_what_it_waits_for_and_what_happens_next() {
    let mut fleet = Fleet::with(Options { workers: 0, ..Options::default() }).await;
    // Its step to 2.5 waits for ever, with a worker that is well.
    fleet.push_pack(&repository("tests/packs/troubled"));
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;

    let first = fleet.submit(Purpose::Test, &dump, "2.5", "shop");
    explained(&fleet, first, &["no worker is alive; it has place 1", "once one is back"]).await;
    let hour = (Clock::System.now() + TimeDelta::hours(2)).to_rfc3339();
    let mut submission = fleet.submission(Purpose::Test, &dump, "2.5", "later");
    let booked = output_json(&submission.args(["--not-before", &hour, "--json"]).output().unwrap());
    let booked: RequestId = booked["id"].as_str().unwrap().parse().unwrap();
    explained(&fleet, booked, &["booked", "it begins then"]).await;
    fleet.must(&["cancel", &booked.to_string()]);
    explained(&fleet, booked, &["it was taken back"]).await;

    let worker = fleet.add_worker_with(&[("SLOTS", "1")]);
    fleet.reaches(first, "stage = 'upgrade'").await;
    explained(
        &fleet,
        first,
        &["attempt 1 is at it", " %: upgrade", "then it is delivered, and is due in 1 h"],
    )
    .await;
    let second = fleet.submit(Purpose::Test, &dump, "2.5", "shop");
    explained(&fleet, second, &["of the same database", "once that one has ended"]).await;
    fleet.must(&["cancel", &second.to_string()]);
    let other = fleet.submit(Purpose::Test, &dump, "2.5", "other");
    explained(&fleet, other, &["all workers that are alive (1) are busy; it has place ", "once one is free"])
        .await;
    fleet.database.psql_command("UPDATE accounts SET max_running = 1 WHERE name = 'acme'");
    explained(&fleet, other, &["as many upgrades of its account", "(1)", "once one of them has ended"]).await;
    fleet.must(&["cancel", &other.to_string()]);

    // Its worker dies; for a while nobody tries again.
    fleet.workers[worker].kill();
    fleet.reaches(first, "state = 'queued'").await;
    fleet.database.psql_command(&format!(
        "UPDATE requests SET not_before = now() + interval '10 minutes' WHERE id = '{first}'"
    ));
    explained(&fleet, first, &["attempt 1 failed at ", "it is tried again by itself in 9 min"]).await;
    fleet.must(&["cancel", &first.to_string()]);

    fleet.push_pack(&repository("deploy/packs/sample"));
    let worker = fleet.add_worker();
    let done = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    fleet.delivered(done).await;
    explained(&fleet, done, &["it was delivered", "accept it with `uplift accept`"]).await;
    fleet.must(&["accept", &done.to_string()]);
    explained(&fleet, done, &["production may follow"]).await;
    fleet.must(&["discrepancy", &done.to_string(), "the journal begins with 0"]);
    explained(&fleet, done, &["an engineer looks at what was reported"]).await;

    // An hour is longer than its own test took; the worker stands still for as long as it takes to ask.
    let slow = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    fleet.reaches(slow, "stage <> 'fetch' AND product IS NOT NULL").await;
    fleet.workers[worker].signal("STOP");
    fleet.database.psql_command(&format!(
        "UPDATE attempts SET started_at = started_at - interval '1 hour' WHERE request_id = '{slow}'"
    ));
    explained(&fleet, slow, &["it takes longer than usual"]).await;
    let status = output_json(&fleet.run(&["--json", "status", &slow.to_string()]));
    assert_eq!(status["estimate"]["longer_than_usual"], true, "{status}");
    assert_eq!(status["estimate"]["own"], true, "{status}");
    fleet.workers[worker].signal("CONT");
    fleet.delivered(slow).await;

    fleet.push_pack(&repository("tests/packs/troubled"));
    let failed = fleet.hand_in(Purpose::Test, &dump, "2.1", "shop").await.id();
    explained(&fleet, failed, &["it waits for an engineer since", "runs again from the original dump"]).await;
    let engineer = token(&fleet, "us", "engineer", "eva");
    let list = fleet.must(&["--json", "ops", "interventions", "list", "--request", &failed.to_string()]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let claim = ["ops", "interventions", "claim", list[0]["id"].as_str().unwrap()];
    assert!(fleet.uplift().env("UPLIFT_OPS_TOKEN", engineer).args(claim).output().unwrap().status.success());
    explained(&fleet, failed, &["an engineer is at it since"]).await;
    fleet.must(&["cancel", &failed.to_string()]);

    let garbage = dumps::file(&fleet, "garbage.sql", b"no dump\n");
    let rejected = fleet.hand_in(Purpose::Test, &garbage, "3.0", "garbage").await.id();
    explained(&fleet, rejected, &["it cannot be upgraded as it is", "mend what that says"]).await;
    fleet.stop().await;
}
