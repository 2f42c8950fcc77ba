//! Every format through the fleet: what comes in packed somehow goes out so, or as it was asked for.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use uplift_core::{Purpose, RequestId};
use uplift_tests::{
    compare, data,
    fleet::{Fleet, Options},
    packs,
    postgres::{Database, tool},
    request::report,
};

use crate::dumps;

/// Tryton, with a step that changes what its parties look like.
const TRYTON: &str = r#"
product = "tryton"
title = "Tryton"
targets = ["6.1"]
[detect]
requires = ["public.ir_module", "public.party_party"]
version = """
SELECT CASE WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'party_party'::regclass AND attname = 'shout')
            THEN '6.1' ELSE '6.0' END"""
[[hop]]
from = "6.0"
to = "6.1"
[[hop.step]]
name = "shout"
sql = "shout.sql"
[[reconcile]]
name = "parties"
title = "Parties"
compare = "equal"
queries = { "6.0" = "SELECT 'parties', count(*) FROM party_party" }
"#;

const SHOUT: &str = "ALTER TABLE party_party ADD COLUMN shout text;
UPDATE party_party SET shout = upper(name);
CREATE INDEX party_party_shout ON party_party (shout);";

#[tokio::test]
async fn a_backup_of_odoo_comes_back_with_its_filestore() {
    let fleet = Fleet::with(Options::default()).await;
    let folder = fleet.file("odoo-test");
    packs::odoo_test(&folder);
    fleet.push_pack(&folder);
    let backup = data("odoo17-demo.zip");
    let test = fleet.submit(Purpose::Test, &backup, "17.1", "odoo");
    fleet.delivered(test).await;
    fleet.must(&["accept", &test.to_string()]);
    let production = fleet.submit(Purpose::Production, &backup, "17.1", "odoo");
    fleet.delivered(production).await;
    let downloads = fleet.download(production);

    let unpacked = fleet.file("unpacked");
    let manifest = same_filestore(&backup, &downloads.join("odoo-17.1.zip"), &unpacked);
    assert_eq!((&manifest["major_version"], &manifest["pg_version"]), (&json!("17.1"), &json!("15.0")));
    assert_eq!(manifest["modules"].as_object().unwrap().len(), 110);

    let upgraded = Database::create("upgraded").await;
    upgraded.restore(&unpacked.join("dump.sql"));
    let by_hand = Database::create("by_hand").await;
    by_hand.restore(&data("odoo17-demo.sql.gz"));
    for file in packs::steps(&folder, "17.0", "17.1") {
        by_hand.psql_file(&file, &[]);
    }
    compare::assert_same(&by_hand, &upgraded).await;

    let report = report(&downloads);
    assert_eq!(report["formats"], json!({ "source": "zip", "result": "zip" }));
    assert_eq!((&report["files"]["count"], &report["restores_from"]), (&json!(1208), &json!(15)));
    upgraded.remove().await;
    by_hand.remove().await;
    fleet.stop().await;
}

/// Holds the files of two backups against each other with the library that Odoo itself uses, unpacks the second, and
/// gives its manifest.
fn same_filestore(before: &Path, after: &Path, unpacked: &Path) -> Value {
    const PROGRAM: &str = "
import sys, zipfile
before, after = (zipfile.ZipFile(name) for name in sys.argv[1:3])
assert after.testzip() is None
names = [[n for n in z.namelist() if n.startswith('filestore/')] for z in (before, after)]
assert len(names[0]) > 1000 and names[0] == names[1]
assert all(before.read(n) == after.read(n) for n in names[0])
after.extractall(sys.argv[3])
";
    let output =
        Command::new("python3").args(["-c", PROGRAM]).args([before, after, unpacked]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&std::fs::read(unpacked.join("manifest.json")).unwrap()).unwrap()
}

