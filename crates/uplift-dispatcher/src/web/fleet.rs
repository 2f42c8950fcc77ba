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
    frame::{Frame, PageError, Result, page},
    seen,
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
    Ok(page(&PacksPage {
        frame: Frame::new("Packs", "packs", &visitor),
        now: context.clock.now(),
        packs: context.ledger.packs().await?,
        holds: context.ledger.held_hops().await?,
    }))
}

pub(super) async fn recall(
    State(context): State<Arc<Context>>,
    Path(digest): Path<PackDigest>,
    Sent { visitor, fields }: Sent,
) -> Result<Response> {
    visitor.operator()?;
    let done = async {
        let reason = calls::words("reason", fields.get("reason"))?;
        context.ledger.recall_pack(&digest, &visitor.bearer().actor(), reason).await?;
        Ok::<_, ApiError>(())
    };
    done.await.map_err(PageError::to(&visitor))?;
    Ok(seen("/packs"))
}

pub(super) async fn release(
    State(context): State<Arc<Context>>,
    Path(id): Path<HoldId>,
    Sent { visitor, fields }: Sent,
) -> Result<Response> {
    visitor.operator()?;
    let done = async {
        let reason = calls::words("reason", fields.get("reason"))?;
        context.ledger.release_hop(id, &visitor.bearer().actor(), reason).await?;
        Ok::<_, ApiError>(())
    };
    done.await.map_err(PageError::to(&visitor))?;
    context.queued.notify_one();
    Ok(seen("/packs"))
}
