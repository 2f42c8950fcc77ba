//! Upgrades that fail by our doing: a person of ours gets them, with all that is needed to find the place.

use serde_json::{Value, json};
use uplift_core::{Purpose, request::StateCode};
use uplift_tests::{
    eventually,
    fleet::{Fleet, Options},
    repository,
    request::{HandedIn, LIMIT},
};

use crate::dumps;

#[tokio::test]
async fn a_failed_upgrade_waits_for_a_person() {
    let worker = "slots = 2".to_owned();
    let fleet = Fleet::with(Options { worker, ..Options::default() }).await;
    fleet.push_pack(&repository("tests/packs/troubled"));
    fleet.ledger.set_max_running("acme", 100).await.unwrap();
    let sample = dumps::sample().await;
    let good = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.psql_command("UPDATE erp_meta SET value = 'another' WHERE key = 'database_id'");
    let other = dumps::file(&fleet, "other.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;

    let hand_in = async |target: &str| {
        let handed_in = fleet.hand_in(Purpose::Test, &good, target, &format!("shop-{target}")).await;
        assert_eq!(handed_in.code, Some(11), "{handed_in:?}");
        assert_eq!(handed_in.request["state"], "intervention");
        handed_in
    };
    let (script, check, reconcile, deadline, commit, known) = tokio::join!(
        hand_in("2.1"),
        hand_in("2.2"),
        hand_in("2.3"),
        hand_in("2.4"),
        hand_in("2.6"),
        hand_in("2.7")
    );
    a_script_fails(&script);
    a_check_finds_rows(&check);
    the_books_differ(&reconcile);
    a_step_takes_too_long(&deadline);
    a_script_ends_its_transaction(&commit);
    what_is_known_beforehand_stops_early(&known);
    // What was rolled back is the state that a person finds; where nothing ran there is the dump.
    for (handed_in, step) in
        [(&script, Some("1.0-2.1/split")), (&reconcile, Some("reconcile")), (&known, None)]
    {
        let saved = fleet.ledger.checkpoint(handed_in.id()).await.unwrap();
        assert_eq!(saved.map(|(_, saved)| saved.step).as_deref(), step, "{handed_in:?}");
    }

    no_row_is_in_a_platform_log(&fleet, &check);

    another_database_under_the_same_name(&fleet, &other).await;
    a_retry_queues_again(&fleet, &script).await;
    fleet.stop().await;
}

fn a_script_fails(handed_in: &HandedIn) {
    let failure = handed_in.failure();
    assert_eq!(
        *failure,
        json!({
            "code": "script_failed",
            "step": "1.0-2.1/split",
            "file": "fails.sql",
            "line": 7,
            "statement": "INSERT INTO half_done\nSELECT no_such_column FROM contact;",
            "sqlstate": "42703",
            "message": "column \"no_such_column\" does not exist",
        })
    );
    let words = "step 1.0-2.1/split failed at fails.sql:7: column \"no_such_column\" does not exist";
    assert_eq!(handed_in.message(), words);
}

fn a_check_finds_rows(handed_in: &HandedIn) {
    let failure = handed_in.failure();
    assert_eq!(handed_in.message(), "step 1.0-2.2/no-accounts failed at finds.sql:2: No account may be left");
    let detail = failure["detail"].as_str().unwrap();
    assert_eq!(detail.lines().count(), 6, "five rows, and a sign that there are more: {detail}");
    assert!(detail.starts_with("code=") && detail.ends_with('…'), "{detail}");
}

/// The rows that a check found are in the failure, and in no log of ours.
fn no_row_is_in_a_platform_log(fleet: &Fleet, check: &HandedIn) {
    let detail = check.failure()["detail"].as_str().unwrap();
    for process in fleet.workers.iter().chain([&fleet.dispatcher]) {
        let log = process.log();
        assert!(!log.is_empty());
        for row in detail.lines().filter(|row| row.starts_with("code=")) {
            assert!(!log.contains(row), "a platform log holds {row}");
        }
    }
}

fn the_books_differ(handed_in: &HandedIn) {
    assert_eq!(handed_in.failure()["step"], "reconcile");
    assert_eq!(handed_in.message(), "step reconcile failed: Ledger differs after the upgrade");
    // The generator makes the same money every time.
    let detail = "debit: 9007199391604289.60 before, 9007199391604289.59 after";
    assert_eq!(handed_in.failure()["detail"], detail);
}

fn a_step_takes_too_long(handed_in: &HandedIn) {
    let failure = json!({"code": "deadline_passed", "place": "1.0-2.4/wait", "seconds": 1});
    assert_eq!(*handed_in.failure(), failure);
}

fn a_script_ends_its_transaction(handed_in: &HandedIn) {
    let failure = handed_in.failure();
    assert_eq!((&failure["file"], &failure["line"]), (&json!("commits.sql"), &json!(2)));
    assert!(handed_in.message().contains("write `transaction = false` in pack.toml"), "{handed_in:?}");
}

fn what_is_known_beforehand_stops_early(handed_in: &HandedIn) {
    assert_eq!(handed_in.failure()["step"], "preflight/contacts");
    let words = "step preflight/contacts failed: the database holds what the upgrade cannot go on with: Contacts have \
                 to be moved by hand (";
    assert!(handed_in.message().starts_with(words), "{handed_in:?}");
}

/// `shop-2.1` is known by now; a dump of another shop under its name may be a customer's mistake.
async fn another_database_under_the_same_name(fleet: &Fleet, other: &std::path::Path) {
    let handed_in = fleet.hand_in(Purpose::Test, other, "2.1", "shop-2.1").await;
    assert_eq!(handed_in.code, Some(11), "{handed_in:?}");
    assert_eq!(handed_in.failure()["step"], "identity");
    assert!(handed_in.message().contains("another database than the earlier ones under the name `shop-2.1`"));
}

async fn a_retry_queues_again(fleet: &Fleet, failed: &HandedIn) {
    let id = failed.id().to_string();
    let customer =
        fleet.uplift().env_remove("UPLIFT_OPS_TOKEN").args(["ops", "retry", &id]).output().unwrap();
    assert_eq!(customer.status.code(), Some(4), "a customer retried by himself");

    fleet.must(&["ops", "retry", &id]);
    let again = eventually("the second attempt fails like the first", LIMIT, async || {
        let request = fleet.request(failed.id()).await;
        (request.epoch.0 == 2 && request.state.code() == StateCode::Intervention).then_some(request)
    });
    again.await;
    let shown: Value = serde_json::from_slice(&fleet.run(&["--json", "status", &id]).stdout).unwrap();
    assert_eq!(shown["attempt"], 2);
    assert_eq!(shown["failure"]["failure"], *failed.failure());
    let log = fleet.log(failed.id()).await;
    assert_eq!(log.matches("step 1.0-2.1/split failed at fails.sql:7").count(), 2, "{log}");

    // What waits for a person can be taken back; then it is nobody's any more.
    fleet.must(&["cancel", &id]);
    assert_eq!(fleet.run(&["status", &id]).status.code(), Some(1));
    let late = fleet.run(&["ops", "retry", &id]);
    assert_eq!(late.status.code(), Some(1), "{late:?}");
}
