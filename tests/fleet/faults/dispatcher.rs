//! A dispatcher that dies while a customer is talking to it.

use std::{
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use uplift_core::{Epoch, RequestId, key};
use uplift_platform::objects::UploadId;
use uplift_tests::{
    SOON, eventually,
    fleet::{Fleet, Options},
    proxy::{Fault, Proxy, Rule, Way},
    request::json,
    services::Services,
};

use super::{Extra, PAUSED, delivered_once, dump, push_pausing_pack};

/// A fleet whose customers reach the store over a proxy.
async fn fleet(store: &Proxy) -> Fleet {
    let services = Services { public_s3: store.url(), ..Services::real() };
    let fleet = Fleet::with(Options { services, ..Options::default() }).await;
    push_pausing_pack(&fleet);
    fleet
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn output(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

/// An upload of four parts, of which the third does not get on.
async fn half_way(fleet: &Fleet, store: &Proxy, dump: &std::path::Path) -> (Child, RequestId, Arc<Rule>) {
    let held = store.add(Rule::after(Way::Requests, 0, Fault::Stall).on("partNumber=3&"));
    let mut upload = fleet.uplift();
    let upload =
        upload.args(["--json", "test", "--dump"]).arg(dump).args(["-t", "3.0", "--database", "shop"]);
    let upload = spawn(upload);
    eventually("the third part is on its way", SOON, async || (held.happened() > 0).then_some(())).await;
    let request = fleet.database.value("SELECT max(id::text) FROM requests").await.parse().unwrap();
    let id = UploadId(fleet.request(request).await.upload_id.expect("an upload"));
    eventually("the other parts are there", SOON, async || {
        let parts = fleet.objects.uploaded_parts(&key::source(request), &id).await.unwrap();
        (parts.len() == 3).then_some(())
    })
    .await;
    (upload, request, held)
}

/// The customer's program only notices that the dispatcher does not answer for a while.
#[tokio::test(flavor = "multi_thread")]
async fn the_dispatcher_is_restarted_during_an_upload() {
    let store = Proxy::tcp(Services::s3_address()).await;
    let mut fleet = fleet(&store).await;
    let dump = dump(&fleet, "shop", Extra { ballast: 56, ..Extra::default() }).await;
    let (upload, request, held) = half_way(&fleet, &store, &dump).await;
    fleet.dispatcher.kill();
    held.release();
    fleet.restart_dispatcher().await;
    let sent = json(&output(upload));
    assert_eq!(sent["id"], request.to_string());
    assert_eq!(delivered_once(&fleet, request).await.epoch, Epoch(1));
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_torn_is_resumed_and_the_log_is_followed_over_a_restart() {
    let store = Proxy::tcp(Services::s3_address()).await;
    let mut fleet = fleet(&store).await;
    let dump = dump(&fleet, "shop", Extra { ballast: 56, pause: 4, ..Extra::default() }).await;
    let (mut upload, request, held) = half_way(&fleet, &store, &dump).await;
    upload.kill().unwrap();
    output(upload);
    held.release();
    fleet.restart_dispatcher().await;

    let id = request.to_string();
    let resumed = fleet.uplift().args(["--json", "resume", &id, "--dump"]).arg(&dump).output().unwrap();
    let said = String::from_utf8_lossy(&resumed.stderr).into_owned();
    assert!(said.contains("are there already"), "nothing was kept of the torn upload: {said}");
    assert_eq!(json(&resumed)["id"], id);

    let follower = spawn(fleet.uplift().args(["log", "-f", &id]));
    fleet.reaches(request, PAUSED).await;
    fleet.restart_dispatcher().await;
    assert_eq!(delivered_once(&fleet, request).await.epoch, Epoch(1));
    let followed = output(follower);
    assert!(followed.status.success(), "{}", String::from_utf8_lossy(&followed.stderr));
    let whole = fleet.must(&["log", "-f", &id]);
    let followed = String::from_utf8(followed.stdout).unwrap();
    assert_eq!(followed, whole, "lines were lost or doubled");
    assert!(whole.lines().count() > 10, "{whole}");
    fleet.stop().await;
}
