//! Handing in a dump, and staying until it is upgraded.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use reqwest::Method;
use serde::Serialize;
use uplift_core::{
    Purpose,
    api::{Created, NewRequest, Request, ResultView, UploadState, UploadedPart},
    request::StateCode,
};
use url::Url;
use uuid::Uuid;

use crate::{
    cli::{Resume, Submit, Wait},
    client::Patience,
    commands::{minutes, one, show, timed_out},
    context::Context,
    download::{self, Folder, Names},
    exit::{Exit, UsageError},
    follow::{Followed, follow},
    live,
    print::{self, Sink},
    text,
    upload::{Dump, ScriptsFile, database_name, how_to_resume, parts::Cut, send, send_scripts},
};

/// A new request.
pub(super) async fn submit(context: &Context, purpose: Purpose, args: &Submit) -> anyhow::Result<Exit> {
    live::check_words(args)?;
    for (option, value) in [("-c", &args.contract), ("-e", &args.env_vars)] {
        if value.is_some() {
            context.print.note(&format!("{option} has no meaning here, and is left out"));
        }
    }
    let path = match (&args.from.dbname, &args.from.dump) {
        (Some(dbname), _) => return live::submit(context, purpose, args, dbname).await,
        (None, Some(path)) => path,
        (None, None) => {
            return Err(UsageError("name a database with -d, or a dump with --dump".into()).into());
        }
    };
    let dump = Dump::open(path)?;
    let scripts = args.scripts.as_deref().map(ScriptsFile::read).transpose()?;
    if let Some(folder) = folder(&args.wait) {
        folder.prepare()?;
    }
    let database = args.database.clone().or_else(|| database_name(path)).ok_or_else(|| {
        let shown = path.display();
        UsageError(format!("the name of {shown} says nothing about the database: give --database NAME"))
    })?;
    let new = NewRequest {
        database,
        purpose,
        target: args.target.to_string(),
        file_name: dump.file_name(),
        bytes: dump.bytes(),
        growing: false,
        not_before: args.not_before,
        email: args.email.clone(),
        result_format: args.result_format,
        scripts: scripts.as_ref().map(|scripts| scripts.named().clone()),
    };
    let created = create(context, &new).await?;
    let cut = Cut::new(dump.bytes(), created.part_bytes)?;
    let upload = Upload { id: created.request.id, dump, scripts, scripts_link: created.scripts };
    upload.send(context, cut, Vec::new(), &args.wait).await
}

/// Makes a request.
pub(crate) async fn create(context: &Context, new: &NewRequest) -> anyhow::Result<Created> {
    // One key for one call: if the answer to the first attempt is lost, the second finds what that one made.
    let key = Uuid::new_v4().to_string();
    let make =
        || context.client.request(Method::POST, &["requests"]).header("Idempotency-Key", &key).json(new);
    let response = context.client.send(make, Patience::Short).await?;
    Ok(context.client.read(response).await?)
}

/// Sends the rest of a dump whose upload was interrupted, and gives its request.
pub(crate) async fn upload_again(
    context: &Context,
    id: Uuid,
    path: &Path,
    scripts: Option<&Path>,
) -> anyhow::Result<Request> {
    let dump = Dump::open(path)?;
    let scripts = scripts.map(ScriptsFile::read).transpose()?;
    let request = one(context, id).await?;
    let path = ["requests", &id.to_string(), "upload"];
    let state: UploadState = context.client.get(&path, &[], Patience::Short).await?;
    check_scripts(&request, scripts.as_ref(), state.scripts.is_some())?;
    let cut = Cut::new(dump.bytes(), state.part_bytes)?;
    let upload = Upload { id, dump, scripts, scripts_link: state.scripts };
    upload.send_both(context, cut, cut.kept(state.parts)).await
}

/// An upload that was interrupted.
pub(super) async fn resume(context: &Context, args: &Resume) -> anyhow::Result<Exit> {
    let dump = Dump::open(&args.dump)?;
    let scripts = args.scripts.as_deref().map(ScriptsFile::read).transpose()?;
    if let Some(folder) = folder(&args.wait) {
        folder.prepare()?;
    }
    let request = one(context, args.request).await?;
    if request.state != StateCode::AwaitingUpload {
        let state = print::state(request.state);
        bail!("request {} is {state}, so its upload is over: see `uplift status {0}`", request.id);
    }
    let path = ["requests", &args.request.to_string(), "upload"];
    let state: UploadState = context.client.get(&path, &[], Patience::Short).await?;
    check_scripts(&request, scripts.as_ref(), state.scripts.is_some())?;
    let cut = Cut::new(dump.bytes(), state.part_bytes)?;
    let upload = Upload { id: request.id, dump, scripts, scripts_link: state.scripts };
    upload.send(context, cut, cut.kept(state.parts), &args.wait).await
}

