//! The exchanges and queues, declared at every connect: a broker that lost them gets them back.

use lapin::{
    Channel, Connection, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, LongString},
};
use uplift_core::Purpose;

use super::HintError;

/// How often a hint may come back unsettled before the broker puts it into the dead-letter queue.
pub const DELIVERY_LIMIT: i32 = 20;
/// How many dead hints, and how many events, are kept for whoever looks; the oldest go first.
const KEPT: i32 = 10_000;
/// How long they are kept.
const KEPT_MILLISECONDS: i32 = 7 * 24 * 3600 * 1000;

/// How many hints are waiting; those in a worker's hand do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepths {
    /// For tests.
    pub test: u32,
    /// For production.
    pub production: u32,
    /// Dead ones, for a person to look at.
    pub dead: u32,
}

/// The names that one installation uses.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    prefix: String,
}

impl Topology {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(super) fn exchange(&self) -> String {
        format!("{}.hints", self.prefix)
    }

    pub(super) fn queue(&self, purpose: Purpose) -> String {
        format!("{}.hints.{purpose}", self.prefix)
    }

    /// Where whoever wants to know binds a queue: a topic exchange, whose keys are such as `intervention.opened`.
    pub(super) fn events(&self) -> String {
        format!("{}.events", self.prefix)
    }

    fn interventions(&self) -> String {
        format!("{}.interventions", self.prefix)
    }

    fn dead_exchange(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    fn dead_queue(&self) -> String {
        format!("{}.hints.dead", self.prefix)
    }

    /// Declares everything. What is there already and alike is left as it is.
    pub(super) async fn declare(&self, channel: &Channel) -> Result<(), HintError> {
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let (hints, dead) = (self.exchange(), self.dead_exchange());
        channel
            .exchange_declare(hints.as_str().into(), ExchangeKind::Direct, durable, FieldTable::default())
            .await?;
        channel
            .exchange_declare(dead.as_str().into(), ExchangeKind::Headers, durable, FieldTable::default())
            .await?;
        self.declare_dead_queue(channel).await?;
        self.declare_events(channel).await?;
        for purpose in Purpose::ALL {
            let queue = self.queue(purpose);
            // How long a hint lives is written on the hint, not on the queue: a queue's arguments can never change.
            let mut arguments = quorum();
            arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
            arguments.insert("x-dead-letter-exchange".into(), text(&dead));
            channel.queue_declare(queue.as_str().into(), QueueDeclareOptions::durable(), arguments).await?;
            let (options, key) = (QueueBindOptions::default(), purpose.as_str());
            channel
                .queue_bind(
                    queue.as_str().into(),
                    hints.as_str().into(),
                    key.into(),
                    options,
                    FieldTable::default(),
                )
                .await?;
        }
        Ok(())
    }

    /// The dead-letter exchange drops hints that merely expired: that is their ordinary end when no worker is free.
    async fn declare_dead_queue(&self, channel: &Channel) -> Result<(), HintError> {
        let (dead, queue) = (self.dead_exchange(), self.dead_queue());
        let mut arguments = quorum();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(KEPT));
        arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(KEPT_MILLISECONDS));
        channel.queue_declare(queue.as_str().into(), QueueDeclareOptions::durable(), arguments).await?;
        for reason in ["rejected", "delivery_limit"] {
            let mut arguments = FieldTable::default();
            // Plain `any` ignores headers that start with `x-`.
            arguments.insert("x-match".into(), text("any-with-x"));
            arguments.insert("x-first-death-reason".into(), text(reason));
            let options = QueueBindOptions::default();
            channel
                .queue_bind(queue.as_str().into(), dead.as_str().into(), reason.into(), options, arguments)
                .await?;
        }
        Ok(())
    }

    /// The events' exchange, and a queue for the tools of whoever is on call.
    async fn declare_events(&self, channel: &Channel) -> Result<(), HintError> {
        let (exchange, queue) = (self.events(), self.interventions());
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel
            .exchange_declare(exchange.as_str().into(), ExchangeKind::Topic, durable, FieldTable::default())
            .await?;
        let mut arguments = quorum();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(KEPT));
        arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(KEPT_MILLISECONDS));
        channel.queue_declare(queue.as_str().into(), QueueDeclareOptions::durable(), arguments).await?;
        for key in ["intervention.#", "hop.#", "production.#"] {
            let (options, none) = (QueueBindOptions::default(), FieldTable::default());
            channel
                .queue_bind(queue.as_str().into(), exchange.as_str().into(), key.into(), options, none)
                .await?;
        }
        Ok(())
    }

    /// Asks for the number of waiting hints, on a channel of its own: asking for a queue that is missing closes it.
    pub(super) async fn depths(&self, connection: &Connection) -> Result<QueueDepths, HintError> {
        let channel = connection.create_channel().await?;
        let depth = async |queue: String| {
            let passive = QueueDeclareOptions::default().passive();
            let queue = channel.queue_declare(queue.into(), passive, FieldTable::default()).await?;
            Ok::<_, HintError>(queue.message_count())
        };
        Ok(QueueDepths {
            test: depth(self.queue(Purpose::Test)).await?,
            production: depth(self.queue(Purpose::Production)).await?,
            dead: depth(self.dead_queue()).await?,
        })
    }
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}
