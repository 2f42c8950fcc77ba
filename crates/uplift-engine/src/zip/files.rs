//! What lies beside the dump, in one line: so that two zips can be held against each other.

use sha2::{Digest as _, Sha256};
use uplift_core::event::Files;

use super::record::Facts;

/// Adds files up.
#[derive(Default)]
pub(crate) struct Tally {
    count: u64,
    bytes: u64,
    hash: Sha256,
}

impl Tally {
    pub(crate) fn add(&mut self, name: &[u8], facts: Facts) {
        self.count += 1;
        self.bytes += facts.unpacked;
        // A name holds no zero byte.
        self.hash.update(name);
        self.hash.update([0]);
        self.hash.update(facts.unpacked.to_le_bytes());
        self.hash.update(facts.crc.to_le_bytes());
    }

    pub(crate) fn files(self) -> Files {
        Files { count: self.count, bytes: self.bytes, sha256: format!("{:x}", self.hash.finalize()) }
    }
}
