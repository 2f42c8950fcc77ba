//! What is kept of requests that have ended, and until when.

use serde_json::Value;
use uplift_core::{Purpose, RequestId, key};
use uplift_tests::{
    eventually,
    fleet::{Fleet, Options},
    repository,
    request::LIMIT,
};

use crate::dumps;

#[tokio::test]
async fn dumps_and_results_go_when_it_is_time_or_somebody_wants_it() {
    let fleet = Fleet::with(Options { workers: 1, ..Options::default() }).await;
    fleet.push_pack(&repository("deploy/packs/sample"));
    let sample = dumps::sample().await;
    let text = dumps::text(&fleet, &sample);
    sample.remove().await;
    let dump = dumps::file(&fleet, "shop.sql", text.as_bytes());

    let test = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    let early = fleet.run(&["delete", &test.to_string()]);
    let said = String::from_utf8_lossy(&early.stderr);
    assert!(early.status.code() == Some(1) && said.contains("it cannot be deleted now"), "{said}");
    fleet.delivered(test).await;
    fleet.must(&["accept", &test.to_string()]);
    let production = fleet.submit(Purpose::Production, &dump, "3.0", "shop");
    fleet.delivered(production).await;

    // A week later the test's dump is gone; production keeps its own, as a backup.
    passes(&fleet, 8);
    eventually("the test's dump is removed", LIMIT, async || {
        fleet.request(test).await.source_deleted_at.map(drop)
    })
    .await;
    let left = objects(&fleet, test).await;
    assert!(!left.contains(&key::source(test)) && left.iter().any(|key| key.contains("result")), "{left:?}");
    let refused = fleet.run(&["download", &test.to_string(), "--source"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("was removed on "), "{said}");
    fleet.must(&["download", &test.to_string(), "--out", "tested"]);
    fleet.must(&["download", &production.to_string(), "--source", "--out", "backup"]);
    assert_eq!(std::fs::read(fleet.file("backup/shop.sql")).unwrap(), text.as_bytes());
    assert!(fleet.request(production).await.source_deleted_at.is_none());

    // Somebody wants one gone at once; the other goes in its time.
    let log = fleet.log(test).await;
    assert!(log.contains("delivered"), "{log}");
    fleet.database.psql_command(&format!(
        "UPDATE requests SET notify_email = 'ann@example.com' WHERE id = '{test}';
         INSERT INTO notifications (request_id, topic, email, next_at)
         VALUES ('{test}', 'request.delivered', 'ann@example.com', NULL)"
    ));
    let removed = fleet.must(&["delete", &test.to_string()]);
    assert!(removed.contains("removed") && removed.contains("everything"), "{removed}");
    assert_eq!((objects(&fleet, test).await, fleet.log(test).await), (Vec::new(), String::new()));
    let gone = fleet.run(&["download", &test.to_string()]);
    let said = String::from_utf8_lossy(&gone.stderr);
    assert!(gone.status.code() == Some(1) && said.contains("was removed"), "{said}");
    let addresses =
        "SELECT (SELECT count(notify_email) FROM requests) + (SELECT count(email) FROM notifications)";
    assert_eq!(fleet.database.value(addresses).await, "0");
    let who = "SELECT actor FROM audit WHERE action = 'delete' AND request_id = ";
    let by = fleet.database.value(&format!("{who}'{test}'")).await;
    assert!(by.starts_with("customer acme"), "{by}");
    let list: Value = serde_json::from_str(&fleet.must(&["--json", "status"])).unwrap();
    assert_eq!(list["requests"].as_array().unwrap().len(), 2, "{list}");

    passes(&fleet, 31);
    eventually("production's files are removed", LIMIT, async || {
        fleet.request(production).await.deleted_at.map(drop)
    })
    .await;
    assert_eq!(objects(&fleet, production).await, Vec::<String>::new());
    assert_eq!(fleet.database.value(&format!("{who}'{production}'")).await, "retention");
    // The accepted test still counts: its row is what production asks.
    let again = fleet.submit(Purpose::Production, &dump, "3.0", "shop");
    fleet.delivered(again).await;
    fleet.stop().await;
}

#[tokio::test]
async fn what_failures_quote_of_rows_goes_with_the_rest() {
    let fleet = Fleet::with(Options { workers: 1, ..Options::default() }).await;
    fleet.push_pack(&repository("tests/packs/troubled"));
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;
    let failed = fleet.hand_in(Purpose::Test, &dump, "2.1", "shop").await;
    let id = failed.id();
    fleet.must(&["cancel", &id.to_string()]);
    fleet.must(&["delete", &id.to_string()]);
    for table in ["attempts", "interventions"] {
        let quoted = format!(
            "SELECT count(*) FROM {table} WHERE request_id = '{id}' AND failure ?| '{{statement,detail}}' AND failure ? 'message'"
        );
        assert_eq!(fleet.database.value(&quoted).await, "0", "{table}");
    }
    assert_eq!(objects(&fleet, id).await, Vec::<String>::new());
    fleet.stop().await;
}

/// Lets so many days pass since requests have ended.
fn passes(fleet: &Fleet, days: u32) {
    fleet.database.psql_command(&format!(
        "UPDATE requests SET finished_at = now() - interval '{days} days' WHERE finished_at IS NOT NULL"
    ));
}

async fn objects(fleet: &Fleet, request: RequestId) -> Vec<String> {
    let found = fleet.objects.list(&format!("requests/{request}/")).await.unwrap();
    found.into_iter().map(|object| object.key).collect()
}
