//! Steps that run a program in an image: what it finds, how its end is told, and what it cannot do.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use uplift_core::Purpose;
use uplift_tests::{
    eventually,
    fleet::{Fleet, Options},
    postgres::Database,
    repository,
    request::{HandedIn, LIMIT, report},
};

use crate::dumps;

#[tokio::test]
async fn a_program_finds_what_it_was_promised_and_the_report_tells_its_time() {
    let fleet = fleet().await;
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;

    let request = fleet.submit(Purpose::Test, &dump, "2.0", "shop");
    fleet.delivered(request).await;
    let report = report(&fleet.download(request));
    let steps = report["steps"].as_array().unwrap();
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    let expected = ["prepare", "program", "seen", "pause", "concurrently", "finish", "arrived"];
    assert_eq!(names, expected.map(|name| format!("1.0-2.0/{name}")));
    let program = &steps[1];
    let timings = json!([{"part": "base", "millis": 1250}, {"part": "sale", "millis": 500}]);
    assert_eq!((&program["timings"], &program["notices"]), (&timings, &json!(1)));
    // Before what commits by itself, unless the pack turns it off.
    let copied: Vec<bool> =
        steps.iter().map(|step| step["checkpoint"]["bytes"].as_u64() > Some(1 << 20)).collect();
    assert_eq!(copied, [false, true, false, false, true, true, false]);

    let log = fleet.log(request).await;
    assert!(log.contains("Module sale loaded in 0.50s, 9 queries"), "{log}");
    assert!(
        log.lines().any(|line| line.contains("error") && line.contains("could not fetch the logo")),
        "{log}"
    );
    let recorded = "SELECT count(*) FROM steps WHERE checkpoint_bytes > 0 AND checkpoint_millis >= 0";
    assert_eq!(fleet.database.value(recorded).await, "3");
    fleet.stop().await;
}

#[tokio::test]
async fn a_customers_own_scripts_run_behind_the_hops() {
    let fleet = fleet().await;
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;
    let scripts = |name: &str, script: &str| {
        let entry = format!("z.writestr('upgrade/own.sh', {script:?})");
        dumps::file(&fleet, name, &dumps::zip_of(&entry))
    };
    let submit = |scripts: &Path, database: &str| {
        let mut submission = fleet.submission(Purpose::Test, &dump, "2.0", database);
        submission.arg("--scripts").arg(scripts);
        submission
    };
    let good =
        scripts("good.zip", "psql -Xqc \"INSERT INTO seen VALUES ('own $1')\" && ! touch $0 2> /dev/null");
    let output = submit(&good, "shop").arg("--wait").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let request: Value = serde_json::from_slice(&output.stdout).unwrap();
    let downloads = fleet.download(request["id"].as_str().unwrap().parse().unwrap());
    let report = report(&downloads);
    let steps: Vec<_> = report["steps"].as_array().unwrap().iter().map(|step| &step["step"]).collect();
    assert_eq!(steps[7..], ["custom/own", "custom/arrived"]);
    assert_eq!(report["scripts"]["bytes"], std::fs::metadata(&good).unwrap().len());
    let upgraded = Database::create("upgraded").await;
    upgraded.restore(&downloads.join("shop-2.0.sql"));
    assert_eq!(
        upgraded.value("SELECT string_agg(what, ', ' ORDER BY what) FROM seen").await,
        "hello, own 2.0"
    );
    upgraded.remove().await;

    // They may not leave the database elsewhere, and what is no archive inside is the customer's to mend.
    let bad = scripts("bad.zip", "psql -Xqc \"UPDATE erp_meta SET value = '1.9' WHERE key = 'version'\"");
    let handed_in = HandedIn::of(submit(&bad, "bad").arg("--wait").output().unwrap());
    said(&handed_in, "custom/arrived", "the database is at version 1.9 and not at 2.0");
    let entries =
        "t.addfile(tarfile.TarInfo('y'))\ni = tarfile.TarInfo('x'); i.type = tarfile.SYMTYPE; t.addfile(i)";
    let link = dumps::file(&fleet, "link.tar", &dumps::tar_of(entries));
    let handed_in = HandedIn::of(submit(&link, "link").arg("--wait").output().unwrap());
    assert_eq!(handed_in.code, Some(10), "{handed_in:?}");
    assert!(
        handed_in.message().starts_with("The archive of scripts cannot be unpacked: `x` is neither"),
        "{handed_in:?}"
    );

    // Some kilobytes that would be some hundred megabytes.
    let bomb = dumps::file(&fleet, "bomb.zip", &dumps::zip_of("z.writestr('x', bytes(300 << 20))"));
    let handed_in = HandedIn::of(submit(&bomb, "bomb").arg("--wait").output().unwrap());
    assert_eq!(handed_in.code, Some(10), "{handed_in:?}");
    assert!(handed_in.message().contains("holds more than 268435456 bytes when unpacked"), "{handed_in:?}");

    // A pack without a place for them says so.
    fleet.push_pack(&repository("deploy/packs/sample"));
    let handed_in = HandedIn::of(submit(&good, "plain").arg("--wait").output().unwrap());
    assert_eq!(handed_in.code, Some(10), "{handed_in:?}");
    assert!(handed_in.message().contains("run no scripts of a customer's own"), "{handed_in:?}");
    fleet.stop().await;
}

