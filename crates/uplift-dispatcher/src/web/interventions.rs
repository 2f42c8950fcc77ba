//! Requests that wait for a person: in groups of what failed alike, and one with all that can be done about it.

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use uplift_core::{
    Failure, InterventionId, SessionId,
    api::NewOverride,
    failure::ScriptFailure,
    overrides::{Change, OwnScript, Settings},
};
use uplift_platform::ledger::{
    Entry, HeldHop, Intervention, LedgerError, LogLine, Opening, OverrideEntry, SessionEntry, Which,
};

use super::{
    ansi,
    fields::Fields,
    frame::{Frame, PageError, Result, answer, page},
    visitor::{Sent, Visitor},
    words,
};
use crate::{
    Context,
    api::{self as calls, ApiError},
};

/// What failed alike.
struct Group {
    fingerprint: String,
    pattern: String,
    hop: Option<String>,
    databases: i64,
    accounts: i64,
    members: Vec<Intervention>,
}

#[derive(Template)]
#[template(path = "interventions.html")]
struct ListPage {
    frame: Frame,
    now: DateTime<Utc>,
    groups: Vec<Group>,
    holds: Vec<HeldHop>,
}

pub(super) async fn list(State(context): State<Arc<Context>>, visitor: Visitor) -> Result<Response> {
    visitor.staff()?;
    let mut groups: Vec<Group> = Vec::new();
    // They come by the time that is left, and so do the groups, by their first.
    for found in context.ledger.interventions(&Which::default()).await? {
        match groups.iter_mut().find(|group| group.fingerprint == found.fingerprint) {
            Some(group) => group.members.push(found),
            None => groups.push(Group {
                fingerprint: found.fingerprint.clone(),
                pattern: found.pattern.clone(),
                hop: found.hop.clone(),
                databases: found.alike.0,
                accounts: found.alike.1,
                members: vec![found],
            }),
        }
    }
    Ok(page(&ListPage {
        frame: Frame::new("Interventions", "interventions", &visitor),
        now: context.clock.now(),
        groups,
        holds: context.ledger.held_hops().await?,
    }))
}

#[derive(Template)]
#[template(path = "intervention.html")]
struct InterventionPage {
    frame: Frame,
    now: DateTime<Utc>,
    found: Intervention,
    lines: Vec<(u64, LogLine)>,
    history: Vec<Entry>,
    overrides: Vec<OverrideEntry>,
    solved: Vec<OverrideEntry>,
    sessions: Vec<SessionEntry>,
    /// Whether the visitor has claimed it.
    mine: bool,
    typed: Fields,
}

impl InterventionPage {
    fn script(&self) -> Option<&ScriptFailure> {
        match &self.found.failure {
            Failure::ScriptFailed(script) => Some(script),
            _ => None,
        }
    }

    /// Engineers act on what they have claimed, operators on anything.
    fn may_act(&self) -> bool {
        self.found.closed.is_none() && (self.mine || self.frame.is_operator())
    }

    /// Whether its customer has found something in what was delivered.
    fn is_discrepancy(&self) -> bool {
        matches!(self.found.failure, Failure::Discrepancy { .. })
    }

    /// The step that an override is offered for: the one that failed.
    fn step(&self) -> &str {
        let typed = self.typed.typed("overrides", "step");
        if typed.is_empty() && !self.is_discrepancy() { &self.found.step } else { typed }
    }

    fn action(&self) -> &str {
        let typed = self.typed.typed("overrides", "action");
        if typed.is_empty() { "before" } else { typed }
    }
}

async fn intervention_page(
    context: &Context,
    visitor: &Visitor,
    id: InterventionId,
) -> Result<InterventionPage, ApiError> {
    let ledger = &context.ledger;
    let found = ledger.intervention(id).await?;
    let title = format!("{}: {}", found.database_name, found.step);
    let mine = found.engineer.as_ref().is_some_and(|(token, _)| *token == visitor.bearer().token);
    Ok(InterventionPage {
        frame: Frame::new(title, "interventions", visitor),
        now: context.clock.now(),
        lines: ledger.last_lines(found.request, found.epoch).await?,
        history: ledger.history(id).await?,
        overrides: ledger.overrides(Some(found.request), false).await?,
        solved: ledger.solved_before(&found.fingerprint).await?,
        sessions: ledger.sessions(id).await?,
        mine,
        found,
        typed: Fields::default(),
    })
}

