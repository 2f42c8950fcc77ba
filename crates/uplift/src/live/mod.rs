//! A database that is here: dumped, sent while it is dumped, followed, and restored beside itself. Whenever that is
//! interrupted, the same command goes on.

pub(crate) mod check;
mod filestore;
mod postgres;
mod state;

use std::{
    env,
    fs::File,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::{io::AsyncReadExt as _, process::Child};
use uplift_core::{
    Purpose,
    api::{Created, NewRequest, Request},
    request::StateCode,
};
use uuid::Uuid;

use crate::{
    cli::{Restore, Restoring, Submit},
    client::ApiError,
    commands::{Summary, create, ended, minutes, one, show, timed_out, upload_again},
    context::Context,
    download::{self, Folder, Names},
    exit::{Exit, UsageError},
    follow::{Followed, follow},
    print::Sink,
    text,
    upload::{Growth, ScriptsFile, parts::Cut, send_growing, send_scripts},
};
use state::Kept;

/// What is done when a disk is full: it says where, and what moves it.
const WRITE: &str = "write the dump into ~/.local/state/uplift (XDG_STATE_HOME, where that is set)";
/// The longest name of a database, in bytes.
const LONGEST_NAME: usize = 63;

/// Upgrades a database that is here.
pub(crate) async fn submit(
    context: &Context,
    purpose: Purpose,
    args: &Submit,
    dbname: &str,
) -> anyhow::Result<Exit> {
    let label = args.database.as_deref().unwrap_or(dbname);
    let again = again(purpose, args, dbname);
    let target = args.target.to_string();
    // A name stands for a database on the server that libpq finds.
    let server =
        ["PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE"].map(|name| env::var(name).unwrap_or_default());
    let server = server.join("\0");
    let mut kept = Kept::open(&[context.client.server(), purpose.as_str(), label, &server, dbname, &target])?;
    let request = match earlier(context, &mut kept).await? {
        Some(request) => {
            context.print.note(&format!("request {} goes on where it was", request.id));
            request
        }
        None => begin(context, purpose, args, dbname, label, &mut kept).await?,
    };
    let id = request.id;
    let request = match request.state {
        StateCode::AwaitingUpload => {
            context
                .interrupted
                .leaves(format!("interrupted while uploading; the same command goes on: {again}"));
            upload_again(context, id, kept.spool(), args.scripts.as_deref()).await?
        }
        _ => request,
    };
    kept.clear_spool();
    if args.no_wait {
        kept.forget()?;
        show(context, &request)?;
        return Ok(Exit::Ok);
    }
    context.interrupted.leaves(format!("detached; the upgrade goes on. Come back with: {again}"));
    let request = match follow(context, id, Sink::Stderr, args.wait.timeout.map(minutes)).await? {
        Followed::AtRest(request) => request,
        Followed::TimedOut => return Ok(timed_out(context, id)),
    };
    if request.state == StateCode::Delivered {
        let how = format!("the upgrade is delivered; the same command fetches it: {again}");
        context.interrupted.leaves(format!("interrupted; {how}"));
        let done =
            bring_home(context, &request, dbname, &args.restore, args.wait.out.as_deref(), args.wait.force);
        done.await.with_context(|| how)?;
    } else {
        ended(context, &Summary { request: &request, files: &[] })?;
    }
    // What an engineer has may still be delivered: then the same command brings it home.
    if request.state.is_final() {
        kept.forget()?;
    }
    Ok(Exit::of_state(request.state))
}

/// Restores what was delivered earlier.
pub(crate) async fn restore(context: &Context, args: &Restore) -> anyhow::Result<Exit> {
    let id = args.request.or(args.named).context("no request is named")?;
    let request = one(context, id).await?;
    if request.state != StateCode::Delivered {
        bail!("request {id} is {}: there is nothing to restore yet", crate::print::state(request.state));
    }
    let dbname = args.dbname.clone().unwrap_or_else(|| request.database.clone());
    bring_home(context, &request, &dbname, &args.restore, None, false).await?;
    Ok(Exit::Ok)
}

/// What the command before left, where that goes on.
async fn earlier(context: &Context, kept: &mut Kept) -> anyhow::Result<Option<Request>> {
    let Some(id) = kept.state.request else { return Ok(None) };
    let request = match one(context, id).await {
        Ok(request) => request,
        Err(error) if error.downcast_ref().and_then(ApiError::status) == Some(404) => return Ok(None),
        Err(error) => return Err(error),
    };
    match request.state {
        StateCode::AwaitingUpload if kept.state.dumped && kept.spool().exists() => Ok(Some(request)),
        StateCode::AwaitingUpload => {
            context.print.note("the dump before was interrupted, so it is made anew");
            context.client.cancel(id).await?;
            Ok(None)
        }
        StateCode::Rejected | StateCode::Cancelled => Ok(None),
        StateCode::Delivered if request.deleted_at.is_some() => Ok(None),
        StateCode::Queued | StateCode::Running | StateCode::Intervention | StateCode::Delivered => {
            Ok(Some(request))
        }
    }
}

/// A new request, and its dump, which is sent as it grows.
async fn begin(
    context: &Context,
    purpose: Purpose,
    args: &Submit,
    dbname: &str,
    label: &str,
    kept: &mut Kept,
) -> anyhow::Result<Request> {
    let scripts = args.scripts.as_deref().map(ScriptsFile::read).transpose()?;
    let size = postgres::ask(dbname, "SELECT pg_database_size(current_database())")?;
    let size: u64 = size.trim().parse().context("read the database's size")?;
    let new = NewRequest {
        database: label.to_owned(),
        purpose,
        target: args.target.to_string(),
        file_name: format!("{dbname}.{}", if args.format == "plain" { "sql" } else { "dump" }),
        // A dump has no indexes, but numbers as text: twice the database is more than it will ever have.
        bytes: 2 * size + (64 << 20),
        growing: true,
        not_before: args.not_before,
        email: args.email.clone(),
        result_format: args.result_format,
        scripts: scripts.as_ref().map(|scripts| scripts.named().clone()),
    };
    let created: Created = create(context, &new).await?;
    let id = created.request.id;
    let spool = kept.new_spool()?;
    kept.keep(|state| (state.request, state.dumped) = (Some(id), false))?;
    context.interrupted.leaves(format!(
        "interrupted while dumping; the dump is made anew by: {}",
        again(purpose, args, dbname)
    ));
    let sent = async {
        if let (Some(scripts), Some(link)) = (&scripts, created.scripts) {
            send_scripts(context, id, scripts, link).await?;
        }
        let bytes = text::bytes(size);
        context
            .print
            .note(&format!("request {id}: dumping `{}`, {bytes}, and sending it", text::line(dbname)));
        dump_and_send(
            context,
            id,
            dbname,
            &args.format,
            Cut::new(new.bytes, created.part_bytes)?,
            spool,
            kept,
        )
        .await
    };
    let sent = sent.await;
    if sent.is_err() && !kept.state.dumped {
        // Nobody can go on with half a dump. That it is left to expire is all that happens where this fails.
        let _ = context.client.cancel(id).await;
        let _ = kept.forget();
        return sent;
    }
    sent.with_context(|| {
        format!(
            "the dump is whole, and its upload stopped; the same command goes on: {}",
            again(purpose, args, dbname)
        )
    })
}

async fn dump_and_send(
    context: &Context,
    id: Uuid,
    dbname: &str,
    format: &str,
    cut: Cut,
    spool: File,
    kept: &mut Kept,
) -> anyhow::Result<Request> {
    let growth = Arc::new(Growth::default());
    let reader = File::open(kept.spool()).context("open the dump")?;
    let mut child =
        postgres::dump(dbname, format).spawn().map_err(|error| postgres::missing("pg_dump", &error))?;
    let dumped = async {
        let how = write_down(&mut child, spool, Arc::clone(&growth)).await;
        growth.end(how.as_ref().map(|_| ()).map_err(|error| format!("{error:#}")));
        how?;
        kept.keep(|state| state.dumped = true)
    };
    let sent = send_growing(context, id, reader, Arc::clone(&growth), cut);
    let (dumped, sent) = tokio::join!(dumped, sent);
    // A dump that failed is why its sending did.
    dumped?;
    sent
}

/// Writes what `pg_dump` says into the spool, to its good end.
async fn write_down(child: &mut Child, mut spool: File, growth: Arc<Growth>) -> anyhow::Result<()> {
    let stdout = child.stdout.take().context("read from pg_dump")?;
    let mut stdout = File::from(stdout.into_owned_fd()?);
    let mut stderr = child.stderr.take().context("read from pg_dump")?;
    let written = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            match stdout.read(&mut buffer).context("read from pg_dump")? {
                0 => return spool.sync_all().context(WRITE),
                read => {
                    spool.write_all(&buffer[..read]).context(WRITE)?;
                    growth.add(read as u64);
                }
            }
        }
    });
    let mut words = Vec::new();
    let (heard, written) = tokio::join!(stderr.read_to_end(&mut words), written);
    heard.context("read from pg_dump")?;
    written.context("end the dump")??;
    let status = child.wait().await.context("wait for pg_dump")?;
    if !status.success() {
        bail!("pg_dump failed: {}", postgres::said(&words, &status.to_string()));
    }
    Ok(())
}

