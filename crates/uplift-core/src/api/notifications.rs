//! What customers are told, and where.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

/// `POST /api/v1/webhooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// An https address that is reached over the internet.
    pub url: Url,
}

/// Where an account hears of its requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookView {
    /// Its id.
    pub id: Uuid,
    /// Its address.
    pub url: String,
    /// What signs, as Standard Webhooks writes it (`whsec_…`): shown when it is made, and never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was disabled, since it answered 410.
    pub disabled_at: Option<DateTime<Utc>>,
    /// Why.
    pub disabled_why: Option<String>,
}

/// Something that a webhook was told, or is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryView {
    /// Its id, which is the header `webhook-id`; told again, it has the same.
    pub id: Uuid,
    /// `request.in_progress`, `request.delivered`, `request.needs_attention` or `request.rejected`.
    pub topic: String,
    /// The request that it tells of.
    pub request: Uuid,
    /// When that happened.
    pub at: DateTime<Utc>,
    /// How often it was sent.
    pub attempts: u32,
    /// When it is sent next; absent where it is over.
    pub next_at: Option<DateTime<Utc>>,
    /// When the other side took it.
    pub delivered_at: Option<DateTime<Utc>>,
    /// What the other side, or the way to it, said last.
    pub said: Option<String>,
}

/// What a webhook is sent, as Standard Webhooks has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookMessage {
    /// What happened.
    #[serde(rename = "type")]
    pub topic: String,
    /// When.
    pub timestamp: DateTime<Utc>,
    /// To which request.
    pub data: WebhookData,
}

/// The request that a webhook is told of. What is not here is asked of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookData {
    /// Its id.
    pub request: Uuid,
    /// The customer's name for the database.
    pub database: String,
    /// Test or production.
    pub purpose: String,
    /// The product, where it is known.
    pub product: Option<String>,
    /// The version that it was at, where that is known.
    pub source_version: Option<String>,
    /// The version to go to.
    pub target: String,
    /// Why it was rejected, for people.
    pub reason: Option<String>,
}
