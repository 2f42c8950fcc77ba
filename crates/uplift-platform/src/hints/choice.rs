//! RabbitMQ, or a channel within this process, as the configuration says.

use std::sync::Arc;

use serde_json::Value;
use uplift_core::{Purpose, RequestId};

use super::{Hint, HintError, HintsConfig, QueueDepths, listener, memory::Channel, publisher};

/// Publishes hints. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher(To);

#[derive(Clone, Debug)]
enum To {
    RabbitMq(publisher::Publisher),
    Memory(Arc<Channel>, HintsConfig),
}

/// Receives hints, for as long as the process lives.
#[derive(Debug)]
pub struct Listener(From);

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
enum From {
    RabbitMq(listener::Listener),
    Memory(Arc<Channel>),
}

impl Publisher {
    /// Starts connecting in the background. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(config: HintsConfig) -> Self {
        Self(if config.is_memory() {
            To::Memory(Channel::of(&config.prefix), config)
        } else {
            To::RabbitMq(publisher::Publisher::start(config))
        })
    }

    /// Whether hints can be published at the moment.
    #[must_use]
    pub fn connected(&self) -> bool {
        match &self.0 {
            To::RabbitMq(publisher) => publisher.connected(),
            To::Memory(..) => true,
        }
    }

    /// Publishes one hint and waits until the broker has stored it: at most five seconds, no time at all without a
    /// connection.
    ///
    /// # Errors
    /// Any [`HintError`]: the hint may not be stored.
    pub async fn publish(
        &self,
        purpose: Purpose,
        request: RequestId,
        traceparent: Option<&str>,
    ) -> Result<(), HintError> {
        match &self.0 {
            To::RabbitMq(publisher) => publisher.publish(purpose, request, traceparent).await,
            To::Memory(channel, config) => {
                channel.publish(purpose, request, traceparent, config.ttl());
                Ok(())
            }
        }
    }

    /// Publishes an event on the topic exchange `PREFIX.events`, and waits until the broker has stored it. Within one
    /// process nobody listens, and nothing is kept.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn tell(&self, topic: &str, id: i64, body: &Value) -> Result<(), HintError> {
        match &self.0 {
            To::RabbitMq(publisher) => publisher.tell(topic, id, body).await,
            To::Memory(..) => Ok(()),
        }
    }

    /// How many hints wait in each queue.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn queue_depths(&self) -> Result<QueueDepths, HintError> {
        match &self.0 {
            To::RabbitMq(publisher) => publisher.queue_depths().await,
            To::Memory(channel, _) => Ok(channel.depths()),
        }
    }
}

impl Listener {
    /// A listener that connects at the first [`Listener::next`].
    #[must_use]
    pub fn start(config: HintsConfig) -> Self {
        Self(if config.is_memory() {
            From::Memory(Channel::of(&config.prefix))
        } else {
            From::RabbitMq(listener::Listener::start(config))
        })
    }

    /// Whether hints can arrive at the moment, or could if the listener were not paused.
    #[must_use]
    pub fn connected(&self) -> bool {
        match &self.0 {
            From::RabbitMq(listener) => listener.connected(),
            From::Memory(_) => true,
        }
    }

    /// Waits for the next hint, production before test, through every failure of the broker. May be dropped while it
    /// waits and called again. At most one hint of each purpose is held.
    ///
    /// Call it while a slot is free, and [`Listener::pause`] when none is.
    pub async fn next(&mut self) -> Hint {
        match &mut self.0 {
            From::RabbitMq(listener) => listener.next().await,
            From::Memory(channel) => channel.next().await,
        }
    }

    /// Stops receiving and gives back what was not settled, so that other workers get it and no delivery stays
    /// unacknowledged while this worker is busy for hours. The next [`Listener::next`] starts again.
    pub async fn pause(&mut self) {
        match &mut self.0 {
            From::RabbitMq(listener) => listener.pause().await,
            // Nothing is held between two calls.
            From::Memory(_) => {}
        }
    }
}
