//! The platform: the only code that touches the ledger (Postgres), the hints (RabbitMQ) and the objects (S3),
//! and what every process needs to start.

mod backoff;
pub mod boot;
pub mod config;
pub mod hints;
pub mod ledger;
pub mod objects;

pub use config::Config;
pub use hints::{Listener, Publisher};
pub use ledger::Ledger;
pub use objects::Objects;