/// Fetches what was delivered, and restores it beside the database that it was made of, unless it is to stay a file.
async fn bring_home(
    context: &Context,
    request: &Request,
    dbname: &str,
    args: &Restoring,
    out: Option<&Path>,
    force: bool,
) -> anyhow::Result<()> {
    let result = request.result.as_ref().context("nothing lies ready any more")?;
    let name = args.restore_name.clone().unwrap_or_else(|| name_beside(dbname, request, context.clock.now()));
    let scratch = tempfile::tempdir().context("make a directory for the result")?;
    let keep = if args.no_restore { Some(out.unwrap_or_else(|| Path::new("."))) } else { out };
    let place = keep.unwrap_or_else(|| scratch.path());
    let folder = Folder { path: place, overwrite: force, names: Names::Request };
    folder.prepare()?;
    let file = download::result(context, request.id, result, folder).await?;
    let mut files = vec![];
    if keep.is_some() {
        files = download::report(context, request.id, folder).await?;
        files.insert(0, file.clone());
    }
    if args.no_restore {
        return ended(context, &Summary { request, files: &files });
    }
    let (source, jobs, data_dir) = (dbname.to_owned(), args.jobs, args.data_dir.clone());
    context.print.note(&format!("restoring as `{}`", text::line(&name)));
    let restored = name.clone();
    let filestore =
        tokio::task::spawn_blocking(move || restore_as(&file, &source, &restored, jobs, data_dir.as_deref()));
    let filestore = filestore.await.context("end the restoring")?;
    let filestore = filestore.with_context(|| {
        format!("nothing was changed; the result is kept: uplift download {} fetches it", request.id)
    })?;
    if context.print.is_json() {
        let store = filestore.as_ref().map(|(path, _)| path);
        context
            .print
            .json(&json!({ "request": request, "files": files, "restored": name, "filestore": store }))?;
        return Ok(());
    }
    context.print.request_with(request, &files, Some(&name), context.clock.now())?;
    if let Some((path, files)) = filestore {
        context
            .print
            .out(&format!("filestore of {files} files at {}", text::line(&path.to_string_lossy())))?;
    }
    Ok(())
}

