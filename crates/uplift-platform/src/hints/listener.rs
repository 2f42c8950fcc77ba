//! Listening to RabbitMQ for hints, and giving back what cannot be used at the moment.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use lapin::{
    Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicConsumeOptions, BasicQosOptions, BasicRejectOptions},
    types::FieldTable,
};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use uplift_core::Purpose;

use super::{Hint, HintError, HintsConfig, connect::connect, publisher::report, topology::Topology};
use crate::backoff::Backoff;

/// Unsettled hints per queue. Claims are made one at a time, so one hint in hand keeps every free slot busy; a second
/// one would only keep another worker asleep.
const PREFETCH: u16 = 1;
/// For declaring and subscribing, and for giving back.
const SETTLE: Duration = Duration::from_secs(5);
/// A session that lasted this long was a good one: the next failure is a new story.
const STABLE: Duration = Duration::from_secs(30);

/// Receives hints, for as long as the process lives. Whatever breaks is built again, in the background.
#[derive(Debug)]
pub(super) struct Listener {
    config: HintsConfig,
    backoff: Backoff,
    state: State,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
enum State {
    /// Not consuming. A connection from before is kept for the next time.
    Paused(Option<Connection>),
    /// On the way to consuming, however long the broker takes.
    Opening(AbortOnDropHandle<(Session, Backoff)>),
    Consuming(Session),
}

/// Two consumers on one channel. Closing the channel gives everything unsettled back to the broker.
#[derive(Debug)]
struct Session {
    production: Consumer,
    test: Consumer,
    channel: Channel,
    connection: Connection,
    since: Instant,
}

impl Listener {
    /// A listener that connects at the first [`Listener::next`].
    pub(super) fn start(config: HintsConfig) -> Self {
        Self { config, backoff: Backoff::for_service(), state: State::Paused(None) }
    }

    /// Whether hints can arrive at the moment, or could if the listener were not paused.
    pub(super) fn connected(&self) -> bool {
        match &self.state {
            State::Paused(connection) => connection.as_ref().is_some_and(|it| it.status().connected()),
            State::Opening(_) => false,
            State::Consuming(session) => session.connection.status().connected(),
        }
    }

    /// Waits for the next hint, production before test, through every failure of the broker. May be dropped while it
    /// waits and called again. At most one hint of each purpose is held.
    ///
    /// Call it while a slot is free, and [`Listener::pause`] when none is.
    pub(super) async fn next(&mut self) -> Hint {
        loop {
            match &mut self.state {
                State::Paused(connection) => {
                    let connection = connection.take();
                    self.open(connection, Duration::ZERO);
                }
                State::Opening(task) => match task.await {
                    Ok((session, backoff)) => {
                        self.backoff = backoff;
                        self.state = State::Consuming(session);
                    }
                    Err(err) => {
                        tracing::error!(%err, "the task that reaches the broker failed, starting it again");
                        let wait = self.backoff.after_failure();
                        self.open(None, wait);
                    }
                },
                State::Consuming(session) => match session.next().await {
                    // Delivered before the connection broke: the broker has it back and delivers it again.
                    Ok((delivery, _)) if !delivery.acker.usable() => {}
                    Ok((delivery, purpose)) => match Hint::read(delivery, purpose) {
                        Ok(hint) => return hint,
                        Err(unreadable) => reject(unreadable.delivery, &unreadable.error).await,
                    },
                    Err(err) => {
                        if session.since.elapsed() >= STABLE {
                            self.backoff.reset();
                        }
                        let wait = self.backoff.after_failure();
                        tracing::warn!(err = %report(&err), "lost the broker; claims go on without hints");
                        self.open(None, wait);
                    }
                },
            }
        }
    }

    /// Stops receiving and gives back what was not settled, so that other workers get it and no delivery stays
    /// unacknowledged while this worker is busy for hours. The next [`Listener::next`] starts again.
    pub(super) async fn pause(&mut self) {
        match std::mem::replace(&mut self.state, State::Paused(None)) {
            // The session's end is what gives back, however far the waiting below gets.
            State::Consuming(session) => {
                let closed = timeout(SETTLE, session.channel.close(200, "no free slot".into())).await;
                // A connection that does not close a channel in time is not worth keeping.
                if let Ok(Ok(())) = closed {
                    self.state = State::Paused(Some(session.connection));
                }
            }
            State::Opening(_) => {}
            State::Paused(connection) => self.state = State::Paused(connection),
        }
    }

    fn open(&mut self, connection: Option<Connection>, wait: Duration) {
        let task = tokio::spawn(open(self.config.clone(), connection, wait, self.backoff.clone()));
        self.state = State::Opening(AbortOnDropHandle::new(task));
    }
}

/// Tries until it consumes.
async fn open(
    config: HintsConfig,
    mut kept: Option<Connection>,
    wait: Duration,
    mut backoff: Backoff,
) -> (Session, Backoff) {
    sleep(wait).await;
    loop {
        let connection = match kept.take().filter(|connection| connection.status().connected()) {
            Some(connection) => Ok(connection),
            None => connect(&config, "listener").await,
        };
        let opened = match connection {
            Ok(connection) => Session::open(&config, connection).await,
            Err(err) => Err(err),
        };
        match opened {
            Ok(session) => return (session, backoff),
            Err(err) => {
                tracing::warn!(err = %report(&err), failures = backoff.failures(), "reach the broker")
            }
        }
        sleep(backoff.after_failure()).await;
    }
}

impl Session {
    async fn open(config: &HintsConfig, connection: Connection) -> Result<Self, HintError> {
        let topology = Topology::new(&config.prefix);
        let subscribed = async {
            let channel = connection.create_channel().await?;
            topology.declare(&channel).await?;
            // For each consumer: quorum queues know no limit that a channel's consumers share.
            channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
            let consume = async |purpose| {
                let (queue, tag) = (topology.queue(purpose), String::new());
                let options = BasicConsumeOptions::default();
                channel.basic_consume(queue.into(), tag.into(), options, FieldTable::default()).await
            };
            let production = consume(Purpose::Production).await?;
            let test = consume(Purpose::Test).await?;
            Ok::<_, HintError>((channel, production, test))
        };
        let (channel, production, test) =
            timeout(SETTLE, subscribed).await.map_err(|_| HintError::TimedOut)??;
        tracing::debug!("listening for hints");
        Ok(Self { production, test, channel, connection, since: Instant::now() })
    }

    async fn next(&mut self) -> Result<(Delivery, Purpose), HintError> {
        let (delivery, purpose) = tokio::select! {
            biased;
            delivery = self.production.next() => (delivery, Purpose::Production),
            delivery = self.test.next() => (delivery, Purpose::Test),
        };
        // A consumer that the broker cancels (its queue was removed) just ends.
        Ok((delivery.ok_or(HintError::Disconnected)??, purpose))
    }
}

/// Has the broker put what is not a hint into the dead-letter queue.
async fn reject(delivery: Delivery, err: &serde_json::Error) {
    tracing::warn!(%err, "a message is not a hint: it goes to the dead-letter queue");
    if let Err(err) = delivery.acker.reject(BasicRejectOptions { requeue: false }).await {
        tracing::debug!(%err, "reject a message; it will come again");
    }
}
