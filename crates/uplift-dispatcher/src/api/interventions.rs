//! What engineers do: the queue of requests that wait for a person, and the hops that are held.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use uplift_core::{
    HoldId, InterventionId, PackDigest, RequestId,
    api::{
        self, Assignment, EntryView, HoldView, InterventionDetail, InterventionView, PackView, Reason,
        Released, Retried, RetryWanted, Text,
    },
};
use uplift_platform::ledger::Which;
use uuid::Uuid;

use super::{
    auth::{Engineer, Operator},
    problem::{ApiError, Result},
    view,
};
use crate::Context;

/// The longest that a comment, a note or a reason may be, in characters.
const LONGEST_TEXT: usize = 4000;

/// Which interventions to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// The closed ones too, behind the open ones.
    #[param(inline)]
    closed: bool,
    /// Only those that the caller has claimed.
    #[param(inline)]
    mine: bool,
    /// Only those that failed alike.
    fingerprint: Option<String>,
    /// Only those of this request.
    request: Option<Uuid>,
}

/// Requests that wait for a person, by the time left until the promise to the customer breaks.
#[utoipa::path(
    get, path = "/api/v1/ops/interventions", tag = "engineers", params(ListQuery),
    responses((status = 200, body = [InterventionView]))
)]
pub(super) async fn list(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<InterventionView>>> {
    let which = Which {
        closed: query.closed,
        claimed_by: query.mine.then_some(bearer.token),
        fingerprint: query.fingerprint,
        request: query.request.map(RequestId),
    };
    Ok(Json(context.ledger.interventions(&which).await?.into_iter().map(view::intervention).collect()))
}

/// One intervention, with the end of its log and all that was said and done about it.
#[utoipa::path(
    get, path = "/api/v1/ops/interventions/{id}", tag = "engineers", params(("id" = Uuid, Path)),
    responses((status = 200, body = InterventionDetail))
)]
pub(super) async fn show(
    State(context): State<Arc<Context>>,
    _: Engineer,
    Path(id): Path<InterventionId>,
) -> Result<Json<InterventionDetail>> {
    let found = context.ledger.intervention(id).await?;
    let lines = context.ledger.last_lines(found.request, found.epoch).await?;
    let lines = lines.iter().map(|(_, line)| view::line(line));
    let history = context.ledger.history(id).await?.into_iter();
    let history =
        history.map(|entry| EntryView { at: entry.at, by: entry.by, what: entry.what, text: entry.text });
    let solved_before = context.ledger.solved_before(&found.fingerprint).await?;
    Ok(Json(InterventionDetail {
        intervention: view::intervention(found),
        solved_before: solved_before.into_iter().map(view::over).collect(),
        lines: lines.collect(),
        history: history.collect(),
    }))
}

async fn shown(context: &Context, id: InterventionId) -> Result<Json<InterventionView>> {
    Ok(Json(view::intervention(context.ledger.intervention(id).await?)))
}

/// Claims an intervention for an hour, which everything that its engineer does about it renews.
#[utoipa::path(
    post, path = "/api/v1/ops/interventions/{id}/claim", tag = "engineers", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = InterventionView),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "Somebody else has claimed it, or it is closed"),
    )
)]
pub(super) async fn claim(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Path(id): Path<InterventionId>,
) -> Result<Json<InterventionView>> {
    context.ledger.claim_intervention(id, &bearer).await?;
    done(&context, id, "claimed").await
}

/// Gives an intervention back to the queue.
#[utoipa::path(
    post, path = "/api/v1/ops/interventions/{id}/release", tag = "engineers", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = InterventionView),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "It is not the caller's, or it is closed"),
    )
)]
pub(super) async fn release(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Path(id): Path<InterventionId>,
) -> Result<Json<InterventionView>> {
    context.ledger.release_intervention(id, &bearer).await?;
    done(&context, id, "released").await
}

/// Gives an intervention to an engineer, whoever has it.
#[utoipa::path(
    post, path = "/api/v1/ops/interventions/{id}/assign", tag = "operators", params(("id" = Uuid, Path)),
    request_body = Assignment,
    responses(
        (status = 200, body = InterventionView),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "There is no such engineer, or it is closed"),
    )
)]
pub(super) async fn assign(
    State(context): State<Arc<Context>>,
    Operator(bearer): Operator,
    Path(id): Path<InterventionId>,
    Json(wish): Json<Assignment>,
) -> Result<Json<InterventionView>> {
    context.ledger.assign_intervention(id, &wish.to, &bearer.actor()).await?;
    done(&context, id, "assigned").await
}

/// Says something to other engineers.
#[utoipa::path(
    post, path = "/api/v1/ops/interventions/{id}/comment", tag = "engineers", params(("id" = Uuid, Path)),
    request_body = Text, responses((status = 200, body = InterventionView))
)]
pub(super) async fn comment(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Path(id): Path<InterventionId>,
    Json(wish): Json<Text>,
) -> Result<Json<InterventionView>> {
    context.ledger.comment(id, &bearer, words("text", &wish.text)?).await?;
    shown(&context, id).await
}

/// Says something to the customer, instead of what was said before.
#[utoipa::path(
    post, path = "/api/v1/ops/interventions/{id}/note", tag = "engineers", params(("id" = Uuid, Path)),
    request_body = Text,
    responses(
        (status = 200, body = InterventionView),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "It is not the caller's, or it is closed"),
    )
)]
pub(super) async fn note(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Path(id): Path<InterventionId>,
    Json(wish): Json<Text>,
) -> Result<Json<InterventionView>> {
    context.ledger.note(id, &bearer, words("text", &wish.text)?).await?;
    shown(&context, id).await
}

