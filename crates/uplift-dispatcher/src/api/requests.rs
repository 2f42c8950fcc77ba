//! Requests: list, show, cancel, accept, their steps, and what a delivered one offers.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use bytes::Bytes;
use serde::Deserialize;
use uplift_core::{
    RequestId,
    api::{self, Download, Explanation, RequestList, StepView, Text},
    key,
    request::{Delivery, State as RequestState, StateCode},
};
use uplift_platform::ledger::{Filter, Request};
use uuid::Uuid;

use super::{
    auth::Caller,
    interventions::words,
    problem::{ApiError, Result},
    view,
};
use crate::{Context, retention};

/// How many requests a page of a list holds at most: the ledger's limit.
const PAGE: usize = 100;

/// A report for people is far shorter, in bytes.
const LONGEST_REPORT: u64 = 64 << 20;

/// Which requests to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those in this state.
    state: Option<StateCode>,
    /// Only those of databases of this name.
    database: Option<String>,
    /// Only those older than this request: `next` of the page before.
    before: Option<Uuid>,
}

/// The caller's requests, newest first.
#[utoipa::path(
    get, path = "/api/v1/requests", tag = "requests", params(ListQuery),
    responses((status = 200, body = RequestList))
)]
pub(super) async fn list(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<RequestList>> {
    let filter = Filter {
        account: caller.scope(),
        state: query.state,
        database: query.database,
        before: query.before.map(RequestId),
        ..Filter::default()
    };
    Ok(Json(page_of(&context, &filter).await?))
}

/// One page of a list.
pub(crate) async fn page_of(context: &Context, filter: &Filter) -> Result<RequestList> {
    let found = context.ledger.requests(filter).await?;
    let next = found.get(PAGE - 1).map(|last| last.id.0);
    Ok(RequestList { requests: found.into_iter().map(view::request).collect(), next })
}

/// A request with what costs a look at others: how long it takes, and its place in the queue.
async fn whole(context: &Context, request: Request) -> Result<api::Request> {
    let ledger = &context.ledger;
    let (estimate, place) = if request.state.code().is_final() {
        (None, None)
    } else {
        tokio::try_join!(ledger.estimate_of(&request), ledger.place_in_queue(request.id))?
    };
    let running = request.attempt_began.map(|began| context.clock.now() - began);
    let mut shown = view::request(request);
    shown.estimate = estimate.map(|estimate| view::estimate(estimate, running));
    shown.queue_place = place;
    Ok(shown)
}

/// One request.
#[utoipa::path(
    get, path = "/api/v1/requests/{id}", tag = "requests", params(("id" = Uuid, Path)),
    responses((status = 200, body = api::Request))
)]
pub(super) async fn show(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
) -> Result<Json<api::Request>> {
    Ok(Json(whole(&context, context.ledger.request(caller.scope(), id).await?).await?))
}

/// Why a request is where it is, and what happens next, in words.
#[utoipa::path(
    get, path = "/api/v1/requests/{id}/explain", tag = "requests", params(("id" = Uuid, Path)),
    responses((status = 200, body = Explanation))
)]
pub(super) async fn explain(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
) -> Result<Json<Explanation>> {
    let request = context.ledger.request(caller.scope(), id).await?;
    Ok(Json(explained(&context, request).await?.1))
}

/// A request, whole, with why it is where it is.
pub(crate) async fn explained(context: &Context, request: Request) -> Result<(api::Request, Explanation)> {
    let around = context.ledger.circumstances(request.id).await?;
    let retry_at = request.not_before;
    let shown = whole(context, request).await?;
    let explanation = crate::explain::explain(&shown, &around, retry_at, context.clock.now());
    Ok((shown, explanation))
}

/// Takes a request back; a running one ends as soon as its worker hears of it.
#[utoipa::path(
    post, path = "/api/v1/requests/{id}/cancel", tag = "requests", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = api::Request),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "The request has ended"),
    )
)]
pub(crate) async fn cancel(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
) -> Result<Json<api::Request>> {
    context.ledger.request(caller.reach(), id).await?;
    context.ledger.cancel(id, &caller.0.actor()).await?;
    tracing::info!(request.id = %id, "a request was taken back");
    show(State(context), caller, Path(id)).await
}

/// Accepts a delivered test: production of the same database and target may be submitted.
#[utoipa::path(
    post, path = "/api/v1/requests/{id}/accept", tag = "requests", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = api::Request),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "The request is not a delivered test"),
    )
)]
pub(crate) async fn accept(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
) -> Result<Json<api::Request>> {
    context.ledger.request(caller.reach(), id).await?;
    context.ledger.accept(id, &caller.0.actor()).await?;
    tracing::info!(request.id = %id, "a test was accepted");
    show(State(context), caller, Path(id)).await
}

/// Reports what is wrong in a delivered upgrade: an engineer looks at it, and answers in its `note`.
#[utoipa::path(
    post, path = "/api/v1/requests/{id}/discrepancy", tag = "requests", params(("id" = Uuid, Path)),
    request_body = Text,
    responses(
        (status = 200, body = api::Request),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "The request is not delivered, or what was reported before is not answered yet"),
    )
)]
pub(crate) async fn report_discrepancy(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
    Json(wish): Json<Text>,
) -> Result<Json<api::Request>> {
    let text = words("text", &wish.text)?;
    context.ledger.request(caller.reach(), id).await?;
    context.ledger.report_discrepancy(id, text, &caller.0.actor()).await?;
    tracing::info!(request.id = %id, "a discrepancy was reported");
    show(State(context), caller, Path(id)).await
}

