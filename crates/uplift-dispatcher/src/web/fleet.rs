//! What the platform runs on: workers, packs, and the hops that are held.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use uplift_core::{HoldId, PackDigest};
use uplift_platform::ledger::{HeldHop, PackEntry, WorkerEntry};

use super::{
    frame::{Frame, PageError, Result, answer, page},
    visitor::{Sent, Visitor},
    words,
};
use crate::{
    Context,
    api::{self as calls, ApiError},
};

#[derive(Template)]
#[template(path = "workers.html")]
struct WorkersPage {
    frame: Frame,
    now: DateTime<Utc>,
    workers: Vec<WorkerEntry>,
}

#[derive(Template)]
#[template(path = "packs.html")]
struct PacksPage {
    frame: Frame,
    now: DateTime<Utc>,
    packs: Vec<PackEntry>,
    holds: Vec<HeldHop>,
    /// Of what could not be done: the pack or hop, and the reason that was typed.
    typed: (String, String),
}

impl PacksPage {
    /// What was typed for a pack or a hop.
    fn typed(&self, of: &impl ToString) -> &str {
        if self.typed.0 == of.to_string() { &self.typed.1 } else { "" }
    }
}

pub(super) async fn workers(State(context): State<Arc<Context>>, visitor: Visitor) -> Result<Response> {
    visitor.staff()?;
    Ok(page(&WorkersPage {
        frame: Frame::new("Workers", "workers", &visitor),
        now: context.clock.now(),
        workers: context.ledger.workers().await?,
    }))
}

pub(super) async fn packs(State(context): State<Arc<Context>>, visitor: Visitor) -> Result<Response> {
    visitor.staff()?;
    Ok(page(&packs_page(&context, &visitor).await?))
}

async fn packs_page(context: &Context, visitor: &Visitor) -> Result<PacksPage, ApiError> {
    Ok(PacksPage {
        frame: Frame::new("Packs", "packs", visitor),
        now: context.clock.now(),
        packs: context.ledger.packs().await?,
        holds: context.ledger.held_hops().await?,
        typed: Default::default(),
    })
}

/// Back at the packs, or with the reason that was typed where it could not be done.
async fn back_at_packs(
    context: &Context,
    visitor: &Visitor,
    done: Result<(), ApiError>,
    typed: (String, String),
) -> Result<Response> {
    answer(visitor, done.map(|()| "/packs".to_owned()).map_err(PageError::from), async |error| {
        let mut shown = packs_page(context, visitor).await?;
        shown.frame.error = Some(error);
        shown.typed = typed;
        Ok(shown)
    })
    .await
}

pub(super) async fn recall(
    State(context): State<Arc<Context>>,
    Path(digest): Path<PackDigest>,
    Sent { visitor, fields }: Sent,
) -> Result<Response> {
    visitor.operator()?;
    let recalled = async {
        let reason = calls::words("reason", fields.get("reason"))?;
        context.ledger.recall_pack(&digest, &visitor.bearer().actor(), reason).await?;
        Ok(())
    };
    back_at_packs(&context, &visitor, recalled.await, (digest.to_string(), fields.get("reason").to_owned()))
        .await
}

pub(super) async fn release(
    State(context): State<Arc<Context>>,
    Path(id): Path<HoldId>,
    Sent { visitor, fields }: Sent,
) -> Result<Response> {
    visitor.operator()?;
    let released = async {
        let reason = calls::words("reason", fields.get("reason"))?;
        context.ledger.release_hop(id, &visitor.bearer().actor(), reason).await?;
        context.queued.notify_one();
        Ok(())
    };
    back_at_packs(&context, &visitor, released.await, (id.to_string(), fields.get("reason").to_owned())).await
}
