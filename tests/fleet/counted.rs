//! What an exporter remembers is what it would count anew.

use std::time::Duration;

use uplift_exporter::families::EDGES;
use uplift_platform::ledger::{Kept, Metrics, Past};
use uplift_tests::{
    fleet::{Fleet, Options},
    repository,
};

use crate::exporter::submit;

/// Whether something was counted before or is counted now, the totals are the same.
#[tokio::test]
async fn what_has_ended_is_counted_once() {
    let fleet = Fleet::with(Options { workers: 1, ..Options::default() }).await;
    fleet.push_pack(&repository("deploy/packs/sample"));
    let kept = Kept { source: Duration::from_secs(60), result: Duration::from_secs(60) };
    let mut past = Past::new(&EDGES);
    let first = submit(&fleet).await;
    fleet.delivered(first).await;
    // An hour ago, and long enough ago that it is counted for good; what comes now is not.
    for table in ["requests", "attempts", "stages", "steps"] {
        let columns: &[&str] = match table {
            "requests" => &["promised_from", "started_at", "finished_at"],
            _ => &["started_at", "ended_at"],
        };
        let set: Vec<String> =
            columns.iter().map(|column| format!("{column} = {column} - interval '1 hour'")).collect();
        fleet.database.psql_command(&format!("UPDATE {table} SET {}", set.join(", ")));
    }
    for others in [0, 1] {
        if others == 1 {
            let second = submit(&fleet).await;
            fleet.delivered(second).await;
        }
        let anew = fleet.ledger.metrics(&Past::new(&EDGES), kept).await.unwrap();
        fleet.ledger.catch_up(&mut past).await.unwrap();
        let remembered = fleet.ledger.metrics(&past, kept).await.unwrap();
        let told = |metrics: &Metrics| {
            let samples =
                [&metrics.requests, &metrics.sla_events, &metrics.attempts, &metrics.restored_bytes];
            let durations = [
                &metrics.request_durations,
                &metrics.waits,
                &metrics.stage_durations,
                &metrics.step_durations,
            ];
            format!("{samples:#?} {durations:#?}")
        };
        assert_eq!(told(&anew), told(&remembered));
        let delivered: f64 = remembered.attempts.iter().map(|sample| sample.value).sum();
        assert_eq!(delivered, 1.0 + f64::from(others));
        // It is remembered, and not asked for again.
        fleet.database.psql_command(&format!("UPDATE requests SET state = 'rejected' WHERE id = '{first}'"));
        let later = fleet.ledger.metrics(&past, kept).await.unwrap();
        assert_eq!(told(&remembered), told(&later));
        fleet.database.psql_command(&format!("UPDATE requests SET state = 'delivered' WHERE id = '{first}'"));
    }
    fleet.stop().await;
}
