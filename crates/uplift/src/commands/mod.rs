//! What each command does.

mod canary;
mod submit;

pub(crate) use submit::{Summary, create, ended, upload_again};

use std::{path::PathBuf, time::Duration};

use anyhow::bail;
use reqwest::Method;
use serde_json::{Value, json};
use uplift_core::{
    api::{Explanation, Request, RequestList},
    request::StateCode,
};
use uuid::Uuid;

use crate::{
    cli::{Command, Download, Filter, Log, Status},
    client::Patience,
    context::Context,
    download::{self, Folder, Names},
    exit::{Exit, UsageError},
    follow::{Followed, follow},
    live, ops,
    print::{self, Sink},
    text, webhooks,
};

/// Does what was asked.
pub(crate) async fn execute(context: &Context, command: Command) -> anyhow::Result<Exit> {
    use uplift_core::Purpose::{Production, Test};
    match command {
        Command::Test(args) => submit::submit(context, Test, &args).await,
        Command::Production(args) => submit::submit(context, Production, &args).await,
        Command::Resume(args) => submit::resume(context, &args).await,
        Command::Status(args) => status(context, &args).await,
        Command::Explain(args) => explain(context, args.request).await,
        Command::Log(args) => log(context, &args).await,
        Command::Download(args) => fetch(context, &args).await,
        Command::Restore(args) => live::restore(context, &args).await,
        Command::Check(args) => live::check::check(context, &args).await,
        Command::Cancel(args) => act(context, args.request, "cancel", json!({})).await,
        Command::Delete(args) => act(context, args.request, "delete", json!({})).await,
        Command::Accept(args) => act(context, args.request, "accept", json!({})).await,
        Command::Discrepancy { request, text } => {
            act(context, request, "discrepancy", json!({ "text": text })).await
        }
        Command::Webhooks(command) => webhooks::execute(context, command).await,
        Command::Canary(args) => canary::canary(context, &args).await,
        Command::Ops(command) => ops::execute(context, command).await,
    }
}

async fn status(context: &Context, args: &Status) -> anyhow::Result<Exit> {
    let Some(id) = args.request.or(args.named) else {
        let list = list(context, &["requests"], None, &args.filter).await?;
        show_list(context, &list, false)?;
        return Ok(Exit::Ok);
    };
    let request = one(context, id).await?;
    show(context, &request)?;
    Ok(Exit::of_state(request.state))
}

async fn explain(context: &Context, id: Uuid) -> anyhow::Result<Exit> {
    let path = ["requests", &id.to_string(), "explain"];
    let explained: Explanation = context.client.get(&path, &[], Patience::Short).await?;
    if context.print.is_json() {
        context.print.json(&explained)?;
    } else {
        context.print.out(&format!("now:  {}", text::line(&explained.now)))?;
        context.print.out(&format!("next: {}", text::line(&explained.next)))?;
    }
    Ok(Exit::Ok)
}

async fn log(context: &Context, args: &Log) -> anyhow::Result<Exit> {
    let id = args.request.or(args.named).ok_or_else(|| UsageError("no request is named".into()))?;
    if args.follow {
        context
            .interrupted
            .leaves(format!("detached; the upgrade goes on. Come back with: uplift log -f {id}"));
        let limit = args.timeout.map(minutes);
        return Ok(match follow(context, id, Sink::Stdout, limit).await? {
            Followed::AtRest(request) => {
                context.print.note(&ending(&request));
                Exit::of_state(request.state)
            }
            Followed::TimedOut => timed_out(context, id),
        });
    }
    if context.print.is_json() {
        let message =
            "--json shows a log line by line, for which it needs -f; a log that is complete ends by itself";
        return Err(UsageError(message.into()).into());
    }
    let client = &context.client;
    let mut response =
        client.stream(client.request(Method::GET, &["requests", &id.to_string(), "log"])).await?;
    // Whole lines at a time, so that no character is cut in two.
    let mut rest = Vec::new();
    while let Some(chunk) = client.next(&mut response).await? {
        rest.extend_from_slice(&chunk);
        if let Some(end) = rest.iter().rposition(|&byte| byte == b'\n') {
            let lines: Vec<u8> = rest.drain(..=end).collect();
            context.print.out(&text::block(&String::from_utf8_lossy(&lines), ""))?;
        }
    }
    if !rest.is_empty() {
        context.print.out(&text::block(&String::from_utf8_lossy(&rest), ""))?;
    }
    Ok(Exit::Ok)
}

