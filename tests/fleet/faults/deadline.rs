//! Attempts that take too long.

use std::path::Path;

use uplift_core::{Failure, Purpose, RequestId, request::State};
use uplift_tests::{
    fleet::{Fleet, Options},
    proxy::{Fault, Proxy, Rule, Way},
    services::Services,
};

use super::{Attempt, Extra, PAUSED, attempts, dump, push_pausing_pack};

/// Waits for the end of a request that takes too long: its worker ends it, and a person gets it.
async fn too_long(fleet: &Fleet, request: RequestId, place: &str, seconds: u64) {
    let failure = Failure::DeadlinePassed { place: place.to_owned(), seconds };
    assert_eq!(fleet.ended(request).await, State::Intervention { failure: failure.clone() });
    let attempt = Attempt { outcome: "deadline_passed".into(), place: place.into(), counted: true };
    assert_eq!(attempts(fleet, request).await, [attempt], "it was tried again");
    let log = fleet.log(request).await;
    assert!(log.trim_end().ends_with(&format!("error {failure}")), "{log}");
    assert!(!fleet.dispatcher.log().contains("an attempt was ended"), "the sweep was faster than the worker");
}

fn submit(fleet: &Fleet, dump: &Path, name: &str) -> RequestId {
    fleet.submit(Purpose::Test, dump, "3.0", name)
}

#[tokio::test]
async fn an_attempt_has_a_deadline_of_its_own() {
    let worker = "attempt_seconds = 30".to_owned();
    let fleet = Fleet::with(Options { worker, ..Options::default() }).await;
    push_pausing_pack(&fleet);
    let dump = dump(&fleet, "shop", Extra { pause: 300, ..Extra::default() }).await;
    let request = submit(&fleet, &dump, "shop");
    fleet.reaches(request, PAUSED).await;
    too_long(&fleet, request, "attempt", 30).await;
    fleet.stop().await;
}

/// An index that is never built, and a result that never gets into the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_hangs_is_not_waited_for_until_the_attempts_own_deadline() {
    let store = Proxy::tcp(Services::s3_address()).await;
    let services = Services { s3: store.url(), ..Services::real() };
    let worker = "stage_seconds = { restore = 40, dump = 20 }".to_owned();
    let fleet = Fleet::with(Options { services, worker, ..Options::default() }).await;
    push_pausing_pack(&fleet);
    let slow = dump(&fleet, "slow", Extra { slow_index: 1, ..Extra::default() }).await;
    let text = std::fs::read_to_string(&slow).unwrap();
    std::fs::write(&slow, text.replace("pg_sleep(1)", "pg_sleep(300)")).unwrap();
    let large = dump(&fleet, "large", Extra { ballast: 24, ..Extra::default() }).await;
    let (restoring, dumping) = (submit(&fleet, &slow, "restoring"), submit(&fleet, &large, "dumping"));
    let part = format!("{dumping}/attempts/1/result.sql?x-id=UploadPart");
    let held = store.add(Rule::after(Way::Requests, 0, Fault::Stall).on(part));
    too_long(&fleet, restoring, "restore", 40).await;
    too_long(&fleet, dumping, "dump", 20).await;
    assert!(held.happened() > 0, "the result's upload was not held");
    held.release();
    fleet.stop().await;
}
