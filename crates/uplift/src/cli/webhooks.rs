//! The arguments of `uplift webhooks`.

use clap::Subcommand;
use url::Url;
use uuid::Uuid;

/// Where an account hears of its requests.
#[derive(Debug, Subcommand)]
pub enum Webhooks {
    /// Add one; the secret that signs what it is sent is shown once
    #[command(after_help = "\
It is sent a POST when an upgrade is in progress, delivered, rejected or needs attention, signed as Standard Webhooks has it:
verify `webhook-signature` with a library for that. What is not taken is sent again, for three days; an answer of 410 ends it.

Example:
  uplift webhooks add https://example.com/uplift")]
    Add {
        /// An https address that is reached over the internet
        url: Url,
    },
    /// List them
    #[command(after_help = "Example:\n  uplift webhooks list")]
    List,
    /// Remove one
    #[command(after_help = "Example:\n  uplift webhooks remove 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Remove {
        /// The webhook
        webhook: Uuid,
    },
    /// Use one again that was disabled since it answered 410
    #[command(after_help = "Example:\n  uplift webhooks enable 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Enable {
        /// The webhook
        webhook: Uuid,
    },
    /// Show what one was told, and what it answered
    #[command(after_help = "Example:\n  uplift webhooks deliveries 01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77")]
    Deliveries {
        /// The webhook
        webhook: Uuid,
    },
    /// Tell something again
    #[command(after_help = "Example:\n  uplift webhooks replay 5f0c1a52-2f0e-4b57-9d43-0c1f7a7b6c11")]
    Replay {
        /// The delivery
        delivery: Uuid,
    },
}
