//! A script adjusted for one database, from the failure on real data to production without a person.

use std::path::Path;

use serde_json::{Value, json};
use uplift_core::{Purpose, RequestId, request::StateCode};
use uplift_tests::{
    data, eventually,
    fleet::{Fleet, Options},
    packs,
    postgres::Database,
    request::{LIMIT, report},
};

pub(crate) const FIX: &str = "-- The first keeps the name.
UPDATE res_partner p SET name = name || ' (' || id || ')'
WHERE EXISTS (SELECT FROM res_partner o WHERE o.name = p.name AND o.id < p.id);
";

#[tokio::test]
async fn what_was_adjusted_replays_on_the_next_test_and_on_production() {
    let fleet = Fleet::with(Options { workers: 1, ..Options::default() }).await;
    let folder = fleet.file("pack");
    packs::odoo_duplicates(&folder);
    fleet.push_pack(&folder);
    let dump = data("odoo17-demo.sql.gz");

    let failed = fleet.hand_in(Purpose::Test, &dump, "17.1", "odoo").await;
    assert_eq!(failed.code, Some(11), "{failed:?}");
    let failure = failed.failure();
    assert_eq!(
        (&failure["step"], &failure["sqlstate"], &failure["line"]),
        (&json!("17.0-17.1/names"), &json!("23505"), &json!(3)),
        "{failure}"
    );
    let open: Value = read(&fleet, &["ops", "interventions", "list"]);
    let intervention = open[0]["id"].as_str().unwrap().to_owned();

    bad_ones_are_refused(&fleet, &intervention);
    // One with a fault of its own says where.
    let wrong =
        add(&fleet, &intervention, "--before", "names", "wrong.sql", "\n\nUPDATE no_such_table SET a = 1;\n");
    retry(&fleet, &intervention);
    let request = failed.id();
    let again = settled(&fleet, request, 2).await;
    assert_eq!(again, StateCode::Intervention);
    let shown: Value = read(&fleet, &["status", &request.to_string()]);
    let failure = &shown["failure"]["failure"];
    assert_eq!(
        (&failure["step"], &failure["file"], &failure["line"]),
        (&json!("17.0-17.1/wrong"), &json!("wrong.sql"), &json!(3)),
        "{failure}"
    );
    fleet.must(&["ops", "override", "remove", &wrong, "--reason", "it was wrong"]);

    let fix = add(&fleet, &request.to_string(), "--before", "17.0-17.1/names", "unique-names.sql", FIX);
    let diff = fleet.must(&["ops", "override", "diff", &fix]);
    assert!(
        diff.starts_with("--- /dev/null\n+++ override/unique-names.sql\n")
            && diff.contains("+UPDATE res_partner p"),
        "{diff}"
    );
    let open: Value = read(&fleet, &["ops", "interventions", "list"]);
    retry(&fleet, open[0]["id"].as_str().unwrap());
    assert_eq!(settled(&fleet, request, 3).await, StateCode::Delivered);
    let downloads = fleet.download(request);
    let says = "before 17.0-17.1/names: unique-names.sql";
    let made = report(&downloads);
    let overrides = made["overrides"].as_array().unwrap();
    assert_eq!((overrides.len(), &overrides[0]["says"], &overrides[0]["id"]), (1, &json!(says), &json!(fix)));
    let steps: Vec<_> =
        made["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["unique-names", "names", "finish", "arrived"].map(|name| format!("17.0-17.1/{name}")));
    let page = std::fs::read_to_string(downloads.join("odoo-17.1.report.html")).unwrap();
    assert!(page.contains(says) && page.contains("two partners have one name"), "{page}");
    assert!(fleet.log(request).await.contains(&format!("adjusted for this database: {says}")));

    // Freshly dumped: nobody is needed any more.
    let source = Database::create("odoo").await;
    source.restore(&dump);
    source.psql_command("UPDATE res_partner SET comment = 'seen since' WHERE id = 1");
    let fresh = fleet.file("fresh.sql.gz");
    source.dump(&fresh);
    source.remove().await;
    let test = fleet.submit(Purpose::Test, &fresh, "17.1", "odoo");
    fleet.delivered(test).await;
    fleet.must(&["accept", &test.to_string()]);
    // A pack that is merely newer changes nothing for production.
    std::fs::write(folder.join("README.md"), "newer").unwrap();
    fleet.push_pack(&folder);
    let production = fleet.submit(Purpose::Production, &fresh, "17.1", "odoo");
    fleet.delivered(production).await;
    assert_eq!(report(&fleet.download(production))["overrides"][0]["id"], json!(fix));

    known_elsewhere(&fleet, &dump, &fix).await;
    changed_since(&fleet, test, &fresh, &fix).await;

    // In the pack, it is everybody's.
    fleet.must(&["ops", "override", "promote", &fix]);
    let other = fleet.submit(Purpose::Test, &dump, "17.1", "another");
    fleet.delivered(other).await;
    let made = report(&fleet.download(other));
    assert_eq!(
        (&made["overrides"], &made["steps"][0]["step"]),
        (&json!([]), &json!("17.0-17.1/unique-names"))
    );
    fleet.stop().await;
}

/// Another database that fails alike is told what has helped, and takes the same.
async fn known_elsewhere(fleet: &Fleet, dump: &Path, fix: &str) {
    let failed = fleet.hand_in(Purpose::Test, dump, "17.1", "twin").await;
    assert_eq!(failed.code, Some(11), "{failed:?}");
    let open: Value = read(fleet, &["ops", "interventions", "list"]);
    let id = open[0]["id"].as_str().unwrap();
    let found: Value = read(fleet, &["ops", "interventions", "show", id]);
    let solved = found["solved_before"].as_array().unwrap();
    let ids: Vec<_> = solved.iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!(fix)], "{found}");
    let shown = fleet.must(&["ops", "interventions", "show", id]);
    assert!(shown.contains(&format!("uplift ops override add {id} --like OVERRIDE")), "{shown}");
    fleet.must(&["ops", "override", "add", id, "--like", fix, "--reason", "as at the other one"]);
    retry(fleet, id);
    fleet.delivered(failed.id()).await;
}