/// Removes everything of a request that has ended: dump, result, report, log. That it was there stays on record.
#[utoipa::path(
    post, path = "/api/v1/requests/{id}/delete", tag = "requests", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = api::Request),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "The request has not ended"),
    )
)]
pub(crate) async fn delete(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
) -> Result<Json<api::Request>> {
    context.ledger.request(caller.reach(), id).await?;
    context.ledger.delete_request(id, &caller.0.actor()).await?;
    // What cannot be removed now, the sweep removes.
    if let Err(error) = retention::remove(&context, id).await {
        tracing::warn!(request.id = %id, error = %error, "remove what a customer wants gone; the sweep will");
    }
    show(State(context), caller, Path(id)).await
}

/// A link to the dump that was handed in.
#[utoipa::path(
    get, path = "/api/v1/requests/{id}/source", tag = "results", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = Download),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "It was not uploaded yet, or is not kept any more"),
    )
)]
pub(super) async fn source(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
) -> Result<Json<Download>> {
    let request = context.ledger.request(caller.scope(), id).await?;
    let there = request.uploaded_at.is_some() && request.state.code() != StateCode::Cancelled;
    if !there || request.source_deleted_at.is_some() {
        let why = match request.source_deleted_at {
            Some(at) => format!("was removed {}", at.format("on %Y-%m-%d at %H:%M UTC")),
            None => "is not here".to_owned(),
        };
        return Err(ApiError::conflict(format!("the dump of request {id} {why}: use your own copy")));
    }
    let file_name = view::plain(&request.source_name);
    let url = context.objects.presign_get(&key::source(id), &file_name, context.link_ttl()).await?;
    Ok(Json(Download { url, file_name }))
}

/// The steps of the newest attempt, in the order in which they began.
#[utoipa::path(
    get, path = "/api/v1/requests/{id}/steps", tag = "requests", params(("id" = Uuid, Path)),
    responses((status = 200, body = [StepView]))
)]
pub(super) async fn steps(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
) -> Result<Json<Vec<StepView>>> {
    context.ledger.request(caller.scope(), id).await?;
    Ok(Json(context.ledger.steps(id).await?.into_iter().map(view::step).collect()))
}

/// A link to the upgraded dump.
#[utoipa::path(
    get, path = "/api/v1/requests/{id}/result", tag = "results", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = Download),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "The request is not delivered"),
    )
)]
pub(crate) async fn result(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
) -> Result<Json<Download>> {
    let (request, delivery) = delivered(&context, &caller, id).await?;
    let name = view::result_name(&request, &delivery);
    link(&context, id, &delivery, &delivery.result, name).await
}

/// Which report is wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReportQuery {
    /// `html` for people, which is the default, or `json` for programs.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

impl ReportQuery {
    pub(crate) fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Html)
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Html,
    Json,
}

/// A link to the report.
#[utoipa::path(
    get, path = "/api/v1/requests/{id}/report", tag = "results",
    params(("id" = Uuid, Path), ReportQuery),
    responses(
        (status = 200, body = Download),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "The request is not delivered"),
    )
)]
pub(crate) async fn report(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
    Query(query): Query<ReportQuery>,
) -> Result<Json<Download>> {
    let (request, delivery) = delivered(&context, &caller, id).await?;
    let object = match query.format {
        Format::Html => "report.html",
        Format::Json => "report.json",
    };
    let name = view::file_name(&request, object);
    link(&context, id, &delivery, object, name).await
}

/// The report for people, whole.
pub(crate) async fn report_text(context: &Context, caller: &Caller, id: RequestId) -> Result<Bytes> {
    let (_, delivery) = delivered(context, caller, id).await?;
    let key = key::attempt(id, delivery.epoch, "report.html");
    Ok(context.objects.get(&key, LONGEST_REPORT).await?)
}

async fn delivered(context: &Context, caller: &Caller, id: RequestId) -> Result<(Request, Delivery)> {
    let request = context.ledger.request(caller.scope(), id).await?;
    if let Some(at) = request.deleted_at {
        let at = at.format("%Y-%m-%d at %H:%M UTC");
        let message = format!("everything of request {id} was removed on {at}: hand the dump in again");
        return Err(ApiError::conflict(message));
    }
    match &request.state {
        RequestState::Delivered(delivery) => {
            let delivery = delivery.clone();
            Ok((request, delivery))
        }
        other => Err(ApiError::conflict(format!(
            "request {id} is {}: there is a result and a report once it is delivered",
            other.code()
        ))),
    }
}

async fn link(
    context: &Context,
    id: RequestId,
    delivery: &Delivery,
    object: &str,
    file_name: String,
) -> Result<Json<Download>> {
    let key = key::attempt(id, delivery.epoch, object);
    let url = context.objects.presign_get(&key, &file_name, context.link_ttl()).await?;
    Ok(Json(Download { url, file_name }))
}
