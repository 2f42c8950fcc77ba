//! What operators do: packs, workers, everybody's requests, tokens.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use bytes::Bytes;
use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use uplift_core::{
    Pack, PackDigest, RequestId, TokenId,
    api::{self, IssuedToken, NewToken, PackView, RequestList, WorkerView},
    key,
    request::StateCode,
};
use uplift_platform::ledger::{Filter, Role};
use uuid::Uuid;

use super::{
    auth::{Engineer, Operator},
    problem::{ApiError, Result},
    requests::page_of,
    submit::name_of,
    view,
};
use crate::Context;

/// The longest that a token is valid, in days.
const LONGEST_DAYS: u32 = 3650;
/// The longest label, in characters.
const LONGEST_LABEL: usize = 200;

/// A tar archive.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it only describes a body, which is taken as bytes")]
struct Archive(Vec<u8>);

/// Stores a pack and makes it the current one of its product.
#[utoipa::path(
    post, path = "/api/v1/ops/packs", tag = "operators",
    request_body(content = Archive, content_type = "application/x-tar", description = "A tar archive of the pack's folder"),
    responses(
        (status = 200, body = PackView),
        (status = 422, body = api::Problem, content_type = "application/problem+json",
            description = "The archive is not a sound pack"),
    )
)]
pub(super) async fn push_pack(
    State(context): State<Arc<Context>>,
    Operator(bearer): Operator,
    archive: Bytes,
) -> Result<Json<PackView>> {
    let pack = Pack::from_archive(&archive).map_err(|error| ApiError::invalid(error.to_string()))?;
    Ok(Json(push(&context, &pack, &bearer.actor()).await?))
}

/// Stores a pack and makes it the current one of its product.
pub(super) async fn push(context: &Context, pack: &Pack, actor: &str) -> Result<PackView> {
    // Written anew, the same files have the same digest whoever has archived them.
    let archive = pack.archive().map_err(|error| ApiError::invalid(error.to_string()))?;
    let digest = PackDigest::of(&archive);
    context.objects.put(&key::pack(&digest), archive.into(), "application/x-tar").await?;
    context.ledger.push_pack(&digest, pack, actor).await?;
    context.queued.notify_one();
    tracing::info!(pack.digest = %digest, pack.product = pack.product(), "a pack was pushed");
    let pushed = context.ledger.packs().await?.into_iter().find(|pack| pack.digest == digest);
    let pushed =
        pushed.ok_or_else(|| ApiError::internal(anyhow::anyhow!("pack {digest} is not on record")))?;
    Ok(view::pack(pushed))
}

/// All packs, by product, the newest first.
#[utoipa::path(
    get, path = "/api/v1/ops/packs", tag = "engineers", responses((status = 200, body = [PackView]))
)]
pub(super) async fn packs(State(context): State<Arc<Context>>, _: Engineer) -> Result<Json<Vec<PackView>>> {
    Ok(Json(context.ledger.packs().await?.into_iter().map(view::pack).collect()))
}

/// All workers on record, the living first.
#[utoipa::path(
    get, path = "/api/v1/ops/workers", tag = "engineers", responses((status = 200, body = [WorkerView]))
)]
pub(super) async fn workers(
    State(context): State<Arc<Context>>,
    _: Engineer,
) -> Result<Json<Vec<WorkerView>>> {
    Ok(Json(context.ledger.workers().await?.into_iter().map(view::worker).collect()))
}

/// Which requests to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OpsQuery {
    /// Only those of the account of this name.
    account: Option<String>,
    /// Only those in this state.
    state: Option<StateCode>,
    /// Only those of databases of this name.
    database: Option<String>,
    /// Only those older than this request: `next` of the page before.
    before: Option<Uuid>,
}

/// Everybody's requests, newest first.
#[utoipa::path(
    get, path = "/api/v1/ops/requests", tag = "engineers", params(OpsQuery),
    responses((status = 200, body = RequestList))
)]
pub(super) async fn requests(
    State(context): State<Arc<Context>>,
    _: Engineer,
    Query(query): Query<OpsQuery>,
) -> Result<Json<RequestList>> {
    let account = match &query.account {
        Some(name) => Some(context.ledger.account(name).await?),
        None => None,
    };
    let filter = Filter {
        account,
        state: query.state,
        database: query.database,
        before: query.before.map(RequestId),
        ..Filter::default()
    };
    Ok(Json(page_of(&context, &filter).await?))
}

/// Queues a request again whose intervention is over.
#[utoipa::path(
    post, path = "/api/v1/ops/requests/{id}/retry", tag = "operators", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = api::Request),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "The request is not in intervention"),
    )
)]
pub(super) async fn retry(
    State(context): State<Arc<Context>>,
    Operator(bearer): Operator,
    Path(id): Path<RequestId>,
) -> Result<Json<api::Request>> {
    context.ledger.retry(id, &bearer.actor()).await?;
    context.queued.notify_one();
    tracing::info!(request.id = %id, "a request was queued again");
    Ok(Json(view::request(context.ledger.request(None, id).await?)))
}

/// Issues a token; its secret is in the answer and nowhere else.
#[utoipa::path(
    post, path = "/api/v1/ops/tokens", tag = "operators", request_body = NewToken,
    responses((status = 201, body = IssuedToken))
)]
pub(super) async fn issue_token(
    State(context): State<Arc<Context>>,
    Operator(bearer): Operator,
    Json(wish): Json<NewToken>,
) -> Result<(StatusCode, Json<IssuedToken>)> {
    check_token(&wish.account, &wish.label).map_err(ApiError::invalid)?;
    let role: Role = wish.role.parse().map_err(ApiError::invalid)?;
    if !(1..=LONGEST_DAYS).contains(&wish.days) {
        return Err(ApiError::invalid(format!("`days` has to be between 1 and {LONGEST_DAYS}")));
    }
    let expires_at = context.clock.now() + TimeDelta::days(wish.days.into());
    let issued =
        context.ledger.issue_token(&wish.account, role, &wish.label, expires_at, &bearer.actor()).await?;
    tracing::info!(token.id = %issued.id, account = wish.account, %role, "a token was issued");
    let secret = issued.secret.expose_secret().to_owned();
    Ok((StatusCode::CREATED, Json(IssuedToken { id: issued.id.0, secret, expires_at: issued.expires_at })))
}

/// Ends a token now.
#[utoipa::path(
    delete, path = "/api/v1/ops/tokens/{id}", tag = "operators", params(("id" = Uuid, Path)),
    responses((status = 204))
)]
pub(super) async fn revoke_token(
    State(context): State<Arc<Context>>,
    Operator(bearer): Operator,
    Path(id): Path<TokenId>,
) -> Result<StatusCode> {
    context.ledger.revoke_token(id, &bearer.actor()).await?;
    tracing::info!(token.id = %id, "a token was revoked");
    Ok(StatusCode::NO_CONTENT)
}

/// Checks the names that come with a new token.
///
/// # Errors
/// What is wrong, for people.
pub fn check_token(account: &str, label: &str) -> Result<(), String> {
    name_of("account", account)?;
    if label.chars().count() > LONGEST_LABEL || label.chars().any(char::is_control) {
        return Err(format!(
            "`label` has at most {LONGEST_LABEL} characters, none of them a control character"
        ));
    }
    Ok(())
}
