//! A customer's own scripts on their way in: from the command line to the store and the ledger, and out again where
//! nobody will run them.

use std::{
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uplift_core::{
    PackDigest, Purpose, RequestId, Scripts, WorkerId,
    event::Digest,
    key,
    request::{Delivery, StateCode},
};
use uplift_platform::ledger::Settlement;
use uplift_tests::{
    SOON, eventually,
    fleet::{Fleet, Options},
    repository,
    request::json,
};

use crate::{dumps, http};

/// A fleet in which nothing runs, since nothing here has to.
async fn fleet() -> Fleet {
    Fleet::with(Options { workers: 0, ..Options::default() }).await
}

/// An archive beside the fleet, and what names it.
fn archive(fleet: &Fleet, name: &str, line: &str) -> (PathBuf, Scripts) {
    let bytes = dumps::zip_of(&format!("z.writestr('upgrade/sale/3.0/pre-one.py', '{line}')"));
    let named = Scripts { bytes: bytes.len() as u64, sha256: format!("{:x}", Sha256::digest(&bytes)) };
    (dumps::file(fleet, name, &bytes), named)
}

fn hand_in(fleet: &Fleet, purpose: Purpose, dump: &Path, scripts: Option<&Path>) -> Output {
    let mut command = fleet.submission(purpose, dump, "3.0", "shop");
    command.args(scripts.map(|_| "--scripts")).args(scripts).output().unwrap()
}

fn id(request: &Value) -> RequestId {
    request["id"].as_str().expect("the request's id").parse().unwrap()
}

/// Waits until the store has nothing of a request.
async fn nothing_of(fleet: &Fleet, request: RequestId) {
    let prefix = key::request_prefix(request);
    eventually(&format!("nothing is left of {request}"), SOON, async || {
        let objects = fleet.objects.list(&prefix).await.unwrap();
        let uploads = fleet.objects.list_uploads(&prefix).await.unwrap();
        (objects.is_empty() && uploads.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn scripts_arrive_with_their_request_and_go_when_it_is_cancelled() {
    let fleet = fleet().await;
    let dump = dumps::file(&fleet, "shop.sql", b"-- a dump\n");
    let (file, named) = archive(&fleet, "our.zip", "pass");
    let output = hand_in(&fleet, Purpose::Test, &dump, Some(&file));
    let shown = json(&output);
    assert_eq!(shown["scripts"], serde_json::to_value(&named).unwrap());

    let request = id(&shown);
    let found = fleet.request(request).await;
    assert_eq!((found.state.code(), found.scripts.as_ref()), (StateCode::Queued, Some(&named)));
    let stored = fleet.objects.get(&key::scripts(request), named.bytes).await.unwrap();
    assert_eq!(stored, std::fs::read(&file).unwrap());
    let status = fleet.must(&["status", &request.to_string()]);
    assert!(status.contains("scripts ") && status.contains(&named.sha256), "{status}");

    fleet.must(&["cancel", &request.to_string()]);
    nothing_of(&fleet, request).await;
    fleet.stop().await;
}

#[tokio::test]
async fn no_upload_is_complete_without_its_scripts_and_one_that_never_is_leaves_nothing() {
    let fleet = fleet().await;
    let text = b"-- a dump\n";
    let dump = dumps::file(&fleet, "shop.sql", text);
    let (file, named) = archive(&fleet, "our.zip", "pass");
    let bytes = std::fs::read(&file).unwrap();
    let call = async |method: Method, path: &str, body: &Value| {
        let (status, said) = http::call(&fleet, fleet.token(), method, path, &body.to_string()).await;
        (status, serde_json::from_str::<Value>(&said).unwrap())
    };
    let put = async |link: &Value, bytes: &[u8]| {
        let put =
            reqwest::Client::new().put(link.as_str().unwrap()).body(bytes.to_vec()).send().await.unwrap();
        (put.status(), put.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned()))
    };
    let wish = json!({
        "database": "shop", "purpose": "test", "target": "3.0", "file_name": "shop.sql", "bytes": text.len(),
        "scripts": named,
    });
    let submit = async || {
        let (status, created) = call(Method::POST, "requests", &wish).await;
        assert_eq!(status, StatusCode::CREATED, "{created}");
        (id(&created["request"]), created["scripts"].clone())
    };
    let complete = async |request: RequestId, etag: &str| {
        let parts = json!({ "parts": [{ "part": 1, "etag": etag }] });
        let (status, said) = call(Method::POST, &format!("requests/{request}/upload/complete"), &parts).await;
        (status, said["detail"].as_str().unwrap_or_default().to_owned())
    };

    let (request, link) = submit().await;
    let refused = StatusCode::UNPROCESSABLE_ENTITY;
    let (status, said) = complete(request, "etag").await;
    assert_eq!(status, refused, "{said}");
    assert!(said.contains("are not in the store: put them to the link that GET /api/v1/requests/"), "{said}");
    assert_eq!(put(&link, b"PK").await.0, StatusCode::OK);
    let (status, said) = complete(request, "etag").await;
    assert_eq!(status, refused, "{said}");
    assert!(said.contains("the scripts have 2 bytes in the store, and"), "{said}");

    // The link for another try, until they are there.
    let upload = format!("requests/{request}/upload");
    let (_, state) = call(Method::GET, &upload, &Value::Null).await;
    assert_eq!(put(&state["scripts"], &bytes).await.0, StatusCode::OK);
    let (_, state) = call(Method::GET, &upload, &Value::Null).await;
    assert_eq!(state.get("scripts"), None, "{state}");

    // The dump is missing still; the scripts are complete, and stay as they are.
    let (status, said) = complete(request, "etag").await;
    assert_eq!(status, refused, "{said}");
    assert!(said.contains("of 1 parts some are not in the store"), "{said}");
    assert_eq!(put(&link, b"PK").await.0, StatusCode::NOT_FOUND);
    let stored = fleet.objects.get(&key::scripts(request), named.bytes).await.unwrap();
    assert_eq!(stored, bytes);
    fleet.must(&["resume", &request.to_string(), "--dump", dump.to_str().unwrap()]);
    assert_eq!(fleet.request(request).await.state.code(), StateCode::Queued);

    // One whose customer went away with the scripts there, and one with half of an upload assembled.
    let (left, link) = submit().await;
    assert_eq!(put(&link, &bytes).await.0, StatusCode::OK);
    let (half, other) = submit().await;
    assert_eq!(put(&other, &bytes).await.0, StatusCode::OK);
    assert_eq!(complete(half, "etag").await.0, refused);
    assert!(fleet.objects.head(&key::scripts(half)).await.unwrap().is_some());
    let days = format!(
        "UPDATE requests SET created_at = created_at - interval '2 days' WHERE id IN ('{left}', '{half}')"
    );
    sqlx::query(sqlx::AssertSqlSafe(days)).execute(&mut fleet.database.connect().await).await.unwrap();
    for request in [left, half] {
        nothing_of(&fleet, request).await;
        assert_eq!(fleet.request(request).await.state.code(), StateCode::Cancelled);
    }
    assert_eq!(put(&link, &bytes).await.0, StatusCode::NOT_FOUND, "a link that outlives its upload");
    nothing_of(&fleet, left).await;
    fleet.stop().await;
}

#[tokio::test]
async fn production_takes_the_scripts_of_its_test_or_is_refused_before_the_upload() {
    let fleet = fleet().await;
    fleet.push_pack(&repository("deploy/packs/sample"));
    let dump = dumps::file(&fleet, "shop.sql", b"-- a dump\n");
    let (tested, named) = archive(&fleet, "tested.zip", "pass");
    let (other, _) = archive(&fleet, "other.zip", "raise");
    let test = id(&json(&hand_in(&fleet, Purpose::Test, &dump, Some(&tested))));
    delivered(&fleet, test).await;
    fleet.must(&["accept", &test.to_string()]);
    let status = fleet.must(&["status", &test.to_string()]);
    assert!(status.contains("--database shop --scripts FILE"), "{status}");

    for (scripts, says) in [(None, "brings none"), (Some(&other), "brings others")] {
        let refused = hand_in(&fleet, Purpose::Production, &dump, scripts.map(PathBuf::as_path));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        let ran = format!("the accepted test {test} ran with scripts ({named}), and this request {says}");
        assert!(said.contains(&ran), "{said}");
        assert!(!said.contains("uploading"), "{said}");
        assert!(fleet.objects.list_uploads("").await.unwrap().is_empty(), "an upload was begun, and is left");
    }
    assert_eq!(fleet.database.value("SELECT count(*) FROM requests").await, "1");

    let production = id(&json(&hand_in(&fleet, Purpose::Production, &dump, Some(&tested))));
    assert_eq!(fleet.request(production).await.scripts, Some(named));
    assert!(fleet.objects.head(&key::scripts(production)).await.unwrap().is_some());
    fleet.must(&["cancel", &production.to_string()]);
    nothing_of(&fleet, production).await;
    assert!(
        fleet.objects.head(&key::scripts(test)).await.unwrap().is_some(),
        "its own, which is not another's"
    );
    fleet.stop().await;
}

/// What a worker would say at the end of an upgrade.
async fn delivered(fleet: &Fleet, request: RequestId) {
    let claimed = fleet.ledger.claim(WorkerId::new(), Duration::from_secs(3600)).await.unwrap();
    let lease = claimed.expect("it is claimable").lease;
    assert_eq!(lease.request(), request);
    let pack = PackDigest(fleet.database.value("SELECT digest FROM packs").await);
    fleet.ledger.detected(&lease, "sample", &"1.0".parse().unwrap(), &pack, None).await.unwrap();
    let digest = Digest { bytes: 5, sha256: "ab".repeat(32) };
    let delivery = Delivery { epoch: lease.epoch(), result: "result.sql".into(), digest };
    fleet.ledger.settle(&lease, &Settlement::Delivered(delivery)).await.unwrap();
}
