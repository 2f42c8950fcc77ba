//! The queue of what waits for a person, as engineers work it with the command line; and who may do what.

use std::process::Output;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uplift_core::{Purpose, RequestId, request::StateCode};
use uplift_tests::{
    eventually,
    fleet::{Fleet, Options},
    repository,
    request::LIMIT,
};
use uuid::Uuid;

use crate::{dumps, http};

#[tokio::test]
async fn engineers_work_the_queue_and_one_fix_releases_a_hop() {
    let worker = "slots = 2".to_owned();
    let fleet = Fleet::with(Options { worker, ..Options::default() }).await;
    fleet.push_pack(&repository("tests/packs/troubled"));
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;
    let (eva, tom) = (engineer(&fleet, "eva"), engineer(&fleet, "tom"));

    // Three accounts fail alike: the hop is held.
    let mut failed = Vec::new();
    for account in ["acme", "globex", "initech"] {
        assert_eq!(json(&run_as(&fleet, &eva, &["ops", "holds", "list"])), json!([]));
        let token = fleet.token_of(account);
        let mut submission = fleet.submission(Purpose::Test, &dump, "2.1", "shop");
        let output = submission.env("UPLIFT_TOKEN", &token).arg("--wait").output().unwrap();
        assert_eq!(output.status.code(), Some(11), "{output:?}");
        failed.push((json(&output)["id"].as_str().unwrap().to_owned(), token));
    }
    let holds = json(&run_as(&fleet, &eva, &["ops", "holds", "list"]));
    assert_eq!((&holds[0]["hop"], &holds[0]["accounts"]), (&json!("1.0-2.1"), &json!(3)), "{holds}");
    assert_eq!(holds.as_array().unwrap().len(), 1);

    // Another one waits, and says why.
    let token = fleet.token_of("hooli");
    let mut submission = fleet.submission(Purpose::Test, &dump, "2.1", "shop");
    let output = submission.env("UPLIFT_TOKEN", &token).output().unwrap();
    let waiting: RequestId = json(&output)["id"].as_str().unwrap().parse().unwrap();
    eventually("it waits", LIMIT, async || fleet.request(waiting).await.held).await;
    let status = fleet.uplift().env("UPLIFT_TOKEN", &token).args(["status", &waiting.to_string()]).output();
    let status = String::from_utf8(status.unwrap().stdout).unwrap();
    assert!(
        status.contains("waits") && status.contains("1.0-2.1 has failed for other databases"),
        "{status}"
    );
    let log = fleet.log(waiting).await;
    assert!(log.ends_with("the upgrade begins by itself when that is done\n"), "{log}");

    // One group, by the time that is left.
    let list = json(&run_as(&fleet, &eva, &["ops", "interventions"]));
    let requests: Vec<_> =
        list.as_array().unwrap().iter().map(|found| found["request"].as_str().unwrap()).collect();
    assert_eq!(requests, failed.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>());
    assert!(list.as_array().unwrap().iter().all(|found| found["databases"] == 3), "{list}");
    let table = run_as_text(&fleet, &eva, &["ops", "interventions", "list"]);
    assert!(table.contains("1.0-2.1/split") && table.contains("nobody"), "{table}");

    work_on_it(&fleet, &eva, &tom, &list[0]);

    // The first goes back to its customer; the pack is mended, and the rest follows from that.
    let id = list[0]["id"].as_str().unwrap();
    let reason = "Remove the half-done table first";
    run_as(&fleet, &eva, &["ops", "interventions", "reject", id, "--reason", reason]);
    let rejected = fleet.uplift().env("UPLIFT_TOKEN", &failed[0].1).args(["status", &failed[0].0]).output();
    let rejected = String::from_utf8(rejected.unwrap().stdout).unwrap();
    assert!(rejected.contains(reason) && rejected.contains("We have found the row"), "{rejected}");

    mend(&fleet);
    eventually("what waited is delivered", LIMIT, async || {
        (fleet.request(waiting).await.state.code() == StateCode::Delivered).then_some(())
    })
    .await;
    let id = list[1]["id"].as_str().unwrap();
    run_as(&fleet, &tom, &["ops", "interventions", "claim", id]);
    let retried = run_as(
        &fleet,
        &tom,
        &["ops", "interventions", "retry", id, "--alike", "--reason", "mended in the pack"],
    );
    assert_eq!(json(&retried)["requests"].as_array().unwrap().len(), 2);
    for (request, _) in &failed[1..] {
        fleet.delivered(request.parse().unwrap()).await;
    }
    assert_eq!(json(&run_as(&fleet, &eva, &["ops", "interventions", "list"])), json!([]));
    fleet.stop().await;
}

/// Claim, comment, note; and what another engineer cannot do meanwhile.
fn work_on_it(fleet: &Fleet, eva: &str, tom: &str, found: &Value) {
    let id = found["id"].as_str().unwrap();
    let note = ["ops", "interventions", "note", id, "x"];
    let early = fleet.uplift().env("UPLIFT_OPS_TOKEN", eva).args(note).output().unwrap();
    let said = String::from_utf8_lossy(&early.stderr);
    assert!(early.status.code() == Some(1) && said.contains("claim the intervention first"), "{said}");
    run_as(fleet, eva, &["ops", "interventions", "claim", id]);
    let mut second = fleet.uplift();
    second.env("UPLIFT_OPS_TOKEN", tom).args(["ops", "interventions", "claim", id]);
    let second = second.output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.code() == Some(1) && said.contains("eva has claimed intervention"), "{said}");
    run_as(fleet, tom, &["ops", "interventions", "comment", id, "Seen before: the column has another name"]);
    run_as(fleet, eva, &["ops", "interventions", "note", id, "We have found the row"]);

    let shown = run_as_text(fleet, tom, &["ops", "interventions", "show", id]);
    for words in [
        "failed at fails.sql:7: column \"no_such_column\" does not exist",
        "sqlstate",
        "42703",
        "SELECT no_such_column FROM contact;",
        "saved before the step",
        "the end of its log",
        "comment, engineer us (tom, token ",
        "claimed",
        "by eva until",
    ] {
        assert!(shown.contains(words), "`{words}` in:\n{shown}");
    }
}

