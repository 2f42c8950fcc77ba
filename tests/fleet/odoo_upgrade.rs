//! The pack of Odoo that ships takes the real demo database from 17.0 to 18.0, in the runner image that ships, on a
//! stand-in for the server: it behaves as Odoo does at its boundary, and moves real modules.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use uplift_core::{Purpose, RequestId};
use uplift_tests::{
    data,
    fleet::{Fleet, Options},
    packs,
    postgres::Database,
    request::{HandedIn, report},
};

use crate::dumps;

/// What the server is started with, and what it says that it knows.
const COMMAND: &str = "uplift-odoo: odoo --database=work --db_host=/run/postgresql --db_user=tenant \
    --data-dir=/scratch/odoo --no-http --workers=0 --max-cron-threads=0 --stop-after-init \
    --log-handler=odoo.models.unlink:WARNING --load=base,web,openupgrade_framework \
    --upgrade-path=/opt/openupgrade/scripts,/uplift/pack/upgrade --update=all";

/// The bundle of style sheets that the server attaches.
const BUNDLE: &str = "FROM ir_attachment WHERE name = 'web.assets_web.min.css'";

#[tokio::test]
async fn a_backup_goes_to_18_with_its_filestore() {
    let fleet = fleet(None).await;
    let backup = data("odoo17-demo.zip");
    let test = fleet.submit(Purpose::Test, &backup, "18.0", "odoo");
    fleet.delivered(test).await;
    fleet.must(&["accept", &test.to_string()]);
    let production = fleet.submit(Purpose::Production, &backup, "18.0", "odoo");
    fleet.delivered(production).await;

    let log = fleet.log(production).await;
    let said = [
        COMMAND,
        "Loading module base (1/110)",
        "module base: Running migration [>0.0.0] pre-00-trace",
        // OpenUpgrade's own, which need the real server.
        "module base: Running migration [>18.0.1.3] pre-migration",
        "module account: Running migration [18.0.1.2>] post-10-codes",
        "module base: Running migration [$0.0.0] end-99-trace",
        "Modules loaded.",
    ];
    in_order(&log, &said);
    assert!(!log.contains("there is no filestore"), "{log}");

    let downloads = fleet.download(production);
    let report = report(&downloads);
    assert_eq!((&report["path"], &report["proven"]), (&json!(["17.0", "18.0"]), &json!(true)));
    check_steps(&report);
    assert_eq!((&report["files"]["count"], &report["files_added"]), (&json!(1209), &json!(1)));
    for pair in report["reconcile"].as_array().unwrap() {
        let documents = pair["before"]["compare"] == "equal";
        assert!(!documents || pair["equal"] == true, "{pair:#}");
    }

    let unpacked = unpack(&fleet, &downloads.join("odoo-18.0.zip"));
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(unpacked.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["major_version"], "18.0");
    let upgraded = Database::create("upgraded").await;
    upgraded.restore(&unpacked.join("dump.sql"));
    let bundle = upgraded.value(&format!("SELECT store_fname {BUNDLE} AND db_datas IS NULL")).await;
    let bundle = std::fs::read_to_string(unpacked.join("filestore").join(bundle)).unwrap();
    assert_eq!(bundle, "/* assets of 18.0 */");
    check_modules(&upgraded).await;
    upgraded.remove().await;
    fleet.stop().await;
}

#[tokio::test]
async fn a_dump_goes_to_18_without_and_modules_of_others_are_set_aside() {
    let fleet = fleet(None).await;
    let dump = with_module(&fleet, &data("odoo17-demo.sql.gz"));
    let request = fleet.submit(Purpose::Test, &dump, "18.0", "odoo");
    fleet.delivered(request).await;
    let log = fleet.log(request).await;
    let said = [
        "there is no filestore: attachments that the upgrade makes go into the database",
        "module acme: not installable, skipped",
        "Some modules have inconsistent states, some dependencies may be missing: ['acme']",
        "set aside, since the image has no code for them: acme 17.0.1.0.0",
    ];
    in_order(&log, &said);

    let downloads = fleet.download(request);
    let report = report(&downloads);
    assert_eq!(report["custom_modules"], json!([{ "name": "acme", "version": "17.0.1.0.0" }]));
    let found: Vec<_> = report["preflight"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| (&found["name"], &found["rows"]))
        .collect();
    assert_eq!(found, [(&json!("modules-of-others"), &json!(1))]);
    let upgraded = Database::create("upgraded").await;
    upgraded.restore(&downloads.join("odoo-18.0.sql.gz"));
    let stored = format!("SELECT convert_from(db_datas, 'UTF8') {BUNDLE} AND store_fname IS NULL");
    assert_eq!(upgraded.value(&stored).await, "/* assets of 18.0 */");
    let setting = "SELECT count(*) FROM ir_config_parameter WHERE key = 'ir_attachment.location'";
    assert_eq!(upgraded.value(setting).await, "0", "the setting is as it was");
    let acme = "SELECT state || ' ' || latest_version FROM ir_module_module WHERE name = 'acme'";
    assert_eq!(upgraded.value(acme).await, "installed 17.0.1.0.0");
    check_modules(&upgraded).await;
    upgraded.remove().await;
    fleet.stop().await;
}

