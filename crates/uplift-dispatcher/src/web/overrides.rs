//! One override: what it says, and what it changes in the pack.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use uplift_core::{OverrideId, overrides::Change};
use uplift_platform::ledger::{LedgerError, OverrideEntry};

use super::{
    fields::Fields,
    frame::{Frame, PageError, Result, answer, page},
    visitor::{Sent, Visitor},
    words,
};
use crate::{
    Context,
    api::{self as calls, ApiError},
};

#[derive(Template)]
#[template(path = "override.html")]
struct OverridePage {
    frame: Frame,
    now: DateTime<Utc>,
    found: OverrideEntry,
    diff: String,
    typed: Fields,
}

impl OverridePage {
    /// A line of the difference, by what it is.
    fn class(line: &str) -> &'static str {
        match line.as_bytes().first() {
            _ if line.starts_with("+++") || line.starts_with("---") => "file",
            Some(b'+') => "more",
            Some(b'-') => "less",
            Some(b'@') => "place",
            _ => "",
        }
    }

    fn may_be_promoted(&self) -> bool {
        self.frame.is_operator()
            && self.found.removed.is_none()
            && !matches!(self.found.change.change, Change::Set(_))
    }
}

async fn override_page(
    context: &Context,
    visitor: &Visitor,
    id: OverrideId,
) -> Result<OverridePage, ApiError> {
    let found = context.ledger.override_of(id).await?;
    Ok(OverridePage {
        frame: Frame::new(found.change.to_string(), "interventions", visitor),
        now: context.clock.now(),
        diff: calls::difference(context, &found).await?,
        found,
        typed: Fields::default(),
    })
}

pub(super) async fn show(
    State(context): State<Arc<Context>>,
    visitor: Visitor,
    Path(id): Path<OverrideId>,
) -> Result<Response> {
    visitor.staff()?;
    let shown = override_page(&context, &visitor, id).await.map_err(PageError::to(&visitor))?;
    Ok(page(&shown))
}

pub(super) async fn act(
    State(context): State<Arc<Context>>,
    Path((id, what)): Path<(OverrideId, String)>,
    sent: Sent,
) -> Result<Response> {
    let Sent { visitor, fields } = sent;
    visitor.staff()?;
    let done = perform(&context, &visitor, id, &what, &fields).await;
    answer(&visitor, done.map(|()| format!("/overrides/{id}")), async |error| {
        let mut shown = override_page(&context, &visitor, id).await?;
        shown.frame.error = Some(error);
        shown.typed = fields.of(&what);
        Ok(shown)
    })
    .await
}

async fn perform(
    context: &Arc<Context>,
    visitor: &Visitor,
    id: OverrideId,
    what: &str,
    fields: &Fields,
) -> Result<()> {
    match what {
        "remove" => {
            let reason = calls::words("reason", fields.get("reason"))?;
            context.ledger.remove_override(id, reason, &visitor.bearer().actor()).await?;
            context.queued.notify_one();
        }
        "promote" => {
            visitor.operator()?;
            calls::promote_override(context, visitor.bearer(), id).await?;
        }
        _ => return Err(LedgerError::NotFound("act").into()),
    }
    tracing::info!(override.id = %id, what, "done on a page");
    Ok(())
}