pub(super) async fn show(
    State(context): State<Arc<Context>>,
    visitor: Visitor,
    Path(id): Path<InterventionId>,
) -> Result<Response> {
    visitor.staff()?;
    let shown = intervention_page(&context, &visitor, id).await.map_err(PageError::to(&visitor))?;
    Ok(page(&shown))
}

pub(super) async fn act(
    State(context): State<Arc<Context>>,
    Path((id, what)): Path<(InterventionId, String)>,
    sent: Sent,
) -> Result<Response> {
    let Sent { visitor, fields } = sent;
    visitor.staff()?;
    let done = perform(&context, &visitor, id, &what, &fields).await;
    let to = done.map(|to| to.unwrap_or_else(|| format!("/interventions/{id}")));
    answer(&visitor, to, async |error| {
        let mut shown = intervention_page(&context, &visitor, id).await?;
        shown.frame.error = Some(error);
        shown.typed = fields.of(&what);
        Ok(shown)
    })
    .await
}

/// Does what a form says; gives the page to go on with, where it is another one.
async fn perform(
    context: &Arc<Context>,
    visitor: &Visitor,
    id: InterventionId,
    what: &str,
    fields: &Fields,
) -> Result<Option<String>> {
    let (bearer, ledger) = (visitor.bearer(), &context.ledger);
    let text = || calls::words("text", fields.get("text"));
    let reason = || calls::words("reason", fields.get("reason"));
    let mut to = None;
    match what {
        "claim" => drop(ledger.claim_intervention(id, bearer).await?),
        "release" => ledger.release_intervention(id, bearer).await?,
        "assign" => {
            visitor.operator()?;
            ledger.assign_intervention(id, fields.get("to").trim(), &bearer.actor()).await?;
        }
        "comment" => ledger.comment(id, bearer, text()?).await?,
        "note" => ledger.note(id, bearer, text()?).await?,
        "answer" => ledger.answer(id, bearer, text()?).await?,
        "reject" => ledger.reject(id, bearer, reason()?).await?,
        "retry" => {
            let found = ledger.intervention(id).await?;
            ledger.retry_intervention(id, bearer, reason()?).await?;
            if fields.is_set("alike") {
                ledger.retry_alike(&found.fingerprint, bearer, reason()?).await?;
            }
            to = Some(format!("/requests/{}", found.request));
        }
        "dry-run" => {
            let session = SessionId::new();
            ledger.open_session(session, id, bearer, &Opening::DryRun).await?;
            to = Some(format!("/sessions/{session}"));
        }
        "overrides" => {
            let added = calls::add_override(context, bearer, wish(id, fields)?).await?;
            to = Some(format!("/overrides/{}", added.id));
        }
        _ => return Err(LedgerError::NotFound("act").into()),
    }
    context.queued.notify_one();
    tracing::info!(intervention.id = %id, what, "done on a page");
    Ok(to)
}

/// The override that a form asks for: the same as another one, or what its fields say.
fn wish(id: InterventionId, fields: &Fields) -> Result<NewOverride, ApiError> {
    let own = || OwnScript {
        file: fields.get("file").trim().to_owned(),
        text: fields.get("script").to_owned(),
        transaction: !fields.is_set("no-transaction"),
    };
    let change = match fields.get("action") {
        "before" => Change::Before(own()),
        "after" => Change::After(own()),
        "replace" => Change::Replace(own()),
        "skip" => Change::Skip,
        "set" => Change::Set(settings(fields)?),
        other => return Err(ApiError::invalid(format!("`{other}` is nothing that an override does"))),
    };
    let (step, reason) = (fields.get("step").trim().to_owned(), fields.get("reason").to_owned());
    Ok(NewOverride { subject: id.0, step, change, reason })
}

fn settings(fields: &Fields) -> Result<Settings, ApiError> {
    let seconds = match fields.get("timeout").trim() {
        "" => None,
        text => Some(text.parse().map_err(|_| ApiError::invalid("the timeout is a number of seconds"))?),
    };
    let mut env = BTreeMap::new();
    for line in fields.get("script").lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| ApiError::invalid(format!("`{line}`: write a variable as NAME=VALUE")))?;
        env.insert(name.trim().to_owned(), value.to_owned());
    }
    Ok(Settings { timeout_seconds: seconds, env })
}
