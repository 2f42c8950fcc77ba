//! One look into a saved state: what a dry run says, or what was typed into a shell.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use uplift_core::SessionId;
use uplift_platform::ledger::{SessionEntry, SessionLogLine};

use super::{
    ansi,
    frame::{Frame, PageError, Result, page},
    seen,
    visitor::{Sent, Visitor},
    words,
};
use crate::Context;

/// How often a page is loaded again while its session runs, in seconds.
const AGAIN: u32 = 2;

#[derive(Template)]
#[template(path = "session.html")]
struct SessionPage {
    frame: Frame,
    now: DateTime<Utc>,
    found: SessionEntry,
    lines: Vec<SessionLogLine>,
}

pub(super) async fn show(
    State(context): State<Arc<Context>>,
    visitor: Visitor,
    Path(id): Path<SessionId>,
) -> Result<Response> {
    visitor.staff()?;
    // In this order: a session that has ended has all its lines.
    let found = context.ledger.session(id).await.map_err(|error| PageError::to(&visitor)(error.into()))?;
    let lines = context.ledger.session_lines(id, 0).await?;
    let mut frame = Frame::new(format!("A {}", found.kind), "interventions", &visitor);
    frame.again = found.ended.is_none().then_some(AGAIN);
    Ok(page(&SessionPage { frame, now: context.clock.now(), found, lines }))
}

pub(super) async fn close(
    State(context): State<Arc<Context>>,
    Path(id): Path<SessionId>,
    sent: Sent,
) -> Result<Response> {
    sent.visitor.staff()?;
    let why = format!("closed by {}", sent.visitor.bearer().label);
    let closed = context.ledger.close_session(id, &why).await;
    closed.map_err(|error| PageError::to(&sent.visitor)(error.into()))?;
    Ok(seen(&format!("/sessions/{id}")))
}
