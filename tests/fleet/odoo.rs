//! A real Odoo database: recognised by the pack that ships, upgraded by one that changes it for real.

use std::path::Path;

use serde_json::{Value, json};
use uplift_core::Purpose;
use uplift_tests::{
    compare, data,
    fleet::{Fleet, Options},
    packs,
    postgres::Database,
    repository,
    request::report,
};

use crate::dumps;

const DUMP: &str = "odoo17-demo.sql.gz";
const ACTIVE_JOBS: &str = "SELECT count(*) FROM ir_cron WHERE active";

#[tokio::test]
async fn odoo_goes_through_for_test_and_for_production() {
    let fleet = Fleet::with(Options::default()).await;
    let dump = data(DUMP);
    fleet.push_pack(&repository("deploy/packs/odoo"));
    a_version_without_a_path_is_refused(&fleet, &dump).await;

    let folder = fleet.file("odoo-test");
    packs::odoo_test(&folder);
    fleet.push_pack(&folder);
    let test = the_test_is_neutralized(&fleet).await;
    fleet.must(&["accept", &test]);

    let production = fleet.submit(Purpose::Production, &dump, "17.1", "odoo");
    fleet.delivered(production).await;
    let downloads = fleet.download(production);
    let result = downloads.join("odoo-17.1.sql.gz");
    assert!(std::fs::read(&result).unwrap().starts_with(&[0x1f, 0x8b]), "what came in gzipped goes out so");

    let upgraded = Database::create("upgraded").await;
    upgraded.restore(&result);
    let by_hand = Database::create("by_hand").await;
    by_hand.restore(&dump);
    for file in packs::steps(&folder, "17.0", "17.1") {
        by_hand.psql_file(&file, &[]);
    }
    compare::assert_same(&by_hand, &upgraded).await;
    // The comparison is worth something only where the scripts have done what they say.
    assert_eq!(upgraded.value("SELECT count(*) FROM res_partner_address").await, "45");
    assert_eq!(upgraded.value("SELECT count(*) FROM res_partner WHERE signature IS NOT NULL").await, "7");
    assert_ne!(upgraded.value(ACTIVE_JOBS).await, "0", "production is not neutralized");

    check_report(&report(&downloads), &upgraded).await;
    upgraded.remove().await;
    by_hand.remove().await;
    fleet.stop().await;
}

async fn a_version_without_a_path_is_refused(fleet: &Fleet, dump: &Path) {
    let refused = fleet.hand_in(Purpose::Test, dump, "16.0", "odoo").await;
    assert_eq!(refused.code, Some(10), "{refused:?}");
    let message = refused.message();
    let expected = "there is no way from Odoo 17.0 to 16.0; supported upgrades of Odoo: 14.0 → 17.0, ";
    assert!(message.starts_with(expected) && message.ends_with("17.0 → 19.0, 18.0 → 19.0"), "{message}");
    let [product, version] = ["product", "source_version"].map(|field| refused.request[field].as_str());
    assert_eq!((product, version), (Some("odoo"), Some("17.0")));
}

/// Sends the dump as a raw file, so that the result has to be one, too. Gives the request.
async fn the_test_is_neutralized(fleet: &Fleet) -> String {
    let raw = dumps::file(fleet, "odoo.sql", &dumps::gunzip(&data(DUMP)));

    let test = fleet.submit(Purpose::Test, &raw, "17.1", "odoo");
    fleet.delivered(test).await;
    let downloads = fleet.download(test);
    let result = downloads.join("odoo-17.1.sql");
    assert!(std::fs::read(&result).unwrap().starts_with(b"--\n-- PostgreSQL database dump"));
    let report = report(&downloads);
    assert_eq!(report["neutralized"], true);

    let copy = Database::create("copy").await;
    copy.restore(&result);
    assert_eq!(copy.value(ACTIVE_JOBS).await, "0");
    let servers = "SELECT string_agg(DISTINCT smtp_host, ',') FROM ir_mail_server WHERE active";
    assert_eq!(copy.value(servers).await, "neutralized.invalid");
    copy.remove().await;
    test.to_string()
}

async fn check_report(report: &Value, upgraded: &Database) {
    assert_eq!(report["path"], json!(["17.0", "17.1"]));
    assert_eq!((&report["proven"], &report["neutralized"]), (&json!(true), &json!(false)));
    assert_eq!(report["custom_modules"], json!([]), "a demo database has none");
    // pg_dump was told to name no owners, and always writes this comment.
    assert_eq!(report["left_out"], json!([{ "what": "comments on extensions", "count": 1 }]));

    let tables = report["tables"].as_array().unwrap();
    let marked = tables.iter().filter(|table| has(&table["columns_added"], "came_from")).count();
    assert!(marked > 400, "{marked} tables were touched");
    let table = |name: &str| tables.iter().find(|table| table["table"] == name).expect(name);
    assert_eq!(table("public.res_users")["columns_dropped"], json!(["signature"]));
    let partner = table("public.res_partner");
    assert_eq!(partner["columns_dropped"], json!(["street", "street2", "zip", "city"]));
    assert_eq!(partner["columns_added"], json!(["came_from", "signature"]));
    let address = table("public.res_partner_address");
    assert_eq!((&address["rows_before"], &address["rows_after"]), (&Value::Null, &json!(45)));
    let mut connection = upgraded.connect().await;
    for table in tables {
        let name = table["table"].as_str().unwrap();
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {name}"));
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap();
        assert_eq!(table["rows_after"], rows, "{name}");
    }

    let reconciled = report["reconcile"].as_array().unwrap();
    for pair in reconciled {
        assert_eq!(pair["equal"], true, "{pair:#}");
    }
    for name in ["trial_balance", "open_receivables_payables", "stock_quantities", "addresses", "signatures"]
    {
        let pair = reconciled.iter().find(|pair| pair["before"]["name"] == name).expect(name);
        assert!(!pair["after"]["items"].as_array().unwrap().is_empty(), "{name} compares nothing");
    }
}

fn has(list: &Value, name: &str) -> bool {
    list.as_array().unwrap().iter().any(|item| item == name)
}