#[tokio::test]
async fn tryton_goes_through_in_custom_format() {
    let fleet = Fleet::with(Options { worker: "prove_tests = true\n".into(), ..Options::default() }).await;
    let folder = fleet.file("pack");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("pack.toml"), TRYTON).unwrap();
    std::fs::write(folder.join("shout.sql"), SHOUT).unwrap();
    fleet.push_pack(&folder);

    let dump = data("tryton60.dump");
    let request = fleet.submit(Purpose::Test, &dump, "6.1", "tryton");
    fleet.delivered(request).await;
    let downloads = fleet.download(request);
    let upgraded = Database::create("upgraded").await;
    pg_restore(&upgraded, &downloads.join("tryton-6.1.dump"));
    let by_hand = Database::create("by_hand").await;
    pg_restore(&by_hand, &dump);
    by_hand.psql_file(&folder.join("shout.sql"), &[]);
    compare::assert_same(&by_hand, &upgraded).await;
    let report = report(&downloads);
    assert_eq!(report["formats"], json!({ "source": "custom", "result": "custom" }));
    assert_eq!(report["proven"], true);

    by_hand.remove().await;
    upgraded.remove().await;
    fleet.stop().await;
}

/// As a person does.
fn pg_restore(database: &Database, dump: &Path) {
    let mut command = Command::new(tool("pg_restore"));
    command.args(["--no-owner", "--no-privileges", "--exit-on-error", "--dbname", &database.url()]).arg(dump);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// One database, handed in however it can be packed, comes out equal however that is asked for.
#[tokio::test]
async fn what_comes_in_goes_out_so_or_as_asked_for() {
    let fleet = Fleet::start().await;
    fleet.ledger.set_max_running("acme", 10).await.unwrap();
    let sample = dumps::sample().await;
    let text = dumps::text(&fleet, &sample);
    sample.remove().await;
    let plain = dumps::file(&fleet, "shop.sql", text.as_bytes());
    let pack = |program: &str, ending: &str| {
        let file = fleet.file(&format!("shop.sql.{ending}"));
        let script = format!("{program} < {} > {}", plain.display(), file.display());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success(), "{script}");
        file
    };
    let zip = dumps::file(&fleet, "shop.zip", &dumps::zip(&text, "z.writestr('filestore/ab/abc', b'kept')"));
    let many = "for n in range(100000): z.writestr('filestore/%d' % n, str(n))";
    let many = dumps::file(&fleet, "many.zip", &dumps::zip(&text, many));
    let cases = [
        (plain.clone(), None, "plain", "sql"),
        (pack("zstd -q", "zst"), None, "zstd", "sql.zst"),
        (pack("xz", "xz"), None, "xz", "sql.xz"),
        (zip.clone(), Some("gzip"), "gzip", "sql.gz"),
        (many.clone(), None, "zip", "zip"),
        (plain.clone(), Some("zip"), "zip", "zip"),
        (plain, Some("zstd"), "zstd", "sql.zst"),
    ];
    let mut requests = Vec::new();
    for (number, (dump, wanted, format, ending)) in cases.into_iter().enumerate() {
        let database = format!("shop{number}");
        let mut command = fleet.submission(Purpose::Test, &dump, "3.0", &database);
        if let Some(wanted) = wanted {
            command.args(["--result-format", wanted]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let request: Value = serde_json::from_slice(&output.stdout).unwrap();
        let request: RequestId = request["id"].as_str().unwrap().parse().unwrap();
        requests.push((request, dump, format, format!("{database}-3.0.{ending}")));
    }
    let mut first: Option<Database> = None;
    for (request, dump, format, name) in requests {
        fleet.delivered(request).await;
        let downloads = fleet.download(request);
        let report = report(&downloads);
        assert_eq!(report["formats"]["result"], format);
        if dump == many {
            assert_eq!(report["files"]["count"], 100_000);
        }
        let result = Database::create("result").await;
        result.restore(&unpacked(&downloads.join(&name)));
        let lost = "a result in format gzip holds none of the zip's 1 files";
        assert_eq!(fleet.log(request).await.contains(lost), dump == zip, "{name}");
        match &first {
            Some(first) => {
                compare::assert_same(first, &result).await;
                result.remove().await;
            }
            None => first = Some(result),
        }
    }
    first.unwrap().remove().await;
    fleet.stop().await;
}

/// A result's SQL, by the programs that a customer has.
fn unpacked(result: &Path) -> std::path::PathBuf {
    let program = match result.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => "gzip -dc",
        Some("zst") => "zstd -dcq",
        Some("xz") => "xz -dc",
        Some("zip") => {
            "python3 -c 'import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read(\"dump.sql\").decode())'"
        }
        _ => "cat",
    };
    let text = result.with_extension("unpacked.sql");
    let script = format!("{program} {} > {}", result.display(), text.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success(), "{script}");
    text
}
