//! The vocabulary of Uplift: what a request, an attempt, a plan, an event, a failure and a pack are.
//!
//! This crate is pure. It opens no file, no socket and no clock; every other crate speaks its words.

pub mod ansi;
pub mod api;
pub mod clock;
pub mod event;
pub mod failure;
pub mod fingerprint;
pub mod format;
pub mod id;
pub mod key;
pub mod lease;
pub mod overrides;
pub mod pack;
pub mod plan;
pub mod purpose;
pub mod report;
pub mod request;
pub mod scripts;
pub mod session;
pub mod sla;
pub mod version;

pub use clock::Clock;
pub use failure::Failure;
pub use fingerprint::Fingerprint;
pub use format::Format;
pub use id::{
    AccountId, DatabaseId, Epoch, HoldId, InterventionId, OverrideId, PackDigest, RequestId, SessionId,
    TokenId, WorkerId,
};
pub use lease::Lease;
pub use overrides::Override;
pub use pack::Pack;
pub use purpose::Purpose;
pub use scripts::Scripts;
pub use version::Version;
