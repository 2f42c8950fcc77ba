//! Publishing hints to RabbitMQ: persistent, mandatory, confirmed, and never in the way of the caller.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use uplift_core::{Purpose, RequestId};

use super::{HintError, HintsConfig, QueueDepths, connect::connect, message, topology::Topology};
use crate::{
    backoff::Backoff,
    boot::{
        spans,
        trace::{self, Work},
    },
};

/// How long one publish may take.
const CONFIRM: Duration = Duration::from_secs(5);
/// How often an idle connection is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A connection that lasted this long was a good one: the next failure is a new story.
const STABLE: Duration = Duration::from_secs(30);

/// Publishes hints over a connection that a background task builds again and again. Cheap to clone; the task ends
/// with the last clone.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    config: Arc<HintsConfig>,
    topology: Topology,
    link: watch::Receiver<Option<Arc<Link>>>,
    _task: Arc<AbortOnDropHandle<()>>,
}

/// What exists while the broker is in reach.
#[derive(Debug)]
struct Link {
    connection: Connection,
    channel: Channel,
    /// Told by a publish that failed: everything is to be built again.
    broken: Notify,
}

impl Publisher {
    /// Starts connecting in the background. Must be called within a Tokio runtime.
    pub(super) fn start(config: HintsConfig) -> Self {
        let (sender, link) = watch::channel(None);
        let topology = Topology::new(&config.prefix);
        let config = Arc::new(config);
        let task = tokio::spawn(supervise(Arc::clone(&config), topology.clone(), sender));
        Self { config, topology, link, _task: Arc::new(AbortOnDropHandle::new(task)) }
    }

    /// Whether hints can be published at the moment.
    pub(super) fn connected(&self) -> bool {
        self.link().is_some()
    }

    /// Publishes one hint and waits until the broker has stored it: at most five seconds, no time at all without a
    /// connection. `traceparent` is that of the request's submission.
    ///
    /// # Errors
    /// Any [`HintError`]: the hint may not be stored.
    pub(super) async fn publish(
        &self,
        purpose: Purpose,
        request: RequestId,
        traceparent: Option<&str>,
    ) -> Result<(), HintError> {
        let exchange = self.topology.exchange();
        let work = Work::begin(spans::publish_hint(&exchange, purpose));
        if let Some(traceparent) = traceparent {
            trace::continue_from(&work.span(), traceparent);
        }
        let published =
            self.publish_to(exchange, purpose, request, traceparent).instrument(work.span()).await;
        work.end(published.is_err().then_some("not_published"));
        published
    }

    async fn publish_to(
        &self,
        exchange: String,
        purpose: Purpose,
        request: RequestId,
        traceparent: Option<&str>,
    ) -> Result<(), HintError> {
        // Whoever takes the hint is linked to its publishing; without traces here, to the submission.
        let own = trace::traceparent();
        let (body, properties) =
            message::write(request, own.as_deref().or(traceparent), self.config.ttl())
                .map_err(|err| HintError::Misconfigured(format!("a hint cannot be written: {err}")))?;
        // A hint that no queue takes is lost; that is to be known.
        self.store(exchange, purpose.as_str(), true, &body, properties).await
    }

    /// Publishes an event and waits until the broker has stored it.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub(super) async fn tell(&self, topic: &str, id: i64, body: &Value) -> Result<(), HintError> {
        let properties = message::event_properties(id);
        // Whether anybody listens is their own affair.
        self.store(self.topology.events(), topic, false, body.to_string().as_bytes(), properties).await
    }

    async fn store(
        &self,
        exchange: String,
        key: &str,
        mandatory: bool,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), HintError> {
        self.bounded(|link| async move {
            let options = BasicPublishOptions { mandatory, ..Default::default() };
            let (exchange, key) = (exchange.as_str().into(), key.into());
            let stored = link.channel.basic_publish(exchange, key, options, body, properties).await?;
            match stored.await? {
                Confirmation::Ack(None) => Ok(()),
                Confirmation::Ack(Some(_)) => Err(HintError::Unroutable),
                Confirmation::Nack(_) | Confirmation::NotRequested => Err(HintError::Refused),
            }
        })
        .await
    }

    /// How many hints wait in each queue.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub(super) async fn queue_depths(&self) -> Result<QueueDepths, HintError> {
        self.bounded(|link| async move { self.topology.depths(&link.connection).await }).await
    }

    fn link(&self) -> Option<Arc<Link>> {
        self.link.borrow().clone().filter(|link| link.alive())
    }

    /// Does one thing over the connection, in bounded time; whatever fails has everything built again.
    async fn bounded<T, F>(&self, work: impl FnOnce(Arc<Link>) -> F) -> Result<T, HintError>
    where
        F: Future<Output = Result<T, HintError>>,
    {
        let link = self.link().ok_or(HintError::Disconnected)?;
        let done = timeout(CONFIRM, work(Arc::clone(&link))).await.unwrap_or(Err(HintError::TimedOut));
        if done.is_err() {
            link.broken.notify_one();
        }
        done
    }
}

impl Link {
    async fn open(config: &HintsConfig, topology: &Topology) -> Result<Self, HintError> {
        let connection = connect(config, "publisher").await?;
        let declared = async {
            let channel = connection.create_channel().await?;
            topology.declare(&channel).await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, HintError>(channel)
        };
        let channel = timeout(CONFIRM, declared).await.map_err(|_| HintError::TimedOut)??;
        Ok(Self { connection, channel, broken: Notify::new() })
    }

    fn alive(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    /// Returns once the link is of no use any more.
    async fn end(&self) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.alive() {
            tokio::select! {
                () = self.broken.notified() => return,
                _ = look.tick() => {}
            }
        }
    }
}

async fn supervise(config: Arc<HintsConfig>, topology: Topology, sender: watch::Sender<Option<Arc<Link>>>) {
    let mut backoff = Backoff::for_service();
    loop {
        match Link::open(&config, &topology).await {
            Ok(link) => {
                let since = Instant::now();
                let link = Arc::new(link);
                tracing::info!("connected to the broker, to publish");
                sender.send_replace(Some(Arc::clone(&link)));
                link.end().await;
                sender.send_replace(None);
                if since.elapsed() >= STABLE {
                    backoff.reset();
                }
                tracing::warn!("lost the broker; requests are still accepted, and hinted at once it is back");
            }
            Err(err) => {
                tracing::warn!(err = %report(&err), failures = backoff.failures(), "reach the broker")
            }
        }
        sleep(backoff.after_failure()).await;
    }
}

/// An error with its causes, in one line.
pub(super) fn report(err: &dyn std::error::Error) -> String {
    match err.source() {
        Some(cause) => format!("{err}: {}", report(cause)),
        None => err.to_string(),
    }
}
