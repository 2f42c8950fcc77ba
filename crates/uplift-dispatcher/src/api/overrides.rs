//! Scripts adjusted for one database: added, shown, compared with the pack, removed.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::Deserialize;
use similar::TextDiff;
use uplift_core::{
    InterventionId, Override, OverrideId, Pack, PackDigest, RequestId,
    api::{self, NewOverride, OverrideView, PackView, Reason},
    overrides::{self, Change, OwnScript},
    pack::{Hop, Step},
    plan,
};
use uplift_platform::ledger::{Bearer, LedgerError, OverrideEntry, Request};
use uuid::Uuid;

use super::{
    auth::{Engineer, Operator},
    interventions::words,
    ops::push,
    problem::{ApiError, Result},
    view,
};
use crate::{Context, catalog, promote::promoted};

/// Adds an override for a database. It runs with the next attempt, and with every later one.
#[utoipa::path(
    post, path = "/api/v1/ops/overrides", tag = "engineers", request_body = NewOverride,
    responses(
        (status = 201, body = OverrideView),
        (status = 422, body = api::Problem, content_type = "application/problem+json",
            description = "The pack has no place for it"),
    )
)]
pub(super) async fn add(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Json(wish): Json<NewOverride>,
) -> Result<(StatusCode, Json<OverrideView>)> {
    Ok((StatusCode::CREATED, Json(view::over(add_override(&context, &bearer, wish).await?))))
}

/// Adds an override for whoever may.
pub(crate) async fn add_override(
    context: &Context,
    bearer: &Bearer,
    wish: NewOverride,
) -> Result<OverrideEntry> {
    let reason = words("reason", &wish.reason)?;
    let (request, hop) = subject(context, wish.subject).await?;
    let (hop, step) = match (wish.step.split_once('/'), hop) {
        (Some((hop, step)), _) => (hop.to_owned(), step.to_owned()),
        (None, Some(hop)) => (hop, wish.step),
        (None, None) => {
            let message = format!("`step`: name the hop too, such as `17.0-18.0/{}`", wish.step);
            return Err(ApiError::invalid(message));
        }
    };
    let change = Override { hop, step, change: wish.change };
    fits(context, &request, &change).await?;
    let id = context.ledger.add_override(request.id, &change, reason, &bearer.actor()).await?;
    context.queued.notify_one();
    tracing::info!(override.id = %id, request.id = %request.id, "an override was added");
    Ok(context.ledger.override_of(id).await?)
}

/// The request that an override is made at, and the hop that its intervention is about.
async fn subject(context: &Context, subject: Uuid) -> Result<(Request, Option<String>)> {
    let (request, hop) = match context.ledger.intervention(InterventionId(subject)).await {
        Ok(found) => (found.request, found.hop),
        Err(LedgerError::NotFound(_)) => (RequestId(subject), None),
        Err(error) => return Err(error.into()),
    };
    Ok((context.ledger.request(None, request).await?, hop))
}

/// Sees that the pack has a place for an override, behind those that are there.
async fn fits(context: &Context, request: &Request, change: &Override) -> Result<()> {
    let (mut hops, mut custom) = steps(context, request).await?;
    if !hops.iter().any(|hop| hop.name() == change.hop) && (change.hop != "custom" || custom.is_empty()) {
        let way: Vec<String> = hops.iter().map(Hop::name).collect();
        let message = format!("`{}` is no hop of this upgrade, which has: {}", change.hop, way.join(", "));
        return Err(ApiError::invalid(message));
    }
    let there = context.ledger.overrides(Some(request.id), false).await?.into_iter();
    let there = there.filter(|entry| Some(&entry.product) == request.product.as_ref());
    let layer: Vec<Override> = there.map(|entry| entry.change).chain([change.clone()]).collect();
    overrides::apply(&layer, &mut hops, &mut custom)
        .map_err(|(index, misfit)| ApiError::invalid(format!("{}: {misfit}", layer[index])))
}

