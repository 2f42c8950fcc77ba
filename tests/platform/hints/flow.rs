//! The way of a hint while the broker is well.

use std::time::Duration;

use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{
        BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeleteOptions,
    },
    types::FieldTable,
};
use tokio::time::timeout;
use uplift_core::{Purpose, RequestId};
use uplift_platform::hints::{DELIVERY_LIMIT, HintError, HintsConfig, Listener, Publisher, QueueDepths};
use uplift_tests::{eventually, services::variable};
use uuid::Uuid;

use super::{SOON, config, next, publish, publisher};

/// Names of a test's own on the broker that `cargo xtask test` started, and a plain connection to it.
struct Broker {
    config: HintsConfig,
    _connection: Connection,
    channel: Channel,
}

impl Broker {
    async fn new() -> Self {
        let url = variable("UPLIFT_TEST_AMQP_URL");
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let prefix = format!("test-{}", Uuid::now_v7());
        Self { config: config(url, &prefix), _connection: connection, channel }
    }

    fn name(&self, rest: &str) -> String {
        format!("{}.{rest}", self.config.prefix)
    }

    /// Sends what no publisher of ours would send; returns once it is stored.
    async fn send(&self, body: &[u8]) {
        let (exchange, options) = (self.name("hints").into(), BasicPublishOptions::default());
        let sent = self.channel.basic_publish(exchange, "test".into(), options, body, Default::default());
        assert!(sent.await.unwrap().await.unwrap().is_ack());
    }

    async fn remove(self) {
        for queue in ["hints.test", "hints.production", "hints.dead", "interventions"] {
            self.channel.queue_delete(self.name(queue).into(), QueueDeleteOptions::default()).await.unwrap();
        }
        for exchange in ["hints", "dead", "events"] {
            let options = ExchangeDeleteOptions::default();
            self.channel.exchange_delete(self.name(exchange).into(), options).await.unwrap();
        }
    }
}

async fn depths(publisher: &Publisher, expected: QueueDepths) {
    eventually(&format!("the queues hold {expected:?}"), SOON, async || {
        publisher.queue_depths().await.is_ok_and(|depths| depths == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_hint_arrives_once_with_all_it_carries_and_production_first() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker.config).await;
    let tests = [publish(&publisher, Purpose::Test).await, publish(&publisher, Purpose::Test).await];
    let production = RequestId::new();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    publisher.publish(Purpose::Production, production, Some(traceparent)).await.unwrap();
    depths(&publisher, QueueDepths { test: 2, production: 1, dead: 0 }).await;

    let mut listener = Listener::start(broker.config.clone());
    let mut seen = Vec::new();
    for _ in 0..3 {
        let hint = next(&mut listener).await;
        assert_eq!(hint.traceparent.as_deref(), (hint.request == production).then_some(traceparent));
        seen.push((hint.purpose, hint.request));
        hint.ack().await;
    }
    assert!(listener.connected());
    // The broker may deliver the first test before it delivers production; never the second one.
    let place = seen.iter().position(|hint| *hint == (Purpose::Production, production)).unwrap();
    assert!(place <= 1, "production came as number {}", place + 1);
    seen.remove(place);
    assert_eq!(seen, tests.map(|request| (Purpose::Test, request)));

    let more = timeout(Duration::from_millis(500), listener.next()).await;
    assert!(more.is_err(), "a hint came twice");
    listener.pause().await;
    depths(&publisher, QueueDepths::default()).await;
    broker.remove().await;
}

#[tokio::test]
async fn a_hint_that_no_queue_takes_is_an_error_and_the_queue_is_bound_again() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker.config).await;
    let (queue, exchange) = (broker.name("hints.test"), broker.name("hints"));
    broker
        .channel
        .queue_unbind(queue.into(), exchange.into(), "test".into(), FieldTable::default())
        .await
        .unwrap();
    let err = publisher.publish(Purpose::Test, RequestId::new(), None).await.unwrap_err();
    assert!(matches!(err, HintError::Unroutable), "{err:?}");
    eventually("the queue is bound again", SOON, async || {
        publisher.publish(Purpose::Test, RequestId::new(), None).await.ok()
    })
    .await;
    depths(&publisher, QueueDepths { test: 1, ..QueueDepths::default() }).await;
    broker.remove().await;
}

#[tokio::test]
async fn removed_queues_and_exchanges_come_back_under_both_sides() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker.config).await;
    let mut listener = Listener::start(broker.config.clone());
    let first = publish(&publisher, Purpose::Production).await;
    let hint = next(&mut listener).await;
    assert_eq!(hint.request, first);
    hint.ack().await;
    for queue in ["hints.test", "hints.production"] {
        broker.channel.queue_delete(broker.name(queue).into(), QueueDeleteOptions::default()).await.unwrap();
    }
    let options = ExchangeDeleteOptions::default();
    broker.channel.exchange_delete(broker.name("hints").into(), options).await.unwrap();
    let hint = timeout(SOON, async {
        // The consumers were cancelled, and the publisher finds its exchange gone: both are rebuilt.
        let request = RequestId::new();
        let published = eventually("a hint is taken", SOON, async || {
            publisher.publish(Purpose::Test, request, None).await.ok()
        });
        let ((), hint) = tokio::join!(published, listener.next());
        assert_eq!(hint.request, request);
        hint
    });
    hint.await.unwrap().ack().await;
    listener.pause().await;
    broker.remove().await;
}

