//! The sample ERP goes 1.0 → 3.0: for test, accepted, for production.

use uplift_core::Purpose;
use uplift_tests::{compare, fleet::Fleet, packs, postgres::Database, repository, request::report};

/// A sample 1.0 database of the given scale, and its dump beside the fleet.
async fn source(fleet: &Fleet, scale: &str) -> (Database, std::path::PathBuf) {
    let source = Database::create("sample").await;
    source.psql_file(&repository("deploy/packs/sample/generate.sql"), &[("scale", scale)]);
    let dump = fleet.file("shop.sql.gz");
    source.dump(&dump);
    (source, dump)
}

#[tokio::test]
async fn the_sample_goes_through_for_test_and_for_production() {
    let fleet = Fleet::start().await;
    let (source, dump) = source(&fleet, "1").await;

    // Production before a test was accepted is refused, and says what is missing.
    let refused =
        fleet.run(&["production", "--dump", dump.to_str().unwrap(), "-t", "3.0", "--database", "shop"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("no accepted test of database `shop`"), "{said}");

    let test = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    fleet.delivered(test).await;
    let folder = fleet.download(test);
    let result = Database::create("result").await;
    result.restore(&folder.join("shop-3.0.sql.gz"));
    assert_eq!(result.value("SELECT value FROM erp_meta WHERE key = 'version'").await, "3.0");
    assert_eq!(result.value("SELECT count(*) FROM partner").await, "1000");
    assert_eq!(result.value("SELECT sum(amount) FROM ledger_item").await, "0.00");
    assert_eq!(result.value("SELECT count(*) FROM integration WHERE active").await, "0");

    fleet.must(&["accept", &test.to_string()]);
    let production = fleet.submit(Purpose::Production, &dump, "3.0", "shop");
    fleet.delivered(production).await;
    let folder = fleet.download(production);
    let upgraded = Database::create("result").await;
    upgraded.restore(&folder.join("shop-3.0.sql.gz"));
    assert_ne!(upgraded.value("SELECT count(*) FROM integration WHERE active").await, "0");

    an_older_server_takes_its_result(&fleet, &dump).await;

    // What came out is at its target already.
    let again = fleet.submit(Purpose::Test, &folder.join("shop-3.0.sql.gz"), "3.0", "again");
    let said = fleet.rejected(again).await;
    assert!(said.contains("is at Sample ERP 3.0 already"), "{said}");

    // By hand: the same scripts on the source give the same database.
    for file in packs::steps(&repository("deploy/packs/sample"), "1.0", "3.0") {
        source.psql_file(&file, &[]);
    }
    compare::assert_same(&source, &upgraded).await;

    let report = report(&folder);
    assert_eq!(report["path"], serde_json::json!(["1.0", "2.0", "3.0"]));
    assert_eq!(report["proven"], true);
    assert!(
        report["reconcile"].as_array().unwrap().iter().any(|pair| pair["before"]["name"] == "trial_balance")
    );

    for database in [source, result, upgraded] {
        database.remove().await;
    }
    fleet.stop().await;
}

/// There is no image of 16, so 17 does its work; what comes out holds nothing that only 17 knows.
async fn an_older_server_takes_its_result(fleet: &Fleet, dump: &std::path::Path) {
    let (from, to) = ("-- Dumped from database version 15", "-- Dumped from database version 16");
    let older = fleet.file("sixteen.sql");
    let script = format!("zcat {} | sed 's/^{from}/{to}/' > {}", dump.display(), older.display());
    assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let request = fleet.submit(Purpose::Test, &older, "3.0", "sixteen");
    fleet.delivered(request).await;
    let folder = fleet.download(request);
    assert_eq!(report(&folder)["postgres_major"], 17);
    // The suite's Postgres is older than 17, and psql stops at the first error.
    let result = Database::create("older").await;
    result.restore(&folder.join("sixteen-3.0.sql"));
    assert_eq!(result.value("SELECT value FROM erp_meta WHERE key = 'version'").await, "3.0");
    result.remove().await;
}
