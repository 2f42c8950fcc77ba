//! Where the object store is, and how we sign in.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

/// The `[objects]` section of a configuration file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectsConfig {
    /// The S3 server as this process reaches it, e.g. `http://127.0.0.1:3900`.
    pub endpoint: Url,
    /// The same server as customers reach it, if that is another address. Presigned URLs sign the host, so they
    /// cannot be rewritten afterwards.
    pub public_endpoint: Option<Url>,
    /// The region that signatures name, e.g. `garage`.
    pub region: String,
    /// The bucket that holds everything.
    pub bucket: String,
    /// The id of the access key.
    pub access_key: SecretString,
    /// The secret of the access key.
    pub secret_key: SecretString,
    /// Put before every key, e.g. `staging/`, where several installations share a bucket.
    #[serde(default)]
    pub prefix: String,
    /// Seconds without a byte after which a read counts as broken and is resumed.
    #[serde(default = "stall_seconds")]
    pub stall_seconds: u64,
    /// Seconds for which the store may fail without any progress before an error is reported. More than a restart
    /// of the store takes, so that one does not cost a running upgrade.
    #[serde(default = "patience_seconds")]
    pub patience_seconds: u64,
    /// Whether dispatchers tell the bucket that pages may send parts to it. Not where the key may not, and somebody
    /// else has said so.
    #[serde(default = "sets_cors")]
    pub sets_cors: bool,
}

fn sets_cors() -> bool {
    true
}

fn stall_seconds() -> u64 {
    30
}

fn patience_seconds() -> u64 {
    60
}

impl ObjectsConfig {
    pub(super) fn stall(&self) -> Duration {
        Duration::from_secs(self.stall_seconds)
    }

    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_seconds)
    }
}