/// Whoever changes an override under an accepted test holds its production.
async fn changed_since(fleet: &Fleet, test: RequestId, dump: &Path, fix: &str) {
    fleet.must(&["ops", "override", "remove", fix, "--reason", "to see what happens"]);
    let production = fleet.submit(Purpose::Production, dump, "17.1", "odoo");
    let waits = eventually("it waits", LIMIT, async || fleet.request(production).await.held).await;
    let words = format!(
        "it waits: since the accepted test {test}, `before 17.0-17.1/names: unique-names.sql` was removed; accept a new \
         test, and it begins by itself"
    );
    assert_eq!(waits.0.to_string(), words);
    assert!(fleet.must(&["status", &production.to_string()]).contains(&words));
    // As things are now, it fails as it did at first.
    fleet.must(&["ops", "waive", &production.to_string(), "--reason", "to see what happens"]);
    assert_eq!(settled(fleet, production, 1).await, StateCode::Intervention);
    let left = read(fleet, &["ops", "override", "list"]);
    assert!(left.as_array().unwrap().iter().all(|found| found["database"] == "twin"), "{left}");
    assert_eq!(read(fleet, &["ops", "override", "list", "--all"]).as_array().unwrap().len(), 3);
}

fn bad_ones_are_refused(fleet: &Fleet, intervention: &str) {
    let file = fleet.file("fix.sql");
    std::fs::write(&file, "SELECT 1;").unwrap();
    let file = file.to_str().unwrap();
    let base = ["ops", "override", "add", intervention, "--reason", "why"];
    for (arguments, code, words) in [
        (&["--before", "nmaes", "--file", file][..], 1, "no step `17.0-17.1/nmaes`"),
        (&["--before", "16.0-17.0/x", "--file", file], 1, "no hop of this upgrade, which has: 17.0-17.1"),
        (&["--skip", "arrived"], 1, "stays as it is"),
        (&["--set", "names"], 1, "nothing to set"),
        (&["--set", "names", "--env", "A=1"], 1, "has no variables"),
        (&["--before", "names"], 2, "--file"),
        (&["--file", file], 2, "required"),
    ] {
        let output = fleet.run(&[&base[..], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(words), "{arguments:?}: {said}");
    }
}

/// Adds a script, and gives the override's id.
fn add(fleet: &Fleet, subject: &str, place: &str, step: &str, name: &str, text: &str) -> String {
    let file = fleet.file(name);
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let arguments = ["ops", "override", "add", subject, place, step, "--file", file];
    let reason = ["--reason", "two partners have one name"];
    let added = read(fleet, &[&arguments[..], &reason].concat());
    added["id"].as_str().unwrap().to_owned()
}

fn retry(fleet: &Fleet, intervention: &str) {
    fleet.must(&["ops", "interventions", "retry", intervention, "--reason", "adjusted"]);
}

/// The state that an attempt of a request ends in.
async fn settled(fleet: &Fleet, request: RequestId, epoch: i32) -> StateCode {
    eventually("the attempt has ended", LIMIT, async || {
        let request = fleet.request(request).await;
        let code = request.state.code();
        let at_rest = !matches!(code, StateCode::Queued | StateCode::Running);
        (request.epoch.0 == epoch && at_rest).then_some(code)
    })
    .await
}

/// What a command says to a program, whatever its exit code.
fn read(fleet: &Fleet, arguments: &[&str]) -> Value {
    let output = fleet.run(&[&["--json"], arguments].concat());
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
}
