//! A ledger that goes away for less than a lease lasts: what runs goes on, and says so later.

use std::time::Duration;

use uplift_core::{Epoch, Purpose};
use uplift_tests::{
    fleet::{Fleet, Options},
    proxy::{Address, Proxy},
    services::{Services, variable},
};

use super::{Extra, PAUSED, delivered_once, dump, push_pausing_pack};

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_goes_away_for_a_while_costs_nothing() {
    let proxy = Proxy::tcp(Services::ledger_address()).await;
    let Address::Tcp(address) = &proxy.address else { unreachable!() };
    let url = variable("UPLIFT_TEST_LEDGER_URL");
    let (user, rest) = url.split_once('@').unwrap();
    let ledger = format!("{user}@{address}/{}", rest.split_once('/').unwrap().1);
    let fleet =
        Fleet::with(Options { services: Services { ledger, ..Services::real() }, ..Options::default() })
            .await;
    push_pausing_pack(&fleet);
    let dump = dump(&fleet, "shop", Extra { pause: 3, ..Extra::default() }).await;
    let request = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    fleet.reaches(request, PAUSED).await;
    let worker = fleet.worker_of(request).await;
    proxy.set_down(true);
    // The step ends, and the result's upload has to be recorded, while nobody answers. The lease was renewed ten
    // seconds ago at most, and would be given up 45 seconds after that.
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(fleet.workers[worker].log().contains("the ledger is away; asking again"));
    proxy.set_down(false);
    assert_eq!(delivered_once(&fleet, request).await.epoch, Epoch(1));
    fleet.stop().await;
}
