//! An upgrade that is made for nothing but to see that the whole way is free.

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use uplift_core::{
    Purpose,
    api::{NewRequest, Request, RequestList},
    request::StateCode,
};
use uuid::Uuid;

use crate::{
    cli::Canary,
    client::Patience,
    commands::{create, minutes, one, upload_again},
    context::Context,
    download::{self, Folder, Names},
    exit::{Exit, UsageError},
    follow::{Followed, follow},
    print::{self, Sink},
    upload::Dump,
};

/// What its database is called.
const DATABASE: &str = "canary";

/// One, or one after another for as long as the program runs.
pub(super) async fn canary(context: &Context, args: &Canary) -> anyhow::Result<Exit> {
    let Some(every) = args.every else {
        fly(context, args).await?;
        return Ok(Exit::Ok);
    };
    loop {
        let began = Instant::now();
        match fly(context, args).await {
            // Nothing of that becomes better with time.
            Err(error) if error.is::<UsageError>() => return Err(error),
            Err(error) => context.print.note(&format!("the canary did not come back: {error:#}")),
            Ok(()) => {}
        }
        sleep_until(began + minutes(every)).await;
    }
}

async fn fly(context: &Context, args: &Canary) -> anyhow::Result<()> {
    let began = Instant::now();
    let dump = Dump::open(&args.dump)?;
    clear(context).await.context("take back the canaries that failed before")?;
    let new = NewRequest {
        database: DATABASE.to_owned(),
        purpose: Purpose::Test,
        target: args.target.to_string(),
        file_name: dump.file_name(),
        bytes: dump.bytes(),
        growing: false,
        not_before: None,
        email: None,
        result_format: None,
        scripts: None,
    };
    let request = create(context, &new).await?.request;
    let id = request.id;
    let back = if request.canary {
        back(context, id, args).await.with_context(|| format!("request {id}"))
    } else {
        let how = "uplift ops tokens create --account canary --role canary --label sample";
        Err(UsageError(format!("the token is a customer's, whose requests count: make one with `{how}`"))
            .into())
    };
    if let Err(error) = back {
        // It may be delivered, or have ended already. Its log stays, for whoever looks into it.
        let _ = act(context, id, "cancel").await;
        return Err(error);
    }
    // It has succeeded all the same; what it leaves goes when its time has come.
    let _ = act(context, id, "delete").await;
    context.print.note(&format!("the canary came back after {:.1} s", began.elapsed().as_secs_f64()));
    Ok(())
}

/// What a customer does for a test, up to accepting it.
async fn back(context: &Context, id: Uuid, args: &Canary) -> anyhow::Result<()> {
    upload_again(context, id, &args.dump, None).await?;
    let request = match follow(context, id, Sink::Stderr, Some(minutes(args.timeout))).await? {
        Followed::AtRest(request) => request,
        Followed::TimedOut => Box::new(one(context, id).await?),
    };
    let Some(result) = request.result.as_ref().filter(|_| request.state == StateCode::Delivered) else {
        bail!("it is {}, not delivered", print::state(request.state));
    };
    let folder = tempfile::tempdir().context("make a folder for the result")?;
    let folder = Folder { path: folder.path(), overwrite: false, names: Names::Request };
    download::result(context, id, result, folder).await?;
    download::report(context, id, folder).await?;
    act(context, id, "accept").await?;
    Ok(())
}

/// One that waits for a person waits for nothing: the next one shows whether it is mended.
async fn clear(context: &Context) -> anyhow::Result<()> {
    let query = [("database", DATABASE), ("state", StateCode::Intervention.as_str())];
    let failed: RequestList = context.client.get(&["requests"], &query, Patience::Short).await?;
    for request in failed.requests.iter().filter(|request| request.canary) {
        act(context, request.id, "cancel").await?;
    }
    Ok(())
}

async fn act(context: &Context, id: Uuid, verb: &str) -> anyhow::Result<Request> {
    let path = ["requests", &id.to_string(), verb];
    Ok(context.client.post(&path, &json!({}), Patience::Short).await?)
}
