//! Where the broker is.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// The `[hints]` section of a configuration file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HintsConfig {
    /// `amqp://user:password@host:5672/%2f`, or `amqps://`; or `memory:` where dispatcher and worker are one process.
    /// Secret, since it holds the password.
    pub url: SecretString,
    /// What the names of exchanges and queues start with, where several installations share a broker.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// Seconds after which a hint that no worker took expires. The sweep hints again no sooner, so that at most one
    /// hint per request is outstanding.
    #[serde(default = "ttl_seconds")]
    pub ttl_seconds: u64,
}

fn prefix() -> String {
    "uplift".to_owned()
}

fn ttl_seconds() -> u64 {
    600
}

impl HintsConfig {
    /// Whether hints stay within this process.
    pub(super) fn is_memory(&self) -> bool {
        self.url.expose_secret() == "memory:"
    }

    /// How long a hint lives.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_seconds)
    }
}
