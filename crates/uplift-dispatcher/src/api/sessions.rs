//! Looks into saved states: shells and dry runs.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State, WebSocketUpgrade},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use serde::Deserialize;
use uplift_core::{
    InterventionId, SessionId,
    api::{self, SessionLine, SessionLog, SessionView},
};
use uplift_platform::ledger::Opening;

use super::{
    auth::Engineer,
    problem::{ApiError, Kind, Result},
    view,
};
use crate::{
    Context,
    shells::{self, Seat},
};

/// The largest message between an engineer and a shell, in bytes.
const LARGEST_MESSAGE: usize = 1 << 20;

/// How a shell is to be.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ShellQuery {
    /// Whether it may write.
    #[param(inline)]
    write: bool,
}

/// Which lines to give.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LinesQuery {
    /// Those behind this number.
    #[param(inline)]
    after: u64,
}

/// Runs the steps from the one that failed to the end of its hop, from the saved state and with what is adjusted by now.
/// Nothing is delivered.
#[utoipa::path(
    post, path = "/api/v1/ops/interventions/{id}/dry-run", tag = "engineers", params(("id" = Uuid, Path)),
    responses(
        (status = 201, body = SessionView),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "It is not the caller's, it is closed, or there is nothing to run"),
    )
)]
pub(super) async fn dry_run(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Path(id): Path<InterventionId>,
) -> Result<(StatusCode, Json<SessionView>)> {
    let session = SessionId::new();
    context.ledger.open_session(session, id, &bearer, &Opening::DryRun).await?;
    tracing::info!(intervention.id = %id, session.id = %session, "a dry run was asked for");
    Ok((StatusCode::CREATED, Json(view::session(context.ledger.session(session).await?))))
}

/// A websocket to `psql` in a fresh sandbox with the saved state. Messages are JSON: `input`, `interrupt` and `end` one way,
/// `said`, `output` and `closed` the other.
#[utoipa::path(
    get, path = "/api/v1/ops/interventions/{id}/shell", tag = "engineers",
    params(("id" = Uuid, Path), ShellQuery),
    responses(
        (status = 101, description = "The connection is a websocket now"),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "It is not the caller's, it is closed, or there is no saved state"),
    )
)]
pub(super) async fn shell(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Path(id): Path<InterventionId>,
    Query(query): Query<ShellQuery>,
    upgrade: std::result::Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response> {
    context.ledger.intervention(id).await?;
    let upgrade = upgrade
        .map_err(|_| ApiError::invalid("a shell is a websocket: use `uplift ops interventions shell`"))?;
    let opening = Opening::Shell { writable: query.write, dispatcher: context.shells.address() };
    let session = SessionId::new();
    let seat = Seat::reserve(Arc::clone(&context), session);
    context.ledger.open_session(session, id, &bearer, &opening).await?;
    tracing::info!(intervention.id = %id, session.id = %session, "a shell was asked for");
    Ok(upgrade.max_message_size(LARGEST_MESSAGE).on_upgrade(move |engineer| shells::serve(seat, engineer)))
}

/// `GET /api/v1/sessions/{id}/worker`, for the worker of a shell, which shows the session's secret.
pub(super) async fn worker(
    State(context): State<Arc<Context>>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let secret = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if !context.ledger.is_shell(id, secret).await? {
        return Err(ApiError::new(Kind::Unauthenticated, "this is for the worker of a shell"));
    }
    Ok(upgrade.max_message_size(LARGEST_MESSAGE).on_upgrade(move |worker| async move {
        if !context.shells.meet(id, worker) {
            tracing::info!(session.id = %id, "a worker came for a shell that nobody waits for");
        }
    }))
}

/// The shells and dry runs of an intervention, the newest first.
#[utoipa::path(
    get, path = "/api/v1/ops/interventions/{id}/sessions", tag = "engineers", params(("id" = Uuid, Path)),
    responses((status = 200, body = [SessionView]))
)]
pub(super) async fn list(
    State(context): State<Arc<Context>>,
    _: Engineer,
    Path(id): Path<InterventionId>,
) -> Result<Json<Vec<SessionView>>> {
    Ok(Json(context.ledger.sessions(id).await?.into_iter().map(view::session).collect()))
}

/// A session with the lines of its log behind a number: what a dry run said, or what was typed into a shell. At most 2,000;
/// none at the end.
#[utoipa::path(
    get, path = "/api/v1/ops/sessions/{id}", tag = "engineers", params(("id" = Uuid, Path), LinesQuery),
    responses((status = 200, body = SessionLog))
)]
pub(super) async fn show(
    State(context): State<Arc<Context>>,
    _: Engineer,
    Path(id): Path<SessionId>,
    Query(query): Query<LinesQuery>,
) -> Result<Json<SessionLog>> {
    // In this order: a session that has ended has all its lines.
    let session = view::session(context.ledger.session(id).await?);
    let lines = context.ledger.session_lines(id, query.after).await?.into_iter();
    let line = |entry: uplift_platform::ledger::SessionLogLine| SessionLine {
        number: entry.number,
        typed: entry.typed,
        line: view::line(&entry.line),
    };
    Ok(Json(SessionLog { session, lines: lines.map(line).collect() }))
}

/// Ends a session. One that runs ends within some seconds.
#[utoipa::path(
    post, path = "/api/v1/ops/sessions/{id}/close", tag = "engineers", params(("id" = Uuid, Path)),
    responses((status = 200, body = SessionView))
)]
pub(super) async fn close(
    State(context): State<Arc<Context>>,
    Engineer(bearer): Engineer,
    Path(id): Path<SessionId>,
) -> Result<Json<SessionView>> {
    let why = format!("closed by {}", bearer.label);
    Ok(Json(view::session(context.ledger.close_session(id, &why).await?)))
}
