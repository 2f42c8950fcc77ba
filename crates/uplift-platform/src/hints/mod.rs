//! Hints: RabbitMQ, or a channel within one process, tells idle workers that there may be something to claim.
//!
//! A hint carries a request's id and no facts; the ledger is the truth. So losing every message loses nothing but
//! time, and a message too many costs one claim that finds nothing. Both sides rebuild everything they need (connection,
//! channel, exchanges, queues, consumers) after any failure, for ever.

mod choice;
mod config;
mod connect;
mod listener;
mod memory;
mod message;
mod publisher;
mod topology;

pub use choice::{Listener, Publisher};
pub use config::HintsConfig;
pub use message::Hint;
pub use topology::{DELIVERY_LIMIT, QueueDepths};

/// Why a hint was not published. Whichever it is, the request stays claimable and the sweep hints at it again.
#[derive(Debug, thiserror::Error)]
pub enum HintError {
    /// There is no connection at the moment; one is being built in the background.
    #[error("the broker is out of reach")]
    Disconnected,
    /// The broker did not answer in time.
    #[error("the broker did not answer in time")]
    TimedOut,
    /// No queue took the hint: someone removed the queue or its binding. Both are being declared again.
    #[error("the broker has no queue for the hint")]
    Unroutable,
    /// The broker could not store the hint.
    #[error("the broker refused the hint")]
    Refused,
    /// The connection or the channel failed.
    #[error("the broker failed")]
    Broker(#[from] lapin::Error),
    /// The configuration cannot work.
    #[error("{0}")]
    Misconfigured(String),
}
