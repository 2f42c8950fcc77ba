//! One connection to the broker, with all timeouts set.

use std::time::Duration;

use lapin::{Connection, ConnectionProperties, uri::AMQPUri};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::{HintError, HintsConfig};

/// For the whole handshake, not only TCP.
const CONNECT: Duration = Duration::from_secs(10);
/// A peer that is silent for twice this long, in seconds, is gone; RabbitMQ's own minute is long for a fleet to idle.
const HEARTBEAT_SECONDS: u16 = 10;

/// Connects once. `role` is what the broker's operator sees as the connection's name.
pub(super) async fn connect(config: &HintsConfig, role: &str) -> Result<Connection, HintError> {
    let mut uri: AMQPUri = config.url.expose_secret().parse().map_err(|err| {
        HintError::Misconfigured(format!(
            "hints.url is not an address like amqp://user:password@host:5672/%2f: {err}"
        ))
    })?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
    let name = format!("{} {role}", config.prefix);
    // Lapin's own recovery stays off: it does not recover from channel errors, so we rebuild from scratch instead.
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    timeout(CONNECT, Connection::connect_uri(uri, properties))
        .await
        .map_err(|_| HintError::TimedOut)?
        .map_err(HintError::Broker)
}
