//! The promise: an upgrade is back within two hours of its upload.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// From the upload's completion, or the time that the upgrade is booked for, to delivery.
pub const TARGET: Duration = Duration::from_secs(120 * 60);

/// When an upgrade has to be delivered whose promise begins then.
#[must_use]
pub fn deadline(promised_from: DateTime<Utc>) -> DateTime<Utc> {
    promised_from + TARGET
}