/// Answers the customer who has reported a discrepancy, and closes it.
#[utoipa::path(
    post, path = "/api/v1/ops/interventions/{id}/answer", tag = "engineers", params(("id" = Uuid, Path)),
    request_body = Text,
    responses(
        (status = 200, body = InterventionView),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "It is not the caller's, it is closed, or it is no discrepancy"),
    )
)]
pub(super) async fn answer(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Path(id): Path<InterventionId>,
    Json(wish): Json<Text>,
) -> Result<Json<InterventionView>> {
    context.ledger.answer(id, &bearer, words("text", &wish.text)?).await?;
    done(&context, id, "answered").await
}

/// Gives the request back to its customer, as rejected; the reason is what the customer reads.
#[utoipa::path(
    post, path = "/api/v1/ops/interventions/{id}/reject", tag = "engineers", params(("id" = Uuid, Path)),
    request_body = Reason,
    responses(
        (status = 200, body = InterventionView),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "It is not the caller's, or it is closed"),
    )
)]
pub(super) async fn reject(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Path(id): Path<InterventionId>,
    Json(wish): Json<Reason>,
) -> Result<Json<InterventionView>> {
    context.ledger.reject(id, &bearer, words("reason", &wish.reason)?).await?;
    done(&context, id, "rejected").await
}

/// Queues the request for a clean run from the original dump, or all requests that failed alike.
#[utoipa::path(
    post, path = "/api/v1/ops/interventions/{id}/retry", tag = "engineers", params(("id" = Uuid, Path)),
    request_body = RetryWanted,
    responses(
        (status = 200, body = Retried),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "It is not the caller's, or it is closed"),
    )
)]
pub(super) async fn retry(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Path(id): Path<InterventionId>,
    Json(wish): Json<RetryWanted>,
) -> Result<Json<Retried>> {
    let reason = words("reason", &wish.reason)?;
    let found = context.ledger.intervention(id).await?;
    context.ledger.retry_intervention(id, &bearer, reason).await?;
    let mut requests = vec![found.request];
    if wish.alike {
        requests.extend(context.ledger.retry_alike(&found.fingerprint, &bearer, reason).await?);
    }
    context.queued.notify_one();
    tracing::info!(intervention.id = %id, requests = requests.len(), "queued again");
    Ok(Json(Retried { requests: requests.into_iter().map(|request| request.0).collect() }))
}

/// The hops that are held, the oldest hold first.
#[utoipa::path(
    get, path = "/api/v1/ops/holds", tag = "engineers", responses((status = 200, body = [HoldView]))
)]
pub(super) async fn holds(State(context): State<Arc<Context>>, _: Engineer) -> Result<Json<Vec<HoldView>>> {
    Ok(Json(context.ledger.held_hops().await?.into_iter().map(view::hold).collect()))
}

/// Ends a hold: what waits for it goes on.
#[utoipa::path(
    post, path = "/api/v1/ops/holds/{id}/release", tag = "operators", params(("id" = Uuid, Path)),
    request_body = Reason, responses((status = 200, body = Released))
)]
pub(super) async fn release_hold(
    State(context): State<Arc<Context>>,
    Operator(bearer): Operator,
    Path(id): Path<HoldId>,
    Json(wish): Json<Reason>,
) -> Result<Json<Released>> {
    let reason = words("reason", &wish.reason)?;
    let freed = context.ledger.release_hop(id, &bearer.actor(), reason).await?;
    context.queued.notify_one();
    tracing::info!(hold.id = %id, freed, "a hold was released");
    Ok(Json(Released { freed }))
}

/// Takes a pack out of use: no new request begins with it.
#[utoipa::path(
    post, path = "/api/v1/ops/packs/{digest}/recall", tag = "operators", params(("digest" = String, Path)),
    request_body = Reason, responses((status = 200, body = PackView))
)]
pub(super) async fn recall_pack(
    State(context): State<Arc<Context>>,
    Operator(bearer): Operator,
    Path(digest): Path<PackDigest>,
    Json(wish): Json<Reason>,
) -> Result<Json<PackView>> {
    let reason = words("reason", &wish.reason)?;
    context.ledger.recall_pack(&digest, &bearer.actor(), reason).await?;
    tracing::info!(pack.digest = %digest, "a pack was recalled");
    let recalled = context.ledger.packs().await?.into_iter().find(|pack| pack.digest == digest);
    let missing = || ApiError::internal(anyhow::anyhow!("pack {digest} is not on record"));
    Ok(Json(view::pack(recalled.ok_or_else(missing)?)))
}

async fn done(context: &Context, id: InterventionId, what: &str) -> Result<Json<InterventionView>> {
    tracing::info!(intervention.id = %id, "an intervention was {what}");
    shown(context, id).await
}

/// Words that somebody has to read.
pub(crate) fn words<'a>(field: &str, text: &'a str) -> Result<&'a str> {
    let text = text.trim();
    let control = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.is_empty() || text.chars().count() > LONGEST_TEXT || text.chars().any(control) {
        return Err(ApiError::invalid(format!(
            "`{field}` has to say something in at most {LONGEST_TEXT} characters, none of them a control character"
        )));
    }
    Ok(text)
}
