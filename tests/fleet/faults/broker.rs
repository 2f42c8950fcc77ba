//! A broker that is away, dies and comes back empty. Workers look at the ledger by themselves so rarely here that
//! whatever runs soon was hinted at.

use std::time::Duration;

use uplift_core::{Epoch, Purpose, RequestId, request::StateCode};
use uplift_tests::{
    broker::Broker,
    eventually,
    fleet::{Fleet, Options},
    services::Services,
};

use super::{Extra, PAUSED, delivered_once, dump, push_pausing_pack};

/// One node and one fleet for all of it: starting a node takes ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_away_then_killed_then_wiped_and_nothing_is_lost() {
    let mut broker = Broker::start().await;
    let services = Services { amqp: broker.url(), ..Services::real() };
    let fleet = Fleet::with(Options { services, poll_seconds: 3600, ..Options::default() }).await;
    push_pausing_pack(&fleet);
    let dump = dump(&fleet, "shop", Extra { pause: 3, ..Extra::default() }).await;
    let submit = |name| fleet.submit(Purpose::Test, &dump, "3.0", name);
    noted(&broker, &fleet).await;

    broker.kill();
    let away = submit("away");
    assert_eq!(fleet.request(away).await.state.code(), StateCode::Queued);
    broker.restart().await;
    runs_soon(&fleet, away).await;

    fleet.reaches(away, PAUSED).await;
    broker.kill();
    assert_eq!(delivered_once(&fleet, away).await.epoch, Epoch(1));
    broker.restart().await;
    let killed = submit("killed");
    runs_soon(&fleet, killed).await;

    fleet.reaches(killed, PAUSED).await;
    broker.wipe();
    broker.restart().await;
    let wiped = submit("wiped");
    runs_soon(&fleet, wiped).await;
    for request in [killed, wiped] {
        assert_eq!(delivered_once(&fleet, request).await.epoch, Epoch(1));
    }
    fleet.stop().await;
}

/// Long before a worker looks by itself.
async fn runs_soon(fleet: &Fleet, request: RequestId) {
    let limit = Duration::from_secs(90);
    eventually("the request runs", limit, async || {
        (fleet.request(request).await.epoch == Epoch(1)).then_some(())
    })
    .await;
}

async fn noted(broker: &Broker, fleet: &Fleet) {
    for queue in ["test", "production", "dead"] {
        broker.noted(&format!("{}.hints.{queue}", fleet.name())).await;
    }
}
