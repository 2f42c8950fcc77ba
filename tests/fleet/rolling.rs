//! Processes that are of another version than their ledger.

use uplift_platform::Ledger;
use uplift_tests::{
    SOON, eventually,
    fleet::{Fleet, Options},
    postgres::Database,
    process::Process,
};

/// A worker and an exporter start before any dispatcher has made the ledger.
#[tokio::test]
async fn who_meets_an_older_ledger_says_so_and_waits() {
    let fleet = Fleet::with(Options { workers: 0, ..Options::default() }).await;
    let empty = Database::create("ledger").await;
    let start = |program: &str, log: &str| {
        let settings = [
            ("LEDGER__URL".to_owned(), empty.url()),
            ("EXPORTER__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ];
        let config = fleet.file("uplift.toml");
        Process::start_with(program, &["--config", config.to_str().unwrap()], &settings, &fleet.file(log))
    };
    let mut stopped = start("uplift-worker", "stopped.log");
    let mut worker = start("uplift-worker", "waiting.log");
    let exporter = start("uplift-exporter", "exporter.log");
    for process in [&stopped, &worker, &exporter] {
        eventually("it says what it waits for", SOON, async || {
            process.log().contains("the ledger's schema is older than this program").then_some(())
        })
        .await;
    }
    // Waiting is no reason not to stop.
    stopped.signal("TERM");
    assert!(eventually("it stops", SOON, async || stopped.ended()).await.success());

    assert!(!worker.log().contains("\"ready\""), "the worker did not wait");
    Ledger::migrate(&empty.url().into()).await.unwrap();
    eventually("the worker is ready", SOON, async || worker.log().contains("\"ready\"").then_some(())).await;
    worker.signal("TERM");
    assert!(eventually("the worker stops", SOON, async || worker.ended()).await.success());
    drop(exporter);
    empty.remove().await;
    fleet.stop().await;
}
