//! The promise: an upgrade is back within two hours of its upload.

use std::time::Duration;

/// From the upload's completion, or the time that the upgrade is booked for, to delivery, where no other target is configured.
pub const TARGET: Duration = Duration::from_secs(120 * 60);