fn restore_as(
    file: &Path,
    source: &str,
    name: &str,
    jobs: u8,
    data_dir: Option<&Path>,
) -> anyhow::Result<Option<(PathBuf, u64)>> {
    postgres::create(name, source)?;
    let restored = postgres::restore(file, name, jobs).and_then(|()| filestore::copy(data_dir, source, name));
    if restored.is_err() {
        postgres::remove(name);
    }
    restored
}

/// The name of the duplicate, such as `shop_test_18.0_20261126_213000`.
fn name_beside(dbname: &str, request: &Request, now: chrono::DateTime<chrono::Utc>) -> String {
    let time = now.with_timezone(&chrono::Local).format("%Y%m%d_%H%M%S");
    let end = format!("_{}_{}_{time}", request.purpose, request.target);
    let mut begin = dbname.to_owned();
    while begin.len() + end.len() > LONGEST_NAME {
        begin.pop();
    }
    begin + &end
}

/// The command that comes back.
fn again(purpose: Purpose, args: &Submit, dbname: &str) -> String {
    let database = args.database.as_ref().map(|name| format!(" --database {}", text::argument(name)));
    let database = database.unwrap_or_default();
    format!("uplift {purpose} -d {} -t {}{database}", text::argument(dbname), args.target)
}

/// Whether the words about waiting and keeping fit together.
pub(crate) fn check_words(args: &Submit) -> Result<(), UsageError> {
    let stays = args.wait.wait || (args.from.dbname.is_some() && !args.no_wait);
    if !stays && (args.wait.out.is_some() || args.wait.timeout.is_some()) {
        return Err(UsageError("--out and --timeout are for those who wait: add --wait".into()));
    }
    if args.from.dbname.is_none() && (args.restore.restore_name.is_some() || args.restore.no_restore) {
        return Err(UsageError(
            "-r and -x are for a database that is here, with -d; a dump's result is fetched with --wait --out DIR, and \
             restored with `uplift restore`"
                .into(),
        ));
    }
    Ok(())
}
