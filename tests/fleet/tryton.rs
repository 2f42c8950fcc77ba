//! Tryton from 6.0 to 8.0 in one request, by Tryton's own code; and what its code says of a database before and after.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use uplift_core::{Purpose, request::State};
use uplift_tests::{
    data,
    fleet::{Fleet, Options},
    postgres::{Database, tool},
    repository,
    request::report,
};

use crate::kept::checkpoint;

/// Two updates and two validations of every record, on a busy machine.
const LIMIT: Duration = Duration::from_secs(2700);

/// A step of the pack that the documentation wants, and without which Tryton's update fails.
const RENAMES: &str = "[[hop.step]]\nname = \"before\"\nsql = \"7.0-8.0/before.sql\"\n\n";

/// Dictionaries and selections of several that are texts still.
const TEXTS: &str = "SELECT coalesce(string_agg(c.table_name || '.' || c.column_name, ' '), '')
    FROM ir_model_field f JOIN information_schema.columns c
      ON c.table_name = replace(f.model, '.', '_') AND c.column_name = f.name
    WHERE f.ttype IN ('dict', 'multiselection') AND c.data_type <> 'jsonb'";

/// What people have entered or the ERP has made of it; templates, settings and histories apart. It was 4,111 when this was
/// written.
const RECORDS: &str = "SELECT (SELECT count(*) FROM stock_move) + (SELECT count(*) FROM account_move_line)
    + (SELECT count(*) FROM party_party) + (SELECT count(*) FROM party_address)
    + (SELECT count(*) FROM party_contact_mechanism) + (SELECT count(*) FROM product_product)
    + (SELECT count(*) FROM sale_line) + (SELECT count(*) FROM purchase_line)
    + (SELECT count(*) FROM account_invoice) + (SELECT count(*) FROM account_invoice_line)";

#[tokio::test]
async fn a_database_made_by_tryton_6_says_the_same_to_tryton_8() {
    let fleet = Fleet::with(Options { workers: 1, ..Options::default() }).await;
    fleet.push_pack(&repository("deploy/packs/tryton"));
    let made = Database::create("tryton").await;
    tryton("6.0", &made, &["python3", "/tests/make.py", &made.name]);
    let before = read("6.0", &made);
    many(&before);
    let records: u32 = made.value(RECORDS).await.parse().unwrap();
    assert!(records > 3000, "{records} records");
    let dump = fleet.file("tryton.dump");
    dump_custom(&made, &dump);
    made.remove().await;

    let request = fleet.submit(Purpose::Test, &dump, "8.0", "tryton");
    fleet.delivered_within(request, LIMIT).await;
    let downloads = fleet.download(request);
    let report = check_report(&downloads);
    let invoices =
        report["reconcile"].as_array().unwrap().iter().find(|pair| pair["before"]["name"] == "invoices");
    assert!(
        invoices.is_some_and(|pair| pair["before"]["items"].as_array().unwrap().len() > 3),
        "{invoices:?}"
    );
    let upgraded = restored(&downloads).await;
    says_the_same(&before, &read("8.0", &upgraded));
    validate("8.0", &upgraded);
    assert_eq!(upgraded.value(TEXTS).await, "");
    upgraded.remove().await;
    fleet.stop().await;
}

#[tokio::test]
async fn a_database_of_somebody_goes_through_and_one_step_less_is_an_intervention() {
    let fleet = Fleet::with(Options { workers: 1, ..Options::default() }).await;
    let dump = data("tryton60.dump");
    let before = Database::create("before").await;
    restore(&before, &dump);
    let said = read("6.0", &before);

    fleet.push_pack(&repository("deploy/packs/tryton"));
    let request = fleet.submit(Purpose::Test, &dump, "8.0", "theirs");
    fleet.delivered_within(request, LIMIT).await;
    let downloads = fleet.download(request);
    check_report(&downloads);
    let upgraded = restored(&downloads).await;
    says_the_same(&said, &read("8.0", &upgraded));
    validate("8.0", &upgraded);
    upgraded.remove().await;

    without_the_renames(&fleet);
    let request = fleet.submit(Purpose::Test, &dump, "8.0", "fails");
    let State::Intervention { failure } = fleet.ended_within(request, LIMIT).await else {
        panic!("{}", fleet.log(request).await)
    };
    let failure = serde_json::to_value(failure).unwrap();
    let error = "psycopg.errors.UndefinedColumn: column \"string\" of relation \"ir_model\" does not exist";
    assert_eq!(
        (&failure["step"], &failure["message"]),
        (&json!("7.0-8.0/update"), &json!(error)),
        "{failure}"
    );
    let detail = failure["detail"].as_str().unwrap();
    assert!(
        detail.contains("Traceback (most recent call last):") && detail.contains("trytond/ir/model.py"),
        "{detail}"
    );

    // What is saved is what the first hop has made, and 7.0 can work with it.
    let (saved, file) = checkpoint(&fleet, request).await;
    assert_eq!(saved.step, "7.0-8.0/update");
    let kept = Database::create("kept").await;
    restore(&kept, &file);
    says_the_same(&said, &read("7.0", &kept));
    assert_eq!(
        kept.value(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'ir_model'::regclass AND attname = 'string'"
        )
        .await,
        "0"
    );
    fleet.must(&["cancel", &request.to_string()]);
    kept.remove().await;
    before.remove().await;
    fleet.stop().await;
}