#[tokio::test]
async fn a_customers_own_modules_follow_behind_the_hops() {
    // The code for 18.0, with a script of its own, and one in a tree beside it.
    const ARCHIVE: &str = "
note = 'def migrate(cr, version):\\n    cr.execute(\"INSERT INTO upgrade_trace (script) VALUES (%%s)\", (\"%s from \" + version,))\\n'
z.writestr('addons/acme/__init__.py', '')
z.writestr('addons/acme/__manifest__.py', '{\"name\": \"Acme\", \"version\": \"1.2.0\", \"depends\": [\"sale\"]}')
z.writestr('addons/acme/migrations/18.0.1.2.0/pre-20-own.py', note % 'module')
z.writestr('upgrade/acme/18.0.1.1.0/pre-10-tree.py', note % 'tree')
z.writestr('upgrade/acme/18.0.1.3.0/pre-10-later.py', note % 'never')";

    let fleet = fleet(None).await;
    let dump = with_module(&fleet, &data("odoo17-demo.sql.gz"));
    let archive = dumps::file(&fleet, "acme.zip", &dumps::zip_of(ARCHIVE.trim_start()));
    let submit = |archive: &Path, database: &str| {
        let mut submission = fleet.submission(Purpose::Test, &dump, "18.0", database);
        submission.arg("--scripts").arg(archive).arg("--wait").output().unwrap()
    };
    let output = submit(&archive, "odoo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let request: Value = serde_json::from_slice(&output.stdout).unwrap();
    let request: RequestId = request["id"].as_str().unwrap().parse().unwrap();
    let said = [
        "set aside, since the image has no code for them: acme 17.0.1.0.0",
        "--addons-path=/uplift/scripts/addons --upgrade-path=/opt/openupgrade/scripts,/uplift/scripts/upgrade --update=acme",
        "Module acme loaded in",
    ];
    in_order(&fleet.log(request).await, &said);

    let downloads = fleet.download(request);
    let report = report(&downloads);
    let steps: Vec<_> = report["steps"].as_array().unwrap().iter().map(|step| &step["step"]).collect();
    assert_eq!(steps[4..], ["custom/customer-modules", "custom/none-left", "custom/arrived"]);
    let upgraded = Database::create("upgraded").await;
    upgraded.restore(&downloads.join("odoo-18.0.sql.gz"));
    let acme = "SELECT state || ' ' || latest_version FROM ir_module_module WHERE name = 'acme'";
    assert_eq!(upgraded.value(acme).await, "installed 18.0.1.2.0");
    let trace = "SELECT string_agg(script, '; ' ORDER BY id) FROM upgrade_trace WHERE script !~ '^base'";
    assert_eq!(upgraded.value(trace).await, "tree from 17.0.1.0.0; module from 17.0.1.0.0");
    upgraded.remove().await;

    let other = dumps::zip_of("z.writestr('acme/__manifest__.py', '{}')");
    let failed = HandedIn::of(submit(&dumps::file(&fleet, "other.zip", &other), "other"));
    let failure = failed.failure();
    assert_eq!(failure["step"], "custom/customer-modules", "{failure}");
    assert!(
        failure["message"].as_str().unwrap().contains("there is no module in /uplift/scripts/addons"),
        "{failure}"
    );
    fleet.stop().await;
}

#[tokio::test]
async fn a_server_that_exits_with_0_and_has_failed_is_found_out() {
    let fleet = fleet(None).await;
    let dump = data("odoo17-demo.sql.gz");
    for (fault, step, words) in [
        (
            "critical",
            "17.0-18.0/openupgrade",
            "the run ended with 0, and yet it said: the stand-in was told to",
        ),
        (
            "traceback",
            "17.0-18.0/openupgrade",
            "RuntimeError: while parsing /usr/lib/python3/dist-packages/odoo/addons/",
        ),
        ("left", "17.0-18.0/modules-left", "Every standard module must arrive at the new version"),
    ] {
        let folder = fleet.file(fault);
        packs::odoo_upgrade(&folder, Some(fault));
        fleet.push_pack(&folder);
        let failed = fleet.hand_in(Purpose::Test, &dump, "18.0", &format!("odoo-{fault}")).await;
        assert_eq!(failed.code, Some(11), "{failed:?}");
        let failure = failed.failure();
        assert_eq!(
            (&failure["code"], &failure["step"]),
            (&json!("script_failed"), &json!(step)),
            "{failure}"
        );
        assert!(failure["message"].as_str().unwrap().contains(words), "{failure}");
    }
    fleet.stop().await;
}

async fn fleet(fault: Option<&str>) -> Fleet {
    let fleet = Fleet::with(Options::default()).await;
    let folder = fleet.file("odoo-upgrade");
    packs::odoo_upgrade(&folder, fault);
    fleet.push_pack(&folder);
    fleet
}

/// That these are said, one behind the other.
#[track_caller]
fn in_order(log: &str, said: &[&str]) {
    let mut rest = log;
    for words in said {
        let Some((_, behind)) = rest.split_once(words) else { panic!("nobody says `{words}` here:\n{rest}") };
        rest = behind;
    }
}

/// One step of the server's and what looks after it, with the time of its modules.
fn check_steps(report: &Value) {
    let steps = report["steps"].as_array().unwrap();
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    let expected = ["openupgrade", "modules-left", "set-aside", "arrived"];
    assert_eq!(names, expected.map(|name| format!("17.0-18.0/{name}")));
    assert_eq!(steps[0]["timings"].as_array().unwrap().len(), 20, "the slowest of 110 modules");
    assert!(steps[0]["checkpoint"]["bytes"].as_u64() > Some(1 << 20), "{}", steps[0]);
}

/// Every module that was installed is at 18.0, the scripts of the pack ran, and nothing is on its way.
async fn check_modules(upgraded: &Database) {
    let arrived =
        "SELECT count(*) FROM ir_module_module WHERE state = 'installed' AND latest_version LIKE '18.0.%'";
    assert_eq!(upgraded.value(arrived).await, "110");
    assert_eq!(upgraded.value("SELECT count(*) FROM ir_module_module WHERE state LIKE 'to %'").await, "0");
    let trace = "SELECT string_agg(script, '; ' ORDER BY id) FROM upgrade_trace";
    assert_eq!(upgraded.value(trace).await, "base pre from 17.0.1.3; base end, module sale at 18.0.1.2");
    let codes = "SELECT count(*) > 40 AND bool_and(code_store ? '1') FROM account_account";
    assert_eq!(upgraded.value(codes).await, "true");
}

/// The dump with a module of the customer's own, which needs a standard one.
fn with_module(fleet: &Fleet, dump: &Path) -> PathBuf {
    const END: &str = "\n--\n-- PostgreSQL database dump complete";
    const MODULE: &str = "
INSERT INTO public.ir_module_module (id, name, author, license, state, latest_version)
    VALUES (100001, 'acme', 'Acme Ltd', 'LGPL-3', 'installed', '17.0.1.0.0');
INSERT INTO public.ir_module_module_dependency (name, module_id) VALUES ('sale', 100001);
";
    let text = String::from_utf8(dumps::gunzip(dump)).unwrap();
    let (body, end) = text.rsplit_once(END).expect("a whole dump");
    dumps::file(fleet, "odoo-acme.sql.gz", &dumps::gzip(format!("{body}{MODULE}{END}{end}").as_bytes()))
}

fn unpack(fleet: &Fleet, zip: &Path) -> PathBuf {
    let folder = fleet.file("unpacked");
    let program = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
    let output = Command::new("python3").args(["-c", program]).args([zip, &folder]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}
