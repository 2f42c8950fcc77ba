//! Faults and traces: an attempt that is broken off ends every span of it, and a collector that is away or hangs
//! holds up nothing.

use std::net::TcpListener;

use uplift_core::{Purpose, request::StateCode};
use uplift_tests::{
    SOON,
    collector::{Collector, environment},
    eventually,
    fleet::{Fleet, Options},
};

use super::{Extra, PAUSED, delivered_once, dump, push_pausing_pack};

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_is_cancelled_in_a_step_ends_all_its_spans() {
    let collector = Collector::start().await;
    let options = Options { workers: 1, environment: collector.environment(), ..Options::default() };
    let fleet = Fleet::with(options).await;
    push_pausing_pack(&fleet);
    let file = dump(&fleet, "shop", Extra { pause: 600, ..Extra::default() }).await;
    let request = fleet.submit(Purpose::Test, &file, "3.0", "shop");
    fleet.reaches(request, PAUSED).await;
    fleet.must(&["cancel", &request.to_string()]);
    assert_eq!(fleet.ended(request).await.code(), StateCode::Cancelled);

    let attempt = collector.span("attempt", |span| span.name == "attempt").await;
    let ends = collector.trace(&attempt.trace).into_iter().map(|span| (span.name, span.error));
    let failed: Vec<(String, String)> = ends.filter_map(|(name, error)| Some((name, error?))).collect();
    let expected = [("attempt", "cancelled"), ("upgrade", "broken_off"), ("2.0-3.0/pause", "broken_off")];
    assert_eq!(failed, expected.map(|(name, error)| (name.to_owned(), error.to_owned())));
    fleet.stop().await;
}

/// One port takes connections and never answers, the other one refuses them.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_or_is_away_holds_up_nothing() {
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [hangs.local_addr().unwrap(), away] {
        let environment = environment(&format!("http://{address}"));
        let options = Options { workers: 1, environment, ..Options::default() };
        let mut fleet = Fleet::with(options).await;
        push_pausing_pack(&fleet);
        let file = dump(&fleet, "shop", Extra::default()).await;
        let request = fleet.submit(Purpose::Test, &file, "3.0", "shop");
        delivered_once(&fleet, request).await;
        // The last spans are given up on after five seconds.
        fleet.workers[0].signal("TERM");
        let status = eventually("the worker ends", SOON, async || fleet.workers[0].ended()).await;
        assert!(status.success(), "{status}: {}", fleet.workers[0].log());
        fleet.stop().await;
    }
}
