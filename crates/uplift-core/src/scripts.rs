//! A customer's own migration scripts, attached to a request as one archive.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The largest archive, in bytes: a tree of scripts is small, and whoever reads one holds it in memory.
pub const MAX_BYTES: u64 = 64 << 20;

/// What names an archive, which is a zip or a tar, raw or gzip. Whoever reads the object holds it against both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scripts {
    /// Its length in bytes, at most 67108864.
    pub bytes: u64,
    /// Its sha256, in lower-case hexadecimal.
    pub sha256: String,
}

impl fmt::Display for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, sha256 {}", self.bytes, self.sha256)
    }
}