#[tokio::test]
async fn what_a_program_may_not_do_is_stopped_and_named() {
    let fleet = fleet().await;
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;
    let hand_in = async |target: &str| {
        let handed_in = fleet.hand_in(Purpose::Test, &dump, target, &format!("shop-{target}")).await;
        assert_eq!(handed_in.code, Some(11), "{handed_in:?}");
        handed_in
    };
    let (idle, lies, climbs, calls, strays) =
        tokio::join!(hand_in("4.1"), hand_in("4.3"), hand_in("4.4"), hand_in("4.5"), hand_in("4.6"));
    said(&idle, "1.0-4.1/arrived", "the database is at version 1.0 and not at 4.1");
    said(&lies, "1.0-4.3/lies", "the run ended with 0, and yet it said: Some modules are not loaded");
    said(&climbs, "1.0-4.4/climbs", "Peer authentication failed for user \"bootstrap\"");
    said(&calls, "1.0-4.5/calls", "Network is unreachable");
    said(&strays, "1.0-4.6/strays", "Read-only file system");
    assert_eq!(fleet.log(strays.id()).await.matches("Read-only file system").count(), 3 + 1);

    let (fills, stays, eats) = tokio::join!(hand_in("4.7"), hand_in("4.8"), hand_in("4.9"));
    let (hides, drowns) = tokio::join!(hand_in("4.12"), hand_in("4.13"));
    assert_eq!(*fills.failure(), json!({"code": "out_of_disk", "place": "1.0-4.7/fills"}));
    assert_eq!(*hides.failure(), json!({"code": "out_of_disk", "place": "1.0-4.12/hides"}));
    assert_eq!(drowns.failure()["code"], "out_of_disk", "{drowns:?}");
    assert_eq!(*stays.failure(), json!({"code": "deadline_passed", "place": "1.0-4.8/stays", "seconds": 3}));
    assert_eq!(*eats.failure(), json!({"code": "out_of_memory", "place": "1.0-4.9/eats"}));
    // A run that was broken off leaves a state that can be looked into, too.
    for broken_off in [&fills, &stays, &eats] {
        assert!(fleet.ledger.checkpoint(broken_off.id()).await.unwrap().is_some(), "{broken_off:?}");
    }
    fleet.stop().await;
}

#[tokio::test]
async fn what_a_program_left_running_in_the_database_is_ended() {
    let fleet = fleet().await;
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;
    let request = fleet.submit(Purpose::Test, &dump, "4.14", "shop");
    fleet.delivered(request).await;
    let log = fleet.log(request).await;
    assert!(log.contains(" 0 linger"), "{log}");
    fleet.stop().await;
}

#[tokio::test]
async fn what_is_missing_or_vanishes_is_ours_to_mend() {
    let fleet = fleet().await;
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;
    for (target, words) in
        [("4.10", "image uplift/no-such-runner:1 is not on this Docker host"), ("4.11", "vanished")]
    {
        let request = fleet.submit(Purpose::Test, &dump, target, &format!("shop-{target}"));
        if target == "4.11" {
            let label = format!("label=uplift.request={request}");
            let running = eventually("the program runs", LIMIT, async || {
                let found = docker(&[
                    "ps",
                    "--quiet",
                    "--no-trunc",
                    "--filter",
                    &label,
                    "--filter",
                    "ancestor=uplift/engine:17",
                ]);
                let commands = found
                    .lines()
                    .map(|id| (id.to_owned(), docker(&["inspect", "--format", "{{.Path}}", id])));
                commands.into_iter().find(|(_, path)| path.trim() == "sleep").map(|(id, _)| id)
            })
            .await;
            docker(&["rm", "--force", &running]);
        }
        let failure = eventually("the attempt has failed", LIMIT, async || {
            let sql = format!(
                "SELECT coalesce(max(failure::text), '') FROM attempts WHERE request_id = '{request}'"
            );
            Some(fleet.database.value(&sql).await).filter(|failure| !failure.is_empty())
        })
        .await;
        let failure: Value = serde_json::from_str(&failure).unwrap();
        assert_eq!(failure["code"], "infrastructure");
        assert!(failure["message"].as_str().unwrap().contains(words), "{failure}");
        fleet.must(&["cancel", &request.to_string()]);
    }
    fleet.stop().await;
}

pub(crate) async fn fleet() -> Fleet {
    fleet_with(&[]).await
}

/// The same, with settings in the environment.
pub(crate) async fn fleet_with(settings: &[(&str, &str)]) -> Fleet {
    let worker = "slots = 2".to_owned();
    let settings = [&[("UPLIFT__WORKER__DISK_BYTES", "629145600")], settings].concat();
    let environment =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let fleet = Fleet::with(Options { worker, environment, ..Options::default() }).await;
    fleet.push_pack(&repository("tests/packs/runners"));
    fleet.ledger.set_max_running("acme", 100).await.unwrap();
    fleet
}

/// The step that failed, and the words that say why.
#[track_caller]
fn said(handed_in: &HandedIn, step: &str, words: &str) {
    let failure = handed_in.failure();
    assert_eq!((&failure["code"], &failure["step"]), (&json!("script_failed"), &json!(step)), "{failure}");
    assert!(failure["message"].as_str().unwrap().contains(words), "{failure}");
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