/// The pack's own steps on a request's way.
async fn steps(context: &Context, request: &Request) -> Result<(Vec<Hop>, Vec<Step>)> {
    let (Some(product), Some(version)) = (&request.product, &request.source_version) else {
        let conflict = uplift_platform::ledger::Conflict::Unrecognised(request.id);
        return Err(LedgerError::from(conflict).into());
    };
    let pack = match &request.pack {
        Some(digest) => digest.clone(),
        None => current(context, product).await?,
    };
    let pack = catalog::load(context, &pack).await?;
    let hops = pack.path(version, &request.target).unwrap_or_default();
    let custom = request.scripts.as_ref().and_then(|_| pack.custom(&request.target)).unwrap_or_default();
    Ok((hops, custom))
}

/// The pack that new requests of a product use.
async fn current(context: &Context, product: &str) -> Result<PackDigest> {
    let current = context.ledger.packs().await?.into_iter();
    let current = current.filter(|pack| pack.current).find(|pack| pack.product == product);
    Ok(current.ok_or_else(|| ApiError::conflict(format!("no pack upgrades {product} now")))?.digest)
}

/// Which overrides to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those of the database of this request or intervention.
    subject: Option<Uuid>,
    /// Those that were removed, too.
    #[param(inline)]
    removed: bool,
}

/// Overrides by database, in the order in which they apply.
#[utoipa::path(
    get, path = "/api/v1/ops/overrides", tag = "engineers", params(ListQuery),
    responses((status = 200, body = [OverrideView]))
)]
pub(super) async fn list(
    State(context): State<Arc<Context>>,
    _: Engineer,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<OverrideView>>> {
    let request = match query.subject {
        Some(id) => Some(subject(&context, id).await?.0.id),
        None => None,
    };
    let found = context.ledger.overrides(request, query.removed).await?;
    Ok(Json(found.into_iter().map(view::over).collect()))
}

/// One override.
#[utoipa::path(
    get, path = "/api/v1/ops/overrides/{id}", tag = "engineers", params(("id" = Uuid, Path)),
    responses((status = 200, body = OverrideView))
)]
pub(super) async fn show(
    State(context): State<Arc<Context>>,
    _: Engineer,
    Path(id): Path<OverrideId>,
) -> Result<Json<OverrideView>> {
    Ok(Json(view::over(context.ledger.override_of(id).await?)))
}

/// What an override changes in the pack that it was written against, as a unified diff.
#[utoipa::path(
    get, path = "/api/v1/ops/overrides/{id}/diff", tag = "engineers", params(("id" = Uuid, Path)),
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn diff(
    State(context): State<Arc<Context>>,
    _: Engineer,
    Path(id): Path<OverrideId>,
) -> Result<impl IntoResponse> {
    let entry = context.ledger.override_of(id).await?;
    let text = difference(&context, &entry).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text))
}

/// What an override changes in its pack, as a unified diff.
pub(crate) async fn difference(context: &Context, entry: &OverrideEntry) -> Result<String> {
    let step = step_of(context, entry).await?;
    Ok(written(&entry.change, step.as_ref()))
}

/// The step of the pack that an override is about; none where another override has put it in.
async fn step_of(context: &Context, entry: &OverrideEntry) -> Result<Option<Step>> {
    let Some(digest) = &entry.pack else { return Ok(None) };
    let pack = catalog::load(context, digest).await?;
    let target = entry.change.target();
    let steps = pack.hops().flat_map(|hop| hop.steps);
    let custom = pack.targets().iter().filter_map(|version| pack.custom(version)).flatten();
    Ok(steps.chain(custom).find(|step| step.id() == target))
}

