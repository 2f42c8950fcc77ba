//! What a hint looks like on the wire, and in a worker's hand.

use std::{sync::Arc, time::Duration};

use lapin::{
    Acker, BasicProperties,
    message::Delivery,
    options::{BasicAckOptions, BasicNackOptions},
    types::{AMQPValue, FieldTable, LongString},
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use uplift_core::{Purpose, RequestId};

use super::memory::{Channel, Waiting};

const PERSISTENT: u8 = 2;
const TRACEPARENT: &str = "traceparent";

/// The body. Nothing but the id: whatever else is true of the request stands in the ledger.
#[derive(Serialize, Deserialize)]
struct Body {
    request: RequestId,
}

/// What stands on an event beside its body. One that is told again has the same id.
pub(super) fn event_properties(id: i64) -> BasicProperties {
    BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(id.to_string().into())
}

/// A word that `request` may be claimable; any other one may be, too.
///
/// Settle it with [`Hint::ack`] once the claim is committed, found or not. A hint that is dropped goes back to the queue.
#[derive(Debug)]
pub struct Hint {
    /// The request that was hinted at.
    pub request: RequestId,
    /// What it is for.
    pub purpose: Purpose,
    /// The W3C trace context of the publisher, if it gave one.
    pub traceparent: Option<String>,
    /// Taken when it is settled.
    pub(super) settling: Option<Settling>,
}

/// How a hint is settled.
#[derive(Debug)]
pub(super) enum Settling {
    RabbitMq(Acker),
    Memory { channel: Arc<Channel>, waiting: Waiting },
}

/// A delivery that is no hint.
pub(super) struct Unreadable {
    pub(super) delivery: Delivery,
    pub(super) error: serde_json::Error,
}

impl Hint {
    /// Takes the hint off the queue. Does nothing where the broker took it back in the meantime.
    pub async fn ack(mut self) {
        // In memory, it left its queue when it was handed out.
        if let Some(Settling::RabbitMq(acker)) = self.settling.take()
            && let Err(err) = acker.ack(BasicAckOptions::default()).await
        {
            tracing::debug!(%err, request.id = %self.request, "acknowledge a hint; it will come again");
        }
    }

    /// Puts the hint back at its place in the queue. Each time counts against the delivery limit.
    pub async fn requeue(mut self) {
        match self.settling.take() {
            Some(Settling::RabbitMq(acker)) => put_back(acker).await,
            Some(Settling::Memory { channel, waiting }) => channel.put_back(self.purpose, waiting),
            None => {}
        }
    }

    /// Reads a delivery; gives it back where it is not a hint.
    pub(super) fn read(delivery: Delivery, purpose: Purpose) -> Result<Self, Box<Unreadable>> {
        match serde_json::from_slice::<Body>(&delivery.data) {
            Ok(body) => Ok(Self {
                request: body.request,
                purpose,
                traceparent: traceparent(&delivery.properties),
                settling: Some(Settling::RabbitMq(delivery.acker)),
            }),
            Err(error) => Err(Box::new(Unreadable { delivery, error })),
        }
    }
}

impl Drop for Hint {
    fn drop(&mut self) {
        match self.settling.take() {
            Some(Settling::RabbitMq(acker)) => {
                if let Ok(runtime) = Handle::try_current() {
                    runtime.spawn(put_back(acker));
                }
            }
            Some(Settling::Memory { channel, waiting }) => channel.put_back(self.purpose, waiting),
            None => {}
        }
    }
}

async fn put_back(acker: Acker) {
    if let Err(err) = acker.nack(BasicNackOptions { requeue: true, ..Default::default() }).await {
        tracing::debug!(%err, "put a hint back; the broker takes it back by itself");
    }
}

fn traceparent(properties: &BasicProperties) -> Option<String> {
    match properties.headers().as_ref()?.inner().get(TRACEPARENT)? {
        AMQPValue::LongString(value) => String::from_utf8(value.as_bytes().to_vec()).ok(),
        _ => None,
    }
}

/// Body and properties of a hint that lives for `ttl`.
pub(super) fn write(
    request: RequestId,
    traceparent: Option<&str>,
    ttl: Duration,
) -> Result<(Vec<u8>, BasicProperties), serde_json::Error> {
    let body = serde_json::to_vec(&Body { request })?;
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_expiration(ttl.as_millis().to_string().into());
    if let Some(traceparent) = traceparent {
        let mut headers = FieldTable::default();
        headers.insert(TRACEPARENT.into(), AMQPValue::LongString(LongString::from(traceparent)));
        properties = properties.with_headers(headers);
    }
    Ok((body, properties))
}