/// Whether the scripts that are given, or not, are those that the request was handed in with.
fn check_scripts(request: &Request, given: Option<&ScriptsFile>, wanted: bool) -> Result<(), UsageError> {
    let id = request.id;
    match (&request.scripts, given) {
        (None, Some(_)) => Err(UsageError(format!(
            "request {id} was handed in without scripts: leave out --scripts, or cancel it and hand in both anew"
        ))),
        (Some(named), Some(given)) if named != given.named() => Err(UsageError(format!(
            "{} ({}) is not what request {id} was handed in with ({named}): give that file",
            given.path().display(),
            given.named()
        ))),
        (Some(named), None) if wanted => Err(UsageError(format!(
            "the scripts of request {id} ({named}) are not there yet: add --scripts FILE"
        ))),
        _ => Ok(()),
    }
}

/// What goes to the store for a request.
struct Upload {
    id: Uuid,
    dump: Dump,
    scripts: Option<ScriptsFile>,
    /// Where the scripts go; `None` where they are there.
    scripts_link: Option<Url>,
}

impl Upload {
    async fn send(
        self,
        context: &Context,
        cut: Cut,
        kept: Vec<UploadedPart>,
        wait: &Wait,
    ) -> anyhow::Result<Exit> {
        let id = self.id;
        let how = how_to_resume(id, &self.dump, self.scripts.as_ref());
        context.interrupted.leaves(format!("interrupted while uploading; {how}"));
        let sent = self.send_both(context, cut, kept).await;
        let request = sent.with_context(|| format!("the upload for request {id} stopped; {how}"))?;
        if !wait.wait {
            show(context, &request)?;
            return Ok(Exit::Ok);
        }
        context.print.note("uploaded; following the log");
        stay(context, id, wait).await
    }

    /// The scripts first, which are small.
    async fn send_both(
        self,
        context: &Context,
        cut: Cut,
        kept: Vec<UploadedPart>,
    ) -> anyhow::Result<Request> {
        let Self { id, dump, scripts, scripts_link } = self;
        if let (Some(scripts), Some(link)) = (&scripts, scripts_link) {
            let bytes = text::bytes(scripts.named().bytes);
            let file = text::line(&scripts.file_name());
            context.print.note(&format!("request {id}: uploading the scripts {file}, {bytes}"));
            send_scripts(context, id, scripts, link).await?;
        }
        let there: u64 = kept.iter().filter_map(|part| part.bytes).sum();
        let rest = text::bytes(dump.bytes() - there);
        let kept_words =
            if there > 0 { format!("; {} are there already", text::bytes(there)) } else { String::new() };
        let file = text::line(&dump.file_name());
        context.print.note(&format!("request {id}: uploading {rest} of {file}{kept_words}"));
        send(context, id, &dump, cut, kept).await
    }
}

async fn stay(context: &Context, id: Uuid, wait: &Wait) -> anyhow::Result<Exit> {
    context.interrupted.leaves(format!("detached; the upgrade goes on. Come back with: uplift log -f {id}"));
    let request = match follow(context, id, Sink::Stderr, wait.timeout.map(minutes)).await? {
        Followed::AtRest(request) => request,
        Followed::TimedOut => {
            if context.print.is_json() {
                show(context, &one(context, id).await?)?;
            }
            return Ok(timed_out(context, id));
        }
    };
    let mut files = Vec::new();
    if let (Some(folder), Some(result)) = (folder(wait), &request.result) {
        let how = format!("fetch it with: uplift download {id}");
        context.interrupted.leaves(format!("interrupted; the upgrade is delivered: {how}"));
        let folder = Folder { names: Names::Folder { target: &request.target }, ..folder };
        let fetched = fetch(context, id, result, folder).await;
        files = fetched.with_context(|| format!("the upgrade is delivered, but not fetched; {how}"))?;
    }
    ended(context, &Summary { request: &request, files: &files })?;
    Ok(Exit::of_state(request.state))
}

async fn fetch(
    context: &Context,
    id: Uuid,
    result: &ResultView,
    folder: Folder<'_>,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = vec![download::result(context, id, result, folder).await?];
    files.extend(download::report(context, id, folder).await?);
    files.push(download::log(context, id, folder).await?);
    Ok(files)
}

/// The request at its end and the files that were fetched.
#[derive(Serialize)]
pub(crate) struct Summary<'a> {
    #[serde(flatten)]
    pub(crate) request: &'a Request,
    pub(crate) files: &'a [PathBuf],
}

/// Shows where staying has led.
pub(crate) fn ended(context: &Context, stay: &Summary<'_>) -> anyhow::Result<()> {
    if context.print.is_json() {
        context.print.json(stay)?;
        return Ok(());
    }
    context.print.request(stay.request, stay.files, context.clock.now())?;
    Ok(())
}

fn folder(wait: &Wait) -> Option<Folder<'_>> {
    wait.out.as_deref().map(|path| Folder { path, overwrite: wait.force, names: Names::Request })
}
