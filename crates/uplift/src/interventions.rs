//! What engineers do: requests that wait for a person, and hops that are held.

use serde_json::{Value, json};
use uplift_core::api::{HoldView, InterventionDetail, InterventionView, Released, Retried};
use uuid::Uuid;

use crate::{
    cli::{Holds, Interventions},
    client::Patience,
    context::Context,
    exit::Exit,
    print::Sink,
    sessions, text,
};

/// Does what was asked.
pub(crate) async fn execute(context: &Context, command: Interventions) -> anyhow::Result<Exit> {
    match command {
        Interventions::List { all, mine, alike, request } => {
            list(context, all, mine, alike.as_deref(), request).await?;
        }
        Interventions::Show { intervention } => show(context, intervention).await?,
        Interventions::Claim { intervention } => act(context, intervention, "claim", json!({})).await?,
        Interventions::Release { intervention } => act(context, intervention, "release", json!({})).await?,
        Interventions::Assign { intervention, to } => {
            act(context, intervention, "assign", json!({ "to": to })).await?;
        }
        Interventions::Comment(said) => {
            act(context, said.intervention, "comment", json!({ "text": said.text })).await?;
        }
        Interventions::Note(said) => {
            act(context, said.intervention, "note", json!({ "text": said.text })).await?;
        }
        Interventions::Answer(said) => {
            act(context, said.intervention, "answer", json!({ "text": said.text })).await?;
        }
        Interventions::Reject(why) => {
            act(context, why.intervention, "reject", json!({ "reason": why.reason })).await?;
        }
        Interventions::Retry(retry) => {
            let path = ["ops", "interventions", &retry.intervention.to_string(), "retry"];
            let wish = json!({ "reason": retry.reason, "alike": retry.alike });
            let retried: Retried = context.client.post(&path, &wish, Patience::Short).await?;
            if context.print.is_json() {
                context.print.json(&retried)?;
            } else {
                for request in retried.requests {
                    context.print.out(&format!("request {request} is queued again"))?;
                }
            }
        }
        Interventions::Shell { intervention, write } => {
            return sessions::shell(context, intervention, write).await;
        }
        Interventions::DryRun { intervention } => return sessions::dry_run(context, intervention).await,
    }
    Ok(Exit::Ok)
}

async fn list(
    context: &Context,
    all: bool,
    mine: bool,
    alike: Option<&str>,
    request: Option<Uuid>,
) -> anyhow::Result<()> {
    let request = request.map(|request| request.to_string());
    let conditions = [
        ("closed", all.then_some("true")),
        ("mine", mine.then_some("true")),
        ("fingerprint", alike),
        ("request", request.as_deref()),
    ];
    let query: Vec<(&str, &str)> =
        conditions.iter().filter_map(|(name, value)| value.map(|value| (*name, value))).collect();
    let list: Vec<InterventionView> =
        context.client.get(&["ops", "interventions"], &query, Patience::Short).await?;
    if context.print.is_json() {
        context.print.json(&list)?;
        return Ok(());
    }
    if list.is_empty() {
        context.print.note("nothing waits for a person");
        return Ok(());
    }
    let now = context.clock.now();
    let row = |found: &InterventionView| {
        let whose = match (&found.closed, &found.engineer) {
            (Some(closed), _) => format!("closed: {}", text::line(&closed.outcome)),
            (None, Some(engineer)) => text::line(engineer),
            (None, None) => "nobody".into(),
        };
        vec![
            found.id.to_string(),
            text::line(&found.account),
            text::line(&found.database),
            found.purpose.to_string(),
            place(found),
            text::ago(found.due_at, now),
            text::line(&found.fingerprint),
            found.databases.to_string(),
            whose,
        ]
    };
    let head =
        ["INTERVENTION", "ACCOUNT", "DATABASE", "PURPOSE", "STEP", "DUE", "FINGERPRINT", "ALIKE", "WITH"];
    context.print.table(&head, &list.iter().map(row).collect::<Vec<_>>())?;
    Ok(())
}

async fn show(context: &Context, id: Uuid) -> anyhow::Result<()> {
    let path = ["ops", "interventions", &id.to_string()];
    let found: InterventionDetail = context.client.get(&path, &[], Patience::Short).await?;
    if context.print.is_json() {
        context.print.json(&found)?;
        return Ok(());
    }
    fields(context, &found.intervention)?;
    if !found.lines.is_empty() {
        context.print.out("\nthe end of its log")?;
        found.lines.iter().try_for_each(|line| context.print.log_line(line, Sink::Stdout))?;
    }
    if !found.solved_before.is_empty() {
        context
            .print
            .out("\nwhat has solved this for other databases (`uplift ops override show OVERRIDE`)")?;
        for solved in &found.solved_before {
            let (says, reason) = (text::line(&solved.says), text::line(&solved.reason));
            context.print.out(&format!("{}  {says}: {reason}", solved.id))?;
        }
        let take = format!("uplift ops override add {id} --like OVERRIDE --reason '…'");
        context.print.out(&format!("the same for this one: {take}"))?;
    }
    if !found.history.is_empty() {
        context.print.out("\nwhat was said and done")?;
        for entry in &found.history {
            let said = entry.text.as_deref().map(|said| format!("\n{}", text::block(said, "  ")));
            let (at, by, what) = (text::time(entry.at), text::line(&entry.by), text::line(&entry.what));
            context.print.out(&format!("{at}  {what}, {by}{}", said.unwrap_or_default()))?;
        }
    }
    Ok(())
}

