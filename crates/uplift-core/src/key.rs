//! Where things lie in the object store. An attempt writes below its own epoch and nowhere else.

use crate::id::{Epoch, PackDigest, RequestId};

/// The customer's dump.
#[must_use]
pub fn source(request: RequestId) -> String {
    format!("requests/{request}/source")
}

/// The archive of the customer's own scripts, where one is attached.
#[must_use]
pub fn scripts(request: RequestId) -> String {
    format!("requests/{request}/scripts")
}

/// Everything that belongs to a request.
#[must_use]
pub fn request_prefix(request: RequestId) -> String {
    format!("requests/{request}/")
}

/// Everything that one attempt writes.
#[must_use]
pub fn attempt_prefix(request: RequestId, epoch: Epoch) -> String {
    format!("requests/{request}/attempts/{epoch}/")
}

/// One object of an attempt, such as `result.sql.gz` or `report.json`.
#[must_use]
pub fn attempt(request: RequestId, epoch: Epoch, name: &str) -> String {
    format!("{}{name}", attempt_prefix(request, epoch))
}

/// The state that an attempt has saved before the step that failed. It outlives what else the attempt stored.
#[must_use]
pub fn checkpoint(request: RequestId, epoch: Epoch) -> String {
    format!("requests/{request}/checkpoints/{epoch}.dump")
}

/// A pack's archive.
#[must_use]
pub fn pack(digest: &PackDigest) -> String {
    format!("packs/{digest}.tar")
}