async fn fetch(context: &Context, args: &Download) -> anyhow::Result<Exit> {
    let folder = Folder { path: &args.out, overwrite: args.force, names: Names::Request };
    let request = one(context, args.request).await?;
    if args.source {
        folder.prepare()?;
        let file = download::source(context, request.id, folder).await?;
        return fetched(context, &[file]);
    }
    if let Some(at) = request.deleted_at {
        bail!("everything of request {} was removed {}", request.id, text::time(at));
    }
    let Some(result) = request.result.as_ref().filter(|_| request.state == StateCode::Delivered) else {
        bail!(
            "request {} is {}, so there is nothing to fetch: see `uplift status {0}`",
            request.id,
            print::state(request.state)
        );
    };
    folder.prepare()?;
    let files = if args.report {
        download::report(context, request.id, folder).await?
    } else {
        vec![download::result(context, request.id, result, folder).await?]
    };
    fetched(context, &files)
}

fn fetched(context: &Context, files: &[PathBuf]) -> anyhow::Result<Exit> {
    if context.print.is_json() {
        context.print.json(&json!({ "files": files }))?;
    } else {
        files.iter().try_for_each(|file| context.print.out(&text::line(&file.to_string_lossy())))?;
    }
    Ok(Exit::Ok)
}

async fn act(context: &Context, id: Uuid, verb: &str, body: Value) -> anyhow::Result<Exit> {
    let path = ["requests", &id.to_string(), verb];
    let request: Request = context.client.post(&path, &body, Patience::Short).await?;
    show(context, &request)?;
    Ok(Exit::Ok)
}

/// One request.
pub(crate) async fn one(context: &Context, id: Uuid) -> anyhow::Result<Request> {
    Ok(context.client.get(&["requests", &id.to_string()], &[], Patience::Short).await?)
}

/// A page of requests.
pub(crate) async fn list(
    context: &Context,
    path: &[&str],
    account: Option<&str>,
    filter: &Filter,
) -> anyhow::Result<RequestList> {
    let before = filter.before.map(|before| before.to_string());
    let conditions = [
        ("account", account),
        ("database", filter.database.as_deref()),
        ("state", filter.state.as_deref()),
        ("before", before.as_deref()),
    ];
    let query: Vec<(&str, &str)> =
        conditions.iter().filter_map(|(name, value)| value.map(|value| (*name, value))).collect();
    Ok(context.client.get(path, &query, Patience::Short).await?)
}

/// Shows one request as it was asked for.
pub(crate) fn show(context: &Context, request: &Request) -> anyhow::Result<()> {
    if context.print.is_json() {
        context.print.json(request)?;
    } else {
        context.print.request(request, &[], context.clock.now())?;
    }
    Ok(())
}

/// Shows a page of requests as it was asked for.
pub(crate) fn show_list(context: &Context, list: &RequestList, account: bool) -> anyhow::Result<()> {
    if context.print.is_json() {
        context.print.json(list)?;
    } else if list.requests.is_empty() {
        context.print.note("no such request");
    } else {
        context.print.requests(&list.requests, account, context.clock.now())?;
        if let Some(next) = list.next {
            context.print.note(&format!("there are older ones: add --before {next}"));
        }
    }
    Ok(())
}

/// What the end of a log means.
fn ending(request: &Request) -> String {
    let id = request.id;
    match request.state {
        StateCode::Delivered => format!("delivered; fetch it with: uplift download {id}"),
        state => format!("{}; details: uplift status {id}", print::state(state)),
    }
}

pub(crate) fn timed_out(context: &Context, id: Uuid) -> Exit {
    context
        .print
        .note(&format!("the time to wait is over; the upgrade goes on. Come back with: uplift log -f {id}"));
    Exit::TimedOut
}

pub(crate) fn minutes(minutes: u32) -> Duration {
    Duration::from_secs(60 * u64::from(minutes))
}
