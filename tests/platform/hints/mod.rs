//! Hints over a real RabbitMQ.

mod faults;
mod flow;

use std::time::Duration;

use tokio::time::timeout;
use uplift_core::{Purpose, RequestId};
use uplift_platform::hints::{Hint, HintsConfig, Listener, Publisher};
use uplift_tests::eventually;

/// Long enough for a busy machine, short enough to notice.
const SOON: Duration = Duration::from_secs(30);

fn config(url: String, prefix: &str) -> HintsConfig {
    HintsConfig { url: url.into(), prefix: prefix.to_owned(), ttl_seconds: 600 }
}

/// A publisher that is connected.
async fn publisher(config: &HintsConfig) -> Publisher {
    let publisher = Publisher::start(config.clone());
    eventually("the publisher connects", SOON, async || publisher.connected().then_some(())).await;
    publisher
}

async fn publish(publisher: &Publisher, purpose: Purpose) -> RequestId {
    let request = RequestId::new();
    publisher.publish(purpose, request, None).await.unwrap();
    request
}

async fn next(listener: &mut Listener) -> Hint {
    timeout(SOON, listener.next()).await.expect("no hint came")
}
