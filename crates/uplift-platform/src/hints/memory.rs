//! Hints within one process: a channel in memory, under the name that would be the queues' prefix at a broker.
//!
//! It forgets everything when the process ends, as a broker may at any time: the ledger is the truth.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use uplift_core::{Purpose, RequestId};

use super::{Hint, QueueDepths, message::Settling};

/// The channels that somebody holds an end of, as a broker's address leads everybody to the same queues.
static CHANNELS: LazyLock<Mutex<HashMap<String, Weak<Channel>>>> = LazyLock::new(Mutex::default);

/// Two queues, and a bell.
#[derive(Debug, Default)]
pub(super) struct Channel {
    queues: Mutex<Queues>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    production: VecDeque<Waiting>,
    test: VecDeque<Waiting>,
}

/// A hint that nobody has.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) request: RequestId,
    pub(super) traceparent: Option<String>,
    pub(super) expires: Instant,
}

impl Channel {
    /// The channel of this name.
    pub(super) fn of(name: &str) -> Arc<Self> {
        let mut channels = locked(&CHANNELS);
        channels.retain(|_, channel| channel.strong_count() > 0);
        if let Some(channel) = channels.get(name).and_then(Weak::upgrade) {
            return channel;
        }
        let channel = Arc::<Self>::default();
        channels.insert(name.to_owned(), Arc::downgrade(&channel));
        channel
    }

    pub(super) fn publish(
        &self,
        purpose: Purpose,
        request: RequestId,
        traceparent: Option<&str>,
        ttl: Duration,
    ) {
        let traceparent = traceparent.map(ToOwned::to_owned);
        let waiting = Waiting { request, traceparent, expires: Instant::now() + ttl };
        locked(&self.queues).of(purpose).push_back(waiting);
        self.arrived.notify_one();
    }

    /// Puts a hint back at its place.
    pub(super) fn put_back(&self, purpose: Purpose, waiting: Waiting) {
        locked(&self.queues).of(purpose).push_front(waiting);
        self.arrived.notify_one();
    }

    /// Waits for the next hint, production before test. May be dropped while it waits: a hint is taken and handed out
    /// in one go.
    pub(super) async fn next(self: &Arc<Self>) -> Hint {
        loop {
            let arrived = self.arrived.notified();
            if let Some((purpose, waiting)) = locked(&self.queues).take() {
                return Hint {
                    request: waiting.request,
                    purpose,
                    traceparent: waiting.traceparent.clone(),
                    settling: Some(Settling::Memory { channel: Arc::clone(self), waiting }),
                };
            }
            arrived.await;
        }
    }

    pub(super) fn depths(&self) -> QueueDepths {
        let mut queues = locked(&self.queues);
        queues.expire();
        let depth = |queue: &VecDeque<Waiting>| u32::try_from(queue.len()).unwrap_or(u32::MAX);
        QueueDepths { test: depth(&queues.test), production: depth(&queues.production), dead: 0 }
    }
}

impl Queues {
    fn of(&mut self, purpose: Purpose) -> &mut VecDeque<Waiting> {
        match purpose {
            Purpose::Production => &mut self.production,
            Purpose::Test => &mut self.test,
        }
    }

    fn take(&mut self) -> Option<(Purpose, Waiting)> {
        self.expire();
        let first = |purpose| move |waiting| (purpose, waiting);
        let production = self.production.pop_front().map(first(Purpose::Production));
        production.or_else(|| self.test.pop_front().map(first(Purpose::Test)))
    }

    fn expire(&mut self) {
        let now = Instant::now();
        self.production.retain(|waiting| waiting.expires > now);
        self.test.retain(|waiting| waiting.expires > now);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use uplift_core::{Purpose, RequestId};

    use crate::hints::{Hint, HintsConfig, Listener, Publisher, QueueDepths};

    /// Both ends of a channel of a test's own.
    fn ends(ttl_seconds: u64) -> (Publisher, Listener) {
        let prefix = RequestId::new().to_string();
        let config = HintsConfig { url: "memory:".into(), prefix, ttl_seconds };
        (Publisher::start(config.clone()), Listener::start(config))
    }

    async fn publish(publisher: &Publisher, purpose: Purpose) -> RequestId {
        let request = RequestId::new();
        publisher.publish(purpose, request, Some("trace")).await.unwrap();
        request
    }

    async fn next(listener: &mut Listener) -> Hint {
        timeout(Duration::from_secs(10), listener.next()).await.expect("no hint came")
    }

    #[tokio::test]
    async fn a_hint_arrives_once_with_all_it_carries_and_production_first() {
        let (publisher, mut listener) = ends(600);
        assert!(publisher.connected() && listener.connected());
        let test = publish(&publisher, Purpose::Test).await;
        let production = publish(&publisher, Purpose::Production).await;
        let depths = QueueDepths { test: 1, production: 1, dead: 0 };
        assert_eq!(publisher.queue_depths().await.unwrap(), depths);
        for (purpose, request) in [(Purpose::Production, production), (Purpose::Test, test)] {
            let hint = next(&mut listener).await;
            assert_eq!((hint.purpose, hint.request), (purpose, request));
            assert_eq!(hint.traceparent.as_deref(), Some("trace"));
            hint.ack().await;
        }
        assert_eq!(publisher.queue_depths().await.unwrap(), QueueDepths::default());
    }

    #[tokio::test]
    async fn a_hint_that_is_given_back_or_dropped_comes_again_at_its_place() {
        let (publisher, mut listener) = ends(600);
        let first = publish(&publisher, Purpose::Test).await;
        publish(&publisher, Purpose::Test).await;
        next(&mut listener).await.requeue().await;
        let again = next(&mut listener).await;
        assert_eq!(again.request, first);
        drop(again);
        assert_eq!(next(&mut listener).await.request, first);
    }

    #[tokio::test]
    async fn a_hint_that_expires_is_gone() {
        let (publisher, _listener) = ends(0);
        publish(&publisher, Purpose::Test).await;
        assert_eq!(publisher.queue_depths().await.unwrap(), QueueDepths::default());
    }

    /// `next` is one branch of a worker's `select!`, so it is dropped and called again all the time.
    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_nothing_and_a_hint_ends_it() {
        let (publisher, mut listener) = ends(600);
        assert!(timeout(Duration::from_millis(20), listener.next()).await.is_err());
        let waiting = tokio::spawn(async move { next(&mut listener).await.request });
        let request = publish(&publisher, Purpose::Test).await;
        assert_eq!(waiting.await.unwrap(), request);
    }
}