async fn act(context: &Context, id: Uuid, verb: &str, wish: Value) -> anyhow::Result<()> {
    let path = ["ops", "interventions", &id.to_string(), verb];
    let found: InterventionView = context.client.post(&path, &wish, Patience::Short).await?;
    if context.print.is_json() {
        context.print.json(&found)?;
        return Ok(());
    }
    fields(context, &found)
}

fn fields(context: &Context, found: &InterventionView) -> anyhow::Result<()> {
    let now = context.clock.now();
    let time = |at| format!("{} ({})", text::time(at), text::ago(at, now));
    let from = found.source_version.as_deref().unwrap_or("?");
    let product = found.product.as_deref().unwrap_or("?");
    let mut rows = vec![
        ("intervention", found.id.to_string()),
        ("request", found.request.to_string()),
        ("account", text::line(&found.account)),
        ("database", text::line(&found.database)),
        ("purpose", found.purpose.to_string()),
        ("upgrade", text::line(&format!("{product} {from} → {}", found.target))),
        ("step", place(found)),
        ("failure", text::block(&found.failure.message, "  ").trim_start().to_owned()),
    ];
    if let uplift_core::Failure::ScriptFailed(script) = &found.failure.failure {
        let indented = |text: &String| format!("\n{}", text::block(text, "  "));
        rows.extend(script.sqlstate.as_ref().map(|state| ("sqlstate", text::line(state))));
        rows.extend(script.statement.as_ref().map(|statement| ("statement", indented(statement))));
        rows.extend(script.detail.as_ref().map(|detail| ("detail", indented(detail))));
    }
    let alike = format!(
        "{}: {} databases of {} accounts wait",
        text::line(&found.fingerprint),
        found.databases,
        found.accounts
    );
    rows.push(("alike", alike));
    rows.push(("opened", time(found.opened_at)));
    rows.push(("due", time(found.due_at)));
    let saved = found.saved.as_ref();
    rows.extend(saved.map(|saved| {
        (
            "state",
            format!("saved before the step: {}, Postgres {}", text::bytes(saved.bytes), saved.postgres_major),
        )
    }));
    if let (Some(engineer), Some(until)) = (&found.engineer, found.claimed_until) {
        rows.push(("claimed", format!("by {} until {}", text::line(engineer), time(until))));
    }
    rows.extend(found.note.as_ref().map(|note| ("note", text::block(note, "  ").trim_start().to_owned())));
    if let Some(closed) = &found.closed {
        let reason = closed.reason.as_ref().map(|reason| format!(": {}", text::line(reason)));
        let (by, outcome) = (text::line(&closed.by), text::line(&closed.outcome));
        rows.push((
            "closed",
            format!("{outcome}, {} by {by}{}", time(closed.at), reason.unwrap_or_default()),
        ));
    }
    context.print.fields(&rows)?;
    Ok(())
}

/// Hop and step.
fn place(found: &InterventionView) -> String {
    let step = text::line(&found.step);
    match &found.hop {
        Some(hop) => format!("{}/{step}", text::line(hop)),
        None => step,
    }
}

/// Does what was asked about hops that are held.
pub(crate) async fn holds(context: &Context, command: Holds) -> anyhow::Result<()> {
    match command {
        Holds::List => {
            let list: Vec<HoldView> = context.client.get(&["ops", "holds"], &[], Patience::Short).await?;
            if context.print.is_json() {
                context.print.json(&list)?;
                return Ok(());
            }
            if list.is_empty() {
                context.print.note("no hop is held");
                return Ok(());
            }
            let now = context.clock.now();
            let row = |hold: &HoldView| {
                vec![
                    hold.id.to_string(),
                    text::line(&hold.product),
                    text::line(&hold.hop),
                    hold.accounts.to_string(),
                    hold.waiting.to_string(),
                    text::ago(hold.held_at, now),
                    text::line(&hold.pattern),
                ]
            };
            let head = ["HOLD", "PRODUCT", "HOP", "ACCOUNTS", "WAITING", "SINCE", "FAILURE"];
            context.print.table(&head, &list.iter().map(row).collect::<Vec<_>>())?;
        }
        Holds::Release { hold, reason } => {
            let path = ["ops", "holds", &hold.to_string(), "release"];
            let wish = json!({ "reason": reason });
            let released: Released = context.client.post(&path, &wish, Patience::Short).await?;
            if context.print.is_json() {
                context.print.json(&released)?;
            } else {
                context.print.out(&format!("released; {} requests go on", released.freed))?;
            }
        }
    }
    Ok(())
}
