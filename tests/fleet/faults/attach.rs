//! The connection that carries a job's bytes breaks. To either side that looks like an end, and is none.

use std::sync::Arc;

use uplift_core::Purpose;
use uplift_tests::{
    fleet::{Fleet, Options},
    proxy::{Fault, Proxy, Rule, Way},
    services::Services,
};

use super::{Attempt, Extra, attempts, delivered_once, dump, push_pausing_pack};

const MIB: u64 = 1024 * 1024;

/// Runs a request over an attach connection that breaks once in each of these ways; the attempts before the one that
/// delivers each failed at the place given.
async fn broken(faults: Vec<Rule>, places: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let real = Services::real();
    let docker = Proxy::unix(real.docker_socket.as_ref(), &directory.path().join("docker.sock"));
    let docker_socket = directory.path().join("docker.sock").to_str().unwrap().to_owned();
    let fleet =
        Fleet::with(Options { services: Services { docker_socket, ..real }, ..Options::default() }).await;
    push_pausing_pack(&fleet);
    let dump = dump(&fleet, "shop", Extra { ballast: 8, ..Extra::default() }).await;
    let rules: Vec<Arc<Rule>> = faults.into_iter().map(|fault| docker.add(fault.on("/attach?"))).collect();
    let request = fleet.submit(Purpose::Test, &dump, "2.0", "shop");
    delivered_once(&fleet, request).await;
    for rule in rules {
        assert_eq!(rule.happened(), 1, "the fault did not happen");
    }
    let mut attempts = attempts(&fleet, request).await;
    attempts.pop();
    let failed = |place: &&str| Attempt {
        outcome: "infrastructure".into(),
        place: (*place).to_owned(),
        counted: true,
    };
    assert_eq!(attempts, places.iter().map(failed).collect::<Vec<_>>());
    fleet.stop().await;
}

/// The engine sees the dump end too early; then the worker sees the result end too early. Beside it the same, with both
/// directions cut at once. Two fleets at the same time, since most of it is waiting for the next attempt.
#[tokio::test(flavor = "multi_thread")]
async fn an_attach_that_breaks_is_not_believed() {
    let faults =
        |fault| [Way::Requests, Way::Answers].map(|way| Rule::after(way, 4 * MIB, fault)).into_iter();
    tokio::join!(
        broken(faults(Fault::End).collect(), &["restore", "dump"]),
        broken(faults(Fault::Cut).collect(), &["restore", "dump"]),
    );
}
