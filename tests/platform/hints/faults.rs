//! A broker that dies, comes back, and comes back empty.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use uplift_core::{Purpose, RequestId};
use uplift_platform::hints::{HintError, HintsConfig, Listener, Publisher};
use uplift_tests::{broker::Broker, eventually};

use super::{SOON, config, next, publish, publisher};

/// One node for all of it: starting one takes ten seconds.
#[tokio::test]
async fn hints_flow_again_after_the_broker_was_killed_and_after_it_was_wiped() {
    let mut broker = Broker::start().await;
    let config = config(broker.url(), "fault");
    let publisher = publisher(&config).await;
    let mut listener = Listener::start(config.clone());
    round_trip(&publisher, &mut listener).await;

    let stored = publish(&publisher, Purpose::Production).await;
    for queue in ["test", "production", "dead"] {
        broker.noted(&format!("fault.hints.{queue}")).await;
    }
    broker.kill();
    assert_fails_fast(&publisher).await;
    broker.restart().await;
    eventually("the publisher is back", SOON, async || publisher.connected().then_some(())).await;
    let hint = next(&mut listener).await;
    assert_eq!(hint.request, stored, "a confirmed hint survives the broker");
    hint.ack().await;
    round_trip(&publisher, &mut listener).await;

    // Paused meanwhile: the connection that was kept is dead when it is needed again.
    listener.pause().await;
    broker.wipe();
    assert_fails_fast(&publisher).await;
    broker.restart().await;
    eventually("the publisher is back", SOON, async || publisher.connected().then_some(())).await;
    round_trip(&publisher, &mut listener).await;
}

#[tokio::test]
async fn without_a_broker_publishing_fails_at_once_and_listening_waits() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = config(format!("amqp://guest:guest@127.0.0.1:{nobody}/%2f"), "nobody");
    let publisher = Publisher::start(config.clone());
    let mut listener = Listener::start(config);
    for _ in 0..20 {
        let started = Instant::now();
        let err = publisher.publish(Purpose::Test, RequestId::new(), None).await.unwrap_err();
        assert!(matches!(err, HintError::Disconnected), "{err:?}");
        assert!(started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
    }
    assert!(timeout(Duration::from_secs(1), listener.next()).await.is_err());
    assert!(!publisher.connected() && !listener.connected());
    listener.pause().await;
}

#[test]
fn the_configuration_is_strict_and_keeps_its_secret() {
    let config: HintsConfig = toml::from_str("url = 'amqp://u:secret@h/%2f'").unwrap();
    assert_eq!((config.prefix.as_str(), config.ttl().as_secs()), ("uplift", 600));
    assert!(!format!("{config:?}").contains("secret@"), "{config:?}");
    assert!(toml::from_str::<HintsConfig>("url = 'amqp://h'\nurls = ''").is_err());
}

async fn round_trip(publisher: &Publisher, listener: &mut Listener) {
    for purpose in Purpose::ALL {
        let request = publish(publisher, purpose).await;
        let hint = next(listener).await;
        assert_eq!((hint.purpose, hint.request), (purpose, request));
        hint.ack().await;
    }
}

/// Not later than a request handler may be kept waiting, whether the loss was noticed before or is noticed now.
async fn assert_fails_fast(publisher: &Publisher) {
    let started = Instant::now();
    let err = publisher.publish(Purpose::Test, RequestId::new(), None).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(6), "{err:?} after {:?}", started.elapsed());
    eventually("the loss is noticed", SOON, async || (!publisher.connected()).then_some(())).await;
    let err = publisher.publish(Purpose::Test, RequestId::new(), None).await.unwrap_err();
    assert!(matches!(err, HintError::Disconnected), "{err:?}");
}
