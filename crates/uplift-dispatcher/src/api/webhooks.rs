//! Where an account wants to hear of its requests, and what it was told.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use uplift_core::api::{DeliveryView, NewWebhook, Problem, WebhookView};
use uplift_platform::ledger::{Notification, Webhook};
use uuid::Uuid;

use super::{
    auth::Caller,
    problem::{ApiError, Result},
};
use crate::{Context, notify};

/// How many webhooks an account may have.
const MOST: usize = 20;
/// The longest address, in bytes.
const LONGEST: usize = 2000;

fn webhook(webhook: Webhook, secret: Option<String>) -> WebhookView {
    WebhookView {
        id: webhook.id,
        url: webhook.url,
        secret,
        created_at: webhook.created_at,
        disabled_at: webhook.disabled_at,
        disabled_why: webhook.disabled_why,
    }
}

fn delivery(told: Notification) -> DeliveryView {
    DeliveryView {
        id: told.id,
        topic: told.topic,
        request: told.request.0,
        at: told.at,
        attempts: told.attempts,
        next_at: told.next_at,
        delivered_at: told.delivered_at,
        said: told.said,
    }
}

/// Adds a webhook. Its secret is shown here and never again.
#[utoipa::path(
    post, path = "/api/v1/webhooks", tag = "webhooks", request_body = NewWebhook,
    responses(
        (status = 201, body = WebhookView),
        (status = 409, body = Problem, content_type = "application/problem+json",
            description = "The account has as many as it may have"),
        (status = 422, body = Problem, content_type = "application/problem+json",
            description = "The address is not one of the internet's"),
    )
)]
pub(super) async fn add(
    State(context): State<Arc<Context>>,
    Caller(bearer): Caller,
    Json(wish): Json<NewWebhook>,
) -> Result<(StatusCode, Json<WebhookView>)> {
    if wish.url.as_str().len() > LONGEST {
        return Err(ApiError::invalid(format!("`url` is longer than {LONGEST} characters")));
    }
    context.webhooks.check(&wish.url).map_err(ApiError::invalid)?;
    if context.ledger.webhooks(bearer.account).await?.len() >= MOST {
        return Err(ApiError::conflict(format!("an account has {MOST} webhooks at most: remove one first")));
    }
    let secret = notify::new_secret();
    let added = context.ledger.add_webhook(&bearer, wish.url.as_str(), &secret).await?;
    Ok((StatusCode::CREATED, Json(webhook(added, Some(secret)))))
}

/// The account's webhooks.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks", responses((status = 200, body = [WebhookView])))]
pub(super) async fn list(
    State(context): State<Arc<Context>>,
    Caller(bearer): Caller,
) -> Result<Json<Vec<WebhookView>>> {
    let found = context.ledger.webhooks(bearer.account).await?;
    Ok(Json(found.into_iter().map(|found| webhook(found, None)).collect()))
}

/// Removes a webhook; what it was still to be told is not told.
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{id}", tag = "webhooks", params(("id" = Uuid, Path)),
    responses((status = 204, description = "It is gone"))
)]
pub(super) async fn remove(
    State(context): State<Arc<Context>>,
    Caller(bearer): Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    context.ledger.remove_webhook(&bearer, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Uses a webhook again that was disabled since it answered 410.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/enable", tag = "webhooks", params(("id" = Uuid, Path)),
    responses((status = 200, body = WebhookView))
)]
pub(super) async fn enable(
    State(context): State<Arc<Context>>,
    Caller(bearer): Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<WebhookView>> {
    Ok(Json(webhook(context.ledger.enable_webhook(&bearer, id).await?, None)))
}

/// What a webhook was told, the newest first, at most 100.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}/deliveries", tag = "webhooks", params(("id" = Uuid, Path)),
    responses((status = 200, body = [DeliveryView]))
)]
pub(super) async fn deliveries(
    State(context): State<Arc<Context>>,
    Caller(bearer): Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<Vec<DeliveryView>>> {
    let told = context.ledger.deliveries(bearer.account, id).await?;
    Ok(Json(told.into_iter().map(delivery).collect()))
}

/// Tells a webhook something again, with the same id.
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/replay", tag = "webhooks", params(("id" = Uuid, Path)),
    responses((status = 200, body = DeliveryView))
)]
pub(super) async fn replay(
    State(context): State<Arc<Context>>,
    Caller(bearer): Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<DeliveryView>> {
    Ok(Json(delivery(context.ledger.replay(bearer.account, id).await?)))
}