/// Pushes the pack without the statement that fails.
fn mend(fleet: &Fleet) {
    let folder = fleet.file("mended");
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(repository("tests/packs/troubled")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let mended = "UPDATE erp_meta SET value = '2.1' WHERE key = 'version';\n";
    std::fs::write(folder.join("fails.sql"), mended).unwrap();
    fleet.push_pack(&folder);
}

/// Every route of the API, by who may use it as the description says: whoever adds one adds it here.
#[tokio::test]
async fn nobody_does_what_their_role_does_not_allow() {
    let fleet = Fleet::with(Options { workers: 0, ..Options::default() }).await;
    let sample = dumps::sample().await;
    let dump = dumps::file(&fleet, "shop.sql", dumps::text(&fleet, &sample).as_bytes());
    sample.remove().await;
    let request = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    let (engineer, customer) = (engineer(&fleet, "eva"), fleet.token_of("globex"));
    let nobody = format!("uplift_{}", "0".repeat(64));
    let description = std::fs::read(repository("crates/uplift-dispatcher/openapi.json")).unwrap();
    let description: Value = serde_json::from_slice(&description).unwrap();
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("/api/v1/") else { continue };
        for (method, route) in methods.as_object().unwrap() {
            let tag = route["tags"][0].as_str().unwrap();
            *seen.entry(tag.to_owned()).or_default() += 1;
            let method: Method = method.to_uppercase().parse().unwrap();
            let id = if path.starts_with("requests/") { request.0 } else { Uuid::now_v7() };
            let url = path.replace("{id}", &id.to_string()).replace("{digest}", "0000");
            let call = async |token: &str| http::call(&fleet, token, method.clone(), &url, body(path)).await;
            let expect = async |token: &str, status: StatusCode| {
                let (given, said) = call(token).await;
                assert_eq!(given, status, "{method} {path}: {said}");
            };
            expect(&nobody, StatusCode::UNAUTHORIZED).await;
            if path.starts_with("ops/") {
                expect(&customer, StatusCode::FORBIDDEN).await;
                assert!(["engineers", "operators"].contains(&tag), "{method} {path} is tagged {tag}");
            }
            match tag {
                "operators" => expect(&engineer, StatusCode::FORBIDDEN).await,
                "engineers" => {
                    let (given, said) = call(&engineer).await;
                    let open = [StatusCode::OK, StatusCode::NOT_FOUND];
                    assert!(open.contains(&given), "{method} {path}: {given} {said}");
                }
                // An engineer looks at everybody's requests, and does nothing in their customers' place.
                _ if method != Method::GET && path.contains("{id}") => {
                    expect(&engineer, StatusCode::NOT_FOUND).await;
                }
                _ => {}
            }
        }
    }
    assert!(seen["engineers"] >= 10 && seen["operators"] >= 6, "{seen:?}");
    let state = fleet.request(request).await.state.code();
    assert_eq!(state, StateCode::Queued, "somebody has done something to it");
    fleet.stop().await;
}

/// A body that the route reads, so that nothing but who asks can be in the way.
pub(crate) fn body(path: &str) -> &'static str {
    match path.rsplit('/').next() {
        Some("parts") => r#"{"parts":[1]}"#,
        Some("complete") => r#"{"parts":[{"part":1,"etag":"x"}]}"#,
        Some("tokens") => r#"{"account":"globex","role":"operator","label":"mine","days":1}"#,
        Some("comment" | "note" | "answer" | "discrepancy") => r#"{"text":"words"}"#,
        Some("reject" | "retry" | "recall" | "remove" | "waive") => r#"{"reason":"words"}"#,
        Some("overrides") => {
            r#"{"subject":"01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77","step":"1.0-2.0/a","change":{"action":"skip"},"reason":"words"}"#
        }
        Some("webhooks") => r#"{"url":"https://example.com/"}"#,
        Some("assign") => r#"{"to":"tom"}"#,
        _ => "{}",
    }
}

/// The token of an engineer who is called so.
fn engineer(fleet: &Fleet, name: &str) -> String {
    let args = ["ops", "tokens", "create", "--account", "us", "--role", "engineer", "--label", name];
    fleet
        .uplift()
        .args(args)
        .output()
        .map(|output| String::from_utf8(output.stdout).unwrap().trim().to_owned())
        .unwrap()
}

/// Runs the command line as somebody, for a program.
fn run_as(fleet: &Fleet, token: &str, args: &[&str]) -> Output {
    let output = fleet.uplift().env("UPLIFT_OPS_TOKEN", token).arg("--json").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The same for a person.
fn run_as_text(fleet: &Fleet, token: &str, args: &[&str]) -> String {
    let output = fleet.uplift().env("UPLIFT_OPS_TOKEN", token).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}
