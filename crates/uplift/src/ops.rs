//! What operators do: packs, everybody's requests, workers, tokens.

use std::path::Path;

use reqwest::{Method, header};
use serde_json::json;
use uplift_core::api::{self, IssuedToken, PackView, Request, WorkerView};
use uuid::Uuid;

use crate::{
    cli::{NewToken, Ops, Packs, Tokens},
    client::Patience,
    commands::{list, show, show_list},
    context::Context,
    exit::Exit,
    interventions, overrides, pack, sessions, text,
};

/// Does what was asked.
pub(crate) async fn execute(context: &Context, command: Ops) -> anyhow::Result<Exit> {
    match command {
        Ops::Packs(Packs::Push { folder }) => push(context, &folder).await?,
        Ops::Packs(Packs::List) => packs(context).await?,
        Ops::Requests(args) => {
            let list = list(context, &["ops", "requests"], args.account.as_deref(), &args.filter).await?;
            show_list(context, &list, true)?;
        }
        Ops::Retry(args) => {
            let path = ["ops", "requests", &args.request.to_string(), "retry"];
            let request: Request = context.client.post(&path, &json!({}), Patience::Short).await?;
            show(context, &request)?;
        }
        Ops::Packs(Packs::Recall { digest, reason }) => recall(context, &digest, &reason).await?,
        Ops::Interventions { command } => {
            return interventions::execute(context, command.unwrap_or_default()).await;
        }
        Ops::Sessions(command) => return sessions::execute(context, command).await,
        Ops::Override(command) => overrides::execute(context, command).await?,
        Ops::Waive { request, reason } => {
            let path = ["ops", "requests", &request.to_string(), "waive"];
            let wish = json!({ "reason": reason });
            let request: Request = context.client.post(&path, &wish, Patience::Short).await?;
            show(context, &request)?;
        }
        Ops::Holds(command) => interventions::holds(context, command).await?,
        Ops::Workers => workers(context).await?,
        Ops::Tokens(Tokens::Create(args)) => create_token(context, args).await?,
        Ops::Tokens(Tokens::Revoke { token }) => revoke_token(context, token).await?,
    }
    Ok(Exit::Ok)
}

async fn push(context: &Context, folder: &Path) -> anyhow::Result<()> {
    let archive = bytes::Bytes::from(pack::read(folder)?.archive()?);
    let make = || {
        let request = context.client.request(Method::POST, &["ops", "packs"]);
        request.header(header::CONTENT_TYPE, "application/x-tar").body(archive.clone())
    };
    let response = context.client.send(make, Patience::Short).await?;
    let pack: PackView = context.client.read(response).await?;
    show_pack(context, &pack, Some(archive.len() as u64))
}

/// Shows a pack that was pushed, with its archive's length in bytes where that is known here.
pub(crate) fn show_pack(context: &Context, pack: &PackView, bytes: Option<u64>) -> anyhow::Result<()> {
    if context.print.is_json() {
        context.print.json(pack)?;
        return Ok(());
    }
    let mut rows = vec![
        ("product", text::line(&pack.product)),
        ("title", text::line(&pack.title)),
        ("digest", text::line(&pack.digest)),
    ];
    rows.extend(bytes.map(|bytes| ("size", text::bytes(bytes))));
    rows.push(("used", if pack.current { "for new requests" } else { "not by new requests" }.into()));
    context.print.fields(&rows)?;
    Ok(())
}

async fn packs(context: &Context) -> anyhow::Result<()> {
    let list: Vec<PackView> = context.client.get(&["ops", "packs"], &[], Patience::Short).await?;
    if context.print.is_json() {
        context.print.json(&list)?;
        return Ok(());
    }
    let now = context.clock.now();
    let row = |pack: &PackView| {
        let state = match (pack.recalled_at, pack.current) {
            (Some(at), _) => format!("recalled {}", text::ago(at, now)),
            (None, true) => "current".into(),
            (None, false) => "replaced".into(),
        };
        let pushed = format!("{} by {}", text::ago(pack.pushed_at, now), text::line(&pack.pushed_by));
        // Enough to tell packs apart; --json has it all.
        let digest: String = pack.digest.chars().take(12).collect();
        vec![text::line(&pack.product), text::line(&pack.title), text::line(&digest), state, pushed]
    };
    let rows: Vec<_> = list.iter().map(row).collect();
    context.print.table(&["PRODUCT", "TITLE", "DIGEST", "STATE", "PUSHED"], &rows)?;
    Ok(())
}

async fn recall(context: &Context, digest: &str, reason: &str) -> anyhow::Result<()> {
    let path = ["ops", "packs", digest, "recall"];
    let pack: PackView = context.client.post(&path, &json!({ "reason": reason }), Patience::Short).await?;
    if context.print.is_json() {
        context.print.json(&pack)?;
    } else {
        let product = text::line(&pack.product);
        context
            .print
            .out(&format!("{product} {}: no new request begins with it", text::line(&pack.digest)))?;
    }
    Ok(())
}

async fn workers(context: &Context) -> anyhow::Result<()> {
    let list: Vec<WorkerView> = context.client.get(&["ops", "workers"], &[], Patience::Short).await?;
    if context.print.is_json() {
        context.print.json(&list)?;
        return Ok(());
    }
    let now = context.clock.now();
    let row = |worker: &WorkerView| {
        let state = match (worker.alive, worker.draining) {
            (false, _) => "lost",
            (true, true) => "draining",
            (true, false) => "alive",
        };
        vec![
            worker.id.to_string(),
            text::line(&worker.host),
            text::line(&worker.version),
            format!("{}/{}", worker.busy, worker.slots),
            text::ago(worker.started_at, now),
            text::ago(worker.seen_at, now),
            state.into(),
        ]
    };
    let rows: Vec<_> = list.iter().map(row).collect();
    context.print.table(&["WORKER", "HOST", "VERSION", "BUSY", "STARTED", "SEEN", "STATE"], &rows)?;
    Ok(())
}

async fn create_token(context: &Context, args: NewToken) -> anyhow::Result<()> {
    let new = api::NewToken {
        account: args.account,
        role: args.role.as_str().into(),
        label: args.label,
        days: args.days,
    };
    // Sent once: an answer that is lost must not leave a second token that nobody knows of.
    let request = context.client.request(Method::POST, &["ops", "tokens"]).json(&new);
    let response = context.client.once(request).await?;
    let token: IssuedToken = context.client.read(response).await?;
    if context.print.is_json() {
        context.print.json(&token)?;
        return Ok(());
    }
    // The secret alone on stdout, so that it can go straight into a file.
    context.print.out(&text::line(&token.secret))?;
    let (id, ends) = (token.id, text::time(token.expires_at));
    context.print.note(&format!("token {id}, valid until {ends}; the secret is not shown again"));
    Ok(())
}

async fn revoke_token(context: &Context, token: Uuid) -> anyhow::Result<()> {
    let make = || context.client.request(Method::DELETE, &["ops", "tokens", &token.to_string()]);
    context.client.send(make, Patience::Short).await?;
    if context.print.is_json() {
        context.print.json(&json!({ "revoked": token }))?;
    } else {
        context.print.out(&format!("token {token} is revoked"))?;
    }
    Ok(())
}