#[tokio::test]
async fn a_message_that_is_not_a_hint_goes_to_the_dead_and_does_not_stop_the_others() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker.config).await;
    for body in [&b""[..], b"\xff", b"{}", b"{\"request\":\"1\"}"] {
        let (exchange, options) = (broker.name("hints").into(), BasicPublishOptions::default());
        let confirm =
            broker.channel.basic_publish(exchange, "test".into(), options, body, Default::default());
        let _confirmed = confirm.await.unwrap().await.unwrap();
    }
    let request = publish(&publisher, Purpose::Test).await;
    let mut listener = Listener::start(broker.config.clone());
    let hint = next(&mut listener).await;
    assert_eq!(hint.request, request);
    hint.ack().await;
    depths(&publisher, QueueDepths { dead: 4, ..QueueDepths::default() }).await;
    listener.pause().await;
    broker.remove().await;
}

#[tokio::test]
async fn a_hint_that_is_never_settled_ends_in_the_dead_letter_queue() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker.config).await;
    let request = publish(&publisher, Purpose::Production).await;
    let mut listener = Listener::start(broker.config.clone());
    // Once delivered, and then as often again as the limit says.
    for time in 0..=DELIVERY_LIMIT {
        let hint = next(&mut listener).await;
        assert_eq!(hint.request, request, "time {time}");
        match time % 2 {
            0 => hint.requeue().await,
            _ => drop(hint),
        }
    }
    depths(&publisher, QueueDepths { dead: 1, ..QueueDepths::default() }).await;
    listener.pause().await;
    broker.remove().await;
}

#[tokio::test]
async fn a_hint_that_expires_is_gone_and_not_among_the_dead() {
    let broker = Broker::new().await;
    let publisher = publisher(&HintsConfig { ttl_seconds: 1, ..broker.config.clone() }).await;
    publish(&publisher, Purpose::Test).await;
    depths(&publisher, QueueDepths { test: 1, ..QueueDepths::default() }).await;
    depths(&publisher, QueueDepths::default()).await;
    // A rejected message, sent after it, arrives among the dead: the expired one would have been there before.
    broker.send(b"").await;
    let mut listener = Listener::start(broker.config.clone());
    let lasting = self::publisher(&broker.config).await;
    let request = publish(&lasting, Purpose::Test).await;
    let hint = next(&mut listener).await;
    assert_eq!(hint.request, request);
    hint.ack().await;
    depths(&publisher, QueueDepths { dead: 1, ..QueueDepths::default() }).await;
    listener.pause().await;
    broker.remove().await;
}

#[tokio::test]
async fn a_worker_that_pauses_gives_back_what_it_did_not_settle() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker.config).await;
    let mut requests =
        [publish(&publisher, Purpose::Test).await, publish(&publisher, Purpose::Production).await];
    let mut busy = Listener::start(broker.config.clone());
    let held = next(&mut busy).await;
    // Both are delivered: one is in hand, the other waits in the listener.
    depths(&publisher, QueueDepths::default()).await;
    busy.pause().await;
    busy.pause().await;
    depths(&publisher, QueueDepths { test: 1, production: 1, dead: 0 }).await;
    // The broker has it back, so this does nothing.
    held.ack().await;

    let mut free = Listener::start(broker.config.clone());
    let mut seen = [next(&mut free).await, next(&mut free).await];
    assert!(seen.iter().all(|hint| requests.contains(&hint.request)));
    requests.sort();
    seen.sort_by_key(|hint| hint.request);
    assert_eq!(seen.each_ref().map(|hint| hint.request), requests);
    for hint in seen {
        hint.ack().await;
    }
    // A paused listener starts again where it is asked to, over the same connection.
    let request = publish(&publisher, Purpose::Test).await;
    free.pause().await;
    let hint = next(&mut busy).await;
    assert_eq!(hint.request, request);
    hint.ack().await;
    busy.pause().await;
    depths(&publisher, QueueDepths::default()).await;
    broker.remove().await;
}

/// `next` is one branch of a worker's `select!`, so it is dropped and called again all the time.
#[tokio::test]
async fn a_wait_that_is_given_up_again_and_again_loses_nothing() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker.config).await;
    let mut listener = Listener::start(broker.config.clone());
    for _ in 0..20 {
        let request = publish(&publisher, Purpose::Test).await;
        let hint = timeout(SOON, async {
            loop {
                if let Ok(hint) = timeout(Duration::from_millis(1), listener.next()).await {
                    return hint;
                }
            }
        });
        let hint = hint.await.expect("no hint came");
        assert_eq!(hint.request, request);
        hint.ack().await;
    }
    listener.pause().await;
    broker.remove().await;
}

#[tokio::test]
async fn events_reach_whoever_is_on_call_and_nobody_else_is_needed() {
    let broker = Broker::new().await;
    let publisher = publisher(&broker.config).await;
    // Nobody is bound to this one.
    publisher.tell("something.else", 1, &serde_json::json!({})).await.unwrap();
    let body = serde_json::json!({ "intervention": "an id" });
    publisher.tell("intervention.opened", 2, &body).await.unwrap();
    publisher.tell("hop.held", 3, &body).await.unwrap();
    for (key, id) in [("intervention.opened", "2"), ("hop.held", "3")] {
        let queue = broker.name("interventions");
        let message = eventually("the event is there", SOON, async || {
            broker.channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap()
        })
        .await;
        assert_eq!(message.delivery.routing_key.as_str(), key);
        let named = message.delivery.properties.message_id().as_ref().map(|id| id.as_str());
        assert_eq!((named, *message.delivery.properties.delivery_mode()), (Some(id), Some(2)));
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&message.delivery.data).unwrap(), body);
        message.delivery.acker.ack(Default::default()).await.unwrap();
    }
    broker.remove().await;
}