/// The query alone: what it finds could not be handed in, and the database that Tryton has made has none of it.
#[tokio::test]
async fn shipments_that_7_would_find_wrong_are_told() {
    const TABLES: &str = "
        CREATE TABLE stock_location (id int, parent int, type text);
        INSERT INTO stock_location VALUES (1, NULL, 'warehouse'), (2, 1, 'storage'), (3, 2, 'storage'),
            (4, NULL, 'warehouse'), (5, 4, 'storage'), (6, NULL, 'storage');
        CREATE TABLE stock_shipment_internal
            (number text, state text, planned_start_date date, planned_date date, from_location int, to_location int);
        INSERT INTO stock_shipment_internal VALUES
            ('elsewhere in a day', 'waiting', '2026-01-02', '2026-01-02', 3, 5),
            ('elsewhere overnight', 'assigned', '2026-01-01', '2026-01-02', 3, 5),
            ('within overnight', 'shipped', '2026-01-01', '2026-01-02', 2, 3),
            ('within in a day', 'waiting', '2026-01-02', '2026-01-02', 2, 3),
            ('within without a day', 'waiting', NULL, NULL, 2, 3),
            ('to no warehouse overnight', 'waiting', '2026-01-01', '2026-01-02', 2, 6),
            ('arrived', 'done', '2026-01-02', '2026-01-02', 3, 5),
            ('not begun', 'draft', '2026-01-02', '2026-01-02', 3, 5)";

    let database = Database::create("shipments").await;
    database.psql_command(TABLES);
    let query = repository("deploy/packs/tryton/6.0-7.0/internal-shipments.sql");
    let query = std::fs::read_to_string(query).unwrap();
    database.psql_command(&format!("CREATE VIEW wrong AS {query}"));
    let told = database.value("SELECT string_agg(number, ', ' ORDER BY number) FROM wrong").await;
    assert_eq!(told, "elsewhere in a day, to no warehouse overnight, within overnight");
    database.remove().await;
}

/// The pack's lists of modules are those of the images, and what 8.0 has given up is taken off by a step.
#[test]
fn the_packs_modules_are_those_of_the_images() {
    let given_up = BTreeSet::from(["account_de_skr03", "account_es", "account_es_sii", "google_maps"]);
    let images = std::fs::read_to_string(repository("docker/runners/tryton/modules.txt")).unwrap();
    let modules = |series: &str| -> BTreeSet<&str> {
        let lines = images.lines().filter(|line| !line.starts_with('#'));
        let of_series = lines.filter(|line| line.split(' ').skip(1).any(|word| word.starts_with(series)));
        of_series.filter_map(|line| line.split(' ').next()).chain(["ir", "res"]).collect()
    };
    let lists = [
        ("custom-modules.sql", modules("")),
        ("6.0-7.0/modules-without-code.sql", modules("7.0")),
        ("7.0-8.0/modules-without-code.sql", &modules("8.0") | &given_up),
    ];
    for (file, expected) in lists {
        let sql = std::fs::read_to_string(repository("deploy/packs/tryton").join(file)).unwrap();
        let (_, values) = sql.split_once("VALUES").unwrap();
        let listed: BTreeSet<&str> =
            values.split("('").filter_map(|rest| rest.split_once("')")).map(|(name, _)| name).collect();
        assert_eq!(listed, expected, "{file}");
    }
    let before = std::fs::read_to_string(repository("deploy/packs/tryton/7.0-8.0/before.sql")).unwrap();
    assert!(given_up.iter().all(|module| before.contains(&format!("'{module}'"))), "{before}");
}

