//! The promise: an upgrade is back within two hours of its upload.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// From the upload's completion to delivery.
pub const TARGET: Duration = Duration::from_secs(120 * 60);

/// When an upgrade that starts now has to be delivered.
#[must_use]
pub fn deadline(uploaded_at: DateTime<Utc>) -> DateTime<Utc> {
    uploaded_at + TARGET
}
