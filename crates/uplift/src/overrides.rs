//! What engineers adjust for one database.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use reqwest::Method;
use serde_json::json;
use uplift_core::{
    api::{self, OverrideView, PackView},
    overrides::{Change, OwnScript, Settings},
};
use uuid::Uuid;

use crate::{
    cli::{NewOverride, Overrides},
    client::Patience,
    context::Context,
    exit::UsageError,
    ops, text,
};

/// Does what was asked.
pub(crate) async fn execute(context: &Context, command: Overrides) -> anyhow::Result<()> {
    match command {
        Overrides::Add(args) => {
            let wish = match args.like {
                Some(other) => like(context, other, *args).await?,
                None => wish(*args)?,
            };
            let request = context.client.request(Method::POST, &["ops", "overrides"]).json(&wish);
            // Sent once: an answer that is lost must not leave the script twice.
            let response = context.client.once(request).await?;
            show(context, &context.client.read(response).await?)
        }
        Overrides::List { of, all } => list(context, of, all).await,
        Overrides::Show { id } => {
            let path = ["ops", "overrides", &id.to_string()];
            show(context, &context.client.get(&path, &[], Patience::Short).await?)
        }
        Overrides::Diff { id } => diff(context, id).await,
        Overrides::Promote { id } => {
            let path = ["ops", "overrides", &id.to_string(), "promote"];
            let pack: PackView = context.client.post(&path, &json!({}), Patience::Short).await?;
            ops::show_pack(context, &pack, None)
        }
        Overrides::Remove { id, reason } => {
            let path = ["ops", "overrides", &id.to_string(), "remove"];
            show(context, &context.client.post(&path, &json!({ "reason": reason }), Patience::Short).await?)
        }
    }
}

/// What another database has.
async fn like(context: &Context, other: Uuid, args: NewOverride) -> anyhow::Result<api::NewOverride> {
    let path = ["ops", "overrides", &other.to_string()];
    let found: OverrideView = context.client.get(&path, &[], Patience::Short).await?;
    let step = format!("{}/{}", found.hop, found.step);
    Ok(api::NewOverride { subject: args.subject, step, change: found.change, reason: args.reason })
}

fn wish(args: NewOverride) -> anyhow::Result<api::NewOverride> {
    let transaction = !args.no_transaction;
    let script = args.file.as_deref().map(|file| script(file, transaction)).transpose()?;
    let settings = Settings { timeout_seconds: args.timeout_seconds, env: variables(&args.env)? };
    let (step, change) = match (args.before, args.after, args.replace, args.skip, args.set, script) {
        (Some(step), _, _, _, _, Some(script)) => (step, Change::Before(script)),
        (_, Some(step), _, _, _, Some(script)) => (step, Change::After(script)),
        (_, _, Some(step), _, _, Some(script)) => (step, Change::Replace(script)),
        (_, _, _, Some(step), _, _) => (step, Change::Skip),
        (_, _, _, _, Some(step), _) => (step, Change::Set(settings)),
        // What the arguments' own rules have refused.
        _ => return Err(UsageError("say what to change, and with which file".into()).into()),
    };
    Ok(api::NewOverride { subject: args.subject, step, change, reason: args.reason })
}

fn script(file: &Path, transaction: bool) -> anyhow::Result<OwnScript> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(OwnScript { file: name, text, transaction })
}

fn variables(given: &[String]) -> Result<BTreeMap<String, String>, UsageError> {
    let pair = |text: &String| {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| UsageError(format!("--env {text}: write it as NAME=VALUE")))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    given.iter().map(pair).collect()
}

async fn list(context: &Context, of: Option<Uuid>, all: bool) -> anyhow::Result<()> {
    let of = of.map(|of| of.to_string());
    let conditions = [("subject", of.as_deref()), ("removed", all.then_some("true"))];
    let query: Vec<(&str, &str)> =
        conditions.iter().filter_map(|(name, value)| value.map(|value| (*name, value))).collect();
    let list: Vec<OverrideView> = context.client.get(&["ops", "overrides"], &query, Patience::Short).await?;
    if context.print.is_json() {
        context.print.json(&list)?;
        return Ok(());
    }
    if list.is_empty() {
        context.print.note("nothing is adjusted");
        return Ok(());
    }
    let now = context.clock.now();
    let row = |found: &OverrideView| {
        let state = match &found.removed {
            Some(removed) => format!("removed {}", text::ago(removed.at, now)),
            None => "applies".into(),
        };
        vec![
            found.id.to_string(),
            text::line(&found.account),
            text::line(&found.database),
            text::line(&found.product),
            text::line(&found.says),
            text::ago(found.made_at, now),
            state,
        ]
    };
    let head = ["OVERRIDE", "ACCOUNT", "DATABASE", "PRODUCT", "SAYS", "MADE", "STATE"];
    context.print.table(&head, &list.iter().map(row).collect::<Vec<_>>())?;
    Ok(())
}

fn show(context: &Context, found: &OverrideView) -> anyhow::Result<()> {
    if context.print.is_json() {
        context.print.json(found)?;
        return Ok(());
    }
    let now = context.clock.now();
    let time = |at| format!("{} ({})", text::time(at), text::ago(at, now));
    let mut rows = vec![
        ("override", found.id.to_string()),
        ("account", text::line(&found.account)),
        ("database", text::line(&found.database)),
        ("product", text::line(&found.product)),
        ("says", text::line(&found.says)),
        ("reason", text::block(&found.reason, "  ").trim_start().to_owned()),
        ("sha256", text::line(&found.sha256)),
        ("made", format!("{} by {}", time(found.made_at), text::line(&found.made_by))),
    ];
    rows.extend(found.intervention.map(|id| ("intervention", id.to_string())));
    rows.extend(found.removed.as_ref().map(|removed| {
        let (by, because) = (text::line(&removed.by), text::line(&removed.because));
        ("removed", format!("{} by {by}: {because}", time(removed.at)))
    }));
    context.print.fields(&rows)?;
    if let Change::Replace(script) | Change::Before(script) | Change::After(script) = &found.change {
        context.print.out(&format!("\n{}", text::block(&script.text, "  ")))?;
    }
    Ok(())
}

async fn diff(context: &Context, id: Uuid) -> anyhow::Result<()> {
    let make = || context.client.request(Method::GET, &["ops", "overrides", &id.to_string(), "diff"]);
    let response = context.client.send(make, Patience::Short).await?;
    let diff = response.text().await.context("read the difference")?;
    if context.print.is_json() {
        context.print.json(&json!({ "diff": diff }))?;
    } else {
        context.print.out(&text::block(&diff, ""))?;
    }
    Ok(())
}