fn written(change: &Override, step: Option<&Step>) -> String {
    const NOTHING: &str = "/dev/null";
    let (file, text) = match step {
        Some(Step::Engine(plan::Step { script, .. })) => {
            (format!("pack/{}", script.file), script.text.clone())
        }
        Some(Step::Run(run)) => {
            (format!("pack.toml, run of {}", run.id), format!("{} {}\n", run.image, run.command.join(" ")))
        }
        None => (NOTHING.to_owned(), String::new()),
    };
    let own = |script: &OwnScript| format!("override/{}", script.file);
    let unified = |from: &str, old: &str, to: &str, new: &str| {
        let diff = TextDiff::from_lines(old, new);
        diff.unified_diff().header(from, to).to_string()
    };
    match &change.change {
        Change::Replace(script) => unified(&file, &text, &own(script), &script.text),
        Change::Before(script) | Change::After(script) => unified(NOTHING, "", &own(script), &script.text),
        Change::Skip => unified(&file, &text, NOTHING, ""),
        Change::Set(settings) => {
            let (seconds, env) = match step {
                Some(Step::Engine(step)) => (step.timeout_seconds, Default::default()),
                Some(Step::Run(run)) => (run.timeout_seconds, run.env.clone()),
                None => Default::default(),
            };
            let lines = |seconds: u64, env: &std::collections::BTreeMap<String, String>| {
                let env: String =
                    env.iter().map(|(name, value)| format!("env.{name} = {value:?}\n")).collect();
                format!("timeout_seconds = {seconds}\n{env}")
            };
            let mut changed = env.clone();
            changed.extend(settings.env.clone());
            let new = lines(settings.timeout_seconds.unwrap_or(seconds), &changed);
            unified("pack.toml", &lines(seconds, &env), "override", &new)
        }
    }
}

/// Makes an override part of its product's pack: the current one, with this change, is pushed as a new one.
#[utoipa::path(
    post, path = "/api/v1/ops/overrides/{id}/promote", tag = "operators", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = PackView),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "It cannot be written into the current pack"),
    )
)]
pub(super) async fn promote(
    State(context): State<Arc<Context>>,
    Operator(bearer): Operator,
    Path(id): Path<OverrideId>,
) -> Result<Json<PackView>> {
    Ok(Json(promote_override(&context, &bearer, id).await?))
}

/// Promotes an override for whoever may.
pub(crate) async fn promote_override(context: &Context, bearer: &Bearer, id: OverrideId) -> Result<PackView> {
    let entry = context.ledger.override_of(id).await?;
    let pack = catalog::load(context, &current(context, &entry.product).await?).await?;
    let files = promoted(pack.files().clone(), &entry.change).map_err(ApiError::conflict)?;
    let pack = Pack::from_files(files).map_err(|error| ApiError::conflict(error.to_string()))?;
    let pushed = push(context, &pack, &bearer.actor()).await?;
    context.ledger.promoted(id, &pushed.digest, &bearer.actor()).await?;
    Ok(pushed)
}

/// Ends an override: no attempt that begins from now on runs with it. Production whose accepted test ran with it waits.
#[utoipa::path(
    post, path = "/api/v1/ops/overrides/{id}/remove", tag = "engineers", params(("id" = Uuid, Path)),
    request_body = Reason, responses((status = 200, body = OverrideView))
)]
pub(super) async fn remove(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Path(id): Path<OverrideId>,
    Json(wish): Json<Reason>,
) -> Result<Json<OverrideView>> {
    let reason = words("reason", &wish.reason)?;
    context.ledger.remove_override(id, reason, &bearer.actor()).await?;
    context.queued.notify_one();
    tracing::info!(override.id = %id, "an override was removed");
    Ok(Json(view::over(context.ledger.override_of(id).await?)))
}

/// Lets a production run as things are now, although its accepted test ran otherwise.
#[utoipa::path(
    post, path = "/api/v1/ops/requests/{id}/waive", tag = "operators", params(("id" = Uuid, Path)),
    request_body = Reason,
    responses(
        (status = 200, body = api::Request),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "It is a test, or has ended"),
    )
)]
pub(super) async fn waive(
    State(context): State<Arc<Context>>,
    Operator(bearer): Operator,
    Path(id): Path<RequestId>,
    Json(wish): Json<Reason>,
) -> Result<Json<api::Request>> {
    let reason = words("reason", &wish.reason)?;
    context.ledger.waive(id, reason, &bearer.actor()).await?;
    context.queued.notify_one();
    tracing::info!(request.id = %id, "production was waived");
    Ok(Json(view::request(context.ledger.request(None, id).await?)))
}