/// The path, every step of both hops, and what they cost.
fn check_report(downloads: &Path) -> Value {
    let report = report(downloads);
    assert_eq!((&report["path"], &report["product"]), (&json!(["6.0", "7.0", "8.0"]), &json!("tryton")));
    let steps = report["steps"].as_array().unwrap();
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    let expected = [
        ["6.0-7.0"; 6].iter().zip(["before", "update", "price-lists", "caches", "validate", "arrived"]),
        ["7.0-8.0"; 6].iter().zip(["before", "update", "budgets", "fill", "validate", "arrived"]),
    ];
    let expected: Vec<_> =
        expected.into_iter().flatten().map(|(hop, name)| format!("{hop}/{name}")).collect();
    assert_eq!(names, expected);
    for step in steps.iter().filter(|step| step["step"].as_str().unwrap().ends_with("/update")) {
        assert!(step["checkpoint"]["bytes"].as_u64() > Some(10 << 20), "{step}");
        assert!(step["timings"].as_array().unwrap().len() > 5, "{step}");
    }
    for pair in report["reconcile"].as_array().unwrap() {
        assert!(pair["equal"] == true || !pair["before"]["skipped"].is_null(), "{pair:#}");
    }
    report
}

/// The pack without what its hop to 8.0 begins with.
fn without_the_renames(fleet: &Fleet) {
    let folder = fleet.file("one-step-less");
    let copied =
        Command::new("cp").arg("-r").arg(repository("deploy/packs/tryton")).arg(&folder).status().unwrap();
    assert!(copied.success());
    let manifest = std::fs::read_to_string(folder.join("pack.toml")).unwrap();
    assert!(manifest.contains(RENAMES), "the pack has no such step any more");
    std::fs::write(folder.join("pack.toml"), manifest.replace(RENAMES, "")).unwrap();
    fleet.push_pack(&folder);
}

/// Enough of each to compare.
fn many(said: &Value) {
    for (what, least) in [("balances", 10), ("invoices", 50), ("quantities", 20)] {
        let counted = said[&format!("{what} of 1")].as_object().map_or(0, serde_json::Map::len);
        assert!(counted >= least, "{counted} {what}");
    }
}

#[track_caller]
fn says_the_same(before: &Value, after: &Value) {
    for (what, values) in before.as_object().unwrap() {
        assert_eq!(values, &after[what], "{what}");
    }
}

/// What a series' own code says of a database.
fn read(series: &str, database: &Database) -> Value {
    serde_json::from_str(&tryton(
        series,
        database,
        &["uplift-tryton", "python3", "/tests/read.py", &database.name],
    ))
    .unwrap()
}

/// Has a series' own code look at every record.
fn validate(series: &str, database: &Database) {
    tryton(series, database, &["uplift-tryton", "trytond-admin", "-d", &database.name, "--validate"]);
}

/// Runs a series' own code on the cluster of the tests; gives what it writes.
fn tryton(series: &str, database: &Database, command: &[&str]) -> String {
    let url = url::Url::parse(&uplift_tests::services::variable("UPLIFT_TEST_LEDGER_URL")).unwrap();
    let output = Command::new("docker")
        .args([
            "run",
            "--rm",
            "--network=host",
            "--read-only",
            "--tmpfs=/scratch:mode=1777",
            "--tmpfs=/tmp:mode=1777",
        ])
        .args(["--env", "HOME=/scratch", "--env", "UPLIFT_PACK=/pack"])
        .args(["--env", &format!("PGHOST={}", url.host_str().unwrap())])
        .args(["--env", &format!("PGPORT={}", url.port().unwrap_or(5432))])
        .args(["--env", &format!("PGUSER={}", url.username())])
        .args(["--env", &format!("PGPASSWORD={}", url.password().unwrap_or_default())])
        .args(["--env", &format!("PGDATABASE={}", database.name)])
        .arg("--volume")
        .arg(format!("{}:/tests:ro", repository("tests/tryton").display()))
        .arg("--volume")
        .arg(format!("{}:/pack:ro", repository("deploy/packs/tryton").display()))
        .arg(format!("uplift/tryton:{series}"))
        .args(command)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    assert!(!said.contains(" ERROR "), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A result that was downloaded, in a database of its own.
async fn restored(downloads: &Path) -> Database {
    let result = std::fs::read_dir(downloads).unwrap().map(|entry| entry.unwrap().path());
    let result: Vec<PathBuf> =
        result.filter(|path| path.extension().is_some_and(|end| end == "dump")).collect();
    let database = Database::create("upgraded").await;
    restore(&database, &result[0]);
    database
}

fn restore(database: &Database, dump: &Path) {
    let mut command = Command::new(tool("pg_restore"));
    command.args(["--no-owner", "--no-privileges", "--exit-on-error", "-d", &database.url()]).arg(dump);
    assert!(command.status().unwrap().success(), "restore {}", dump.display());
}

fn dump_custom(database: &Database, to: &Path) {
    let mut command = Command::new(tool("pg_dump"));
    command
        .args(["--format=custom", "--no-owner", "--no-privileges", "-d", &database.url(), "--file"])
        .arg(to);
    assert!(command.status().unwrap().success(), "dump {}", database.name);
}
