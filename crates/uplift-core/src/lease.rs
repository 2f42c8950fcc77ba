//! The right to work on a request, for a while.

use std::time::Duration;

use crate::id::{Epoch, RequestId, WorkerId};

/// How long a claim holds without being renewed.
pub const LEASE: Duration = Duration::from_secs(60);

/// How often a worker renews: six chances before a lease ends.
pub const RENEWAL: Duration = Duration::from_secs(10);

/// How long before the lease's end a worker that could not renew stops what it does, by its own monotonic
/// clock: time enough to kill a sandbox and to break off an upload.
pub const FENCE_MARGIN: Duration = Duration::from_secs(15);

/// Proof that a worker holds a request. Whatever an attempt writes takes `&Lease`, and the ledger matches all
/// three fields, so that a worker which lost its lease changes nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    request: RequestId,
    epoch: Epoch,
    worker: WorkerId,
}

impl Lease {
    /// Only the ledger makes leases, out of a row that it has just claimed.
    #[must_use]
    pub const fn claimed(request: RequestId, epoch: Epoch, worker: WorkerId) -> Self {
        Self { request, epoch, worker }
    }

    /// The request held.
    #[must_use]
    pub const fn request(&self) -> RequestId {
        self.request
    }

    /// Which claim of the request this is.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The worker that holds it.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }
}
