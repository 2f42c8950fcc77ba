//! Sending the parts. The file is read once, in order, for the hash; each part is held in memory until the store
//! has it, so that what is sent again is what was hashed.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use sha2::{Digest as _, Sha256};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};
use uplift_core::{
    api::{Request, UploadCompleted, UploadedPart},
    request::StateCode,
};
use uuid::Uuid;

use super::{
    Dump, Growth, ScriptsFile,
    links::Links,
    parts::Cut,
    put::{Attempts, Refusal, put},
};
use crate::{client::Patience, context::Context, print, text};

/// Sends what the store has not got, and completes the upload.
pub(crate) async fn send(
    context: &Context,
    request: Uuid,
    dump: &Dump,
    cut: Cut,
    kept: Vec<UploadedPart>,
) -> anyhow::Result<Request> {
    let id = request.to_string();
    let there: BTreeSet<u32> = kept.iter().map(|part| part.part).collect();
    let wanted = cut.parts().map(|part| part.number).filter(|number| !there.contains(number)).collect();
    let sender = Sender {
        context,
        links: Links::new(&context.client, &id, wanted),
        bar: print::bytes_bar("uploading", dump.bytes()),
    };
    sender.bar.set_position(kept.iter().filter_map(|part| part.bytes).sum());
    sender.bar.reset_eta();

    let file = dump.reader()?;
    let (mut parts, reading) = sender
        .put_all(cut.in_flight(), move |permits, pieces| read(file, cut, &there, permits, pieces))
        .await?;
    // Before the reader's own word: a file that became shorter is better explained here.
    dump.check_unchanged()?;
    let sha256 = reading.await.context("end the reading of the dump")?.context("read the dump")?;
    sender.bar.finish_and_clear();

    parts.extend(kept);
    parts.sort_by_key(|part| part.part);
    complete(context, &id, &UploadCompleted { parts, sha256: Some(sha256) }).await
}

/// Sends a dump while it is being made, and completes the upload when it is whole.
pub(crate) async fn send_growing(
    context: &Context,
    request: Uuid,
    spool: File,
    growth: Arc<Growth>,
    cut: Cut,
) -> anyhow::Result<Request> {
    let id = request.to_string();
    let wanted = cut.parts().map(|part| part.number).collect();
    let sender = Sender {
        context,
        links: Links::new(&context.client, &id, wanted),
        bar: print::growing_bar("dumping and uploading"),
    };
    let (mut parts, reading) = sender
        .put_all(cut.in_flight(), move |permits, pieces| read_growing(spool, cut, &growth, permits, pieces))
        .await?;
    let sha256 = reading.await.context("end the reading of the dump")?.context("read the dump")?;
    sender.bar.finish_and_clear();
    parts.sort_by_key(|part| part.part);
    complete(context, &id, &UploadCompleted { parts, sha256: Some(sha256) }).await
}

async fn complete(context: &Context, id: &str, upload: &UploadCompleted) -> anyhow::Result<Request> {
    let done = context.client.post(&["requests", id, "upload", "complete"], upload, Patience::Slow).await;
    let error = match done {
        Ok(request) => return Ok(request),
        Err(error) => error,
    };
    // An answer that was lost on its way makes the second attempt a conflict, although all is well.
    if error.status() == Some(409) {
        let request: Request = context.client.get(&["requests", id], &[], Patience::Long).await?;
        if !matches!(request.state, StateCode::AwaitingUpload | StateCode::Cancelled) {
            return Ok(request);
        }
    }
    Err(anyhow::Error::new(error).context("complete the upload"))
}

/// A part in memory; its permit bounds how many there are.
struct Piece {
    number: u32,
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

/// Reads the whole file once, hands over the parts that are wanted, and gives the hash of everything.
fn read(
    mut file: File,
    cut: Cut,
    there: &BTreeSet<u32>,
    permits: &Arc<Semaphore>,
    pieces: &mpsc::Sender<Piece>,
) -> io::Result<String> {
    let mut hash = Sha256::new();
    let runtime = Handle::current();
    for part in cut.parts() {
        if there.contains(&part.number) {
            let read = io::copy(&mut file.by_ref().take(part.bytes), &mut hash)?;
            if read < part.bytes {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            continue;
        }
        let permit = runtime.block_on(Arc::clone(permits).acquire_owned()).map_err(io::Error::other)?;
        let length = usize::try_from(part.bytes).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        hash.update(&bytes);
        let piece = Piece { number: part.number, bytes: bytes.into(), _permit: permit };
        // Nobody takes it where the sending has failed, which says why itself.
        pieces.blocking_send(piece).map_err(io::Error::other)?;
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// Hands over parts of a file that grows, each once it is full, and the last one when nothing comes any more.
fn read_growing(
    mut file: File,
    cut: Cut,
    growth: &Growth,
    permits: &Arc<Semaphore>,
    pieces: &mpsc::Sender<Piece>,
) -> io::Result<String> {
    let mut hash = Sha256::new();
    let runtime = Handle::current();
    let mut before = 0;
    for part in cut.parts() {
        let there = growth.wait(before + part.bytes)? - before;
        let length = usize::try_from(there.min(part.bytes)).map_err(io::Error::other)?;
        if length == 0 {
            return Ok(format!("{:x}", hash.finalize()));
        }
        let permit = runtime.block_on(Arc::clone(permits).acquire_owned()).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        hash.update(&bytes);
        before += length as u64;
        let piece = Piece { number: part.number, bytes: bytes.into(), _permit: permit };
        pieces.blocking_send(piece).map_err(io::Error::other)?;
    }
    if growth.wait(before + 1)? > before {
        return Err(io::Error::other("the dump is larger than a dump of this database can be"));
    }
    Ok(format!("{:x}", hash.finalize()))
}

struct Sender<'a> {
    context: &'a Context,
    links: Links<'a>,
    bar: ProgressBar,
}

impl Sender<'_> {
    /// Sends what a reader hands over, so many parts at once. Gives what the store took, and the reader, whose word comes last.
    async fn put_all(
        &self,
        in_flight: usize,
        read: impl FnOnce(&Arc<Semaphore>, &mpsc::Sender<Piece>) -> io::Result<String> + Send + 'static,
    ) -> anyhow::Result<(Vec<UploadedPart>, JoinHandle<io::Result<String>>)> {
        let permits = Arc::new(Semaphore::new(in_flight));
        let (pieces, coming) = mpsc::channel(in_flight);
        let reading = tokio::task::spawn_blocking(move || read(&permits, &pieces));
        let coming = stream::unfold(coming, async |mut coming| Some((coming.recv().await?, coming)));
        let sending = coming.map(|piece| self.put(piece)).buffer_unordered(in_flight);
        Ok((sending.try_collect().await?, reading))
    }

    /// Sends a part until the store has it.
    async fn put(&self, piece: Piece) -> anyhow::Result<UploadedPart> {
        let mut attempts = Attempts::new();
        let mut refused = None;
        let failed = || format!("send part {} of the dump", piece.number);
        loop {
            let link = self.links.link(piece.number, refused.as_ref()).await.with_context(failed)?;
            let error = match put(&self.context.client, &self.bar, &link, &piece.bytes).await {
                Ok(etag) => {
                    self.links.done(piece.number).await;
                    return Ok(UploadedPart { part: piece.number, etag, bytes: None });
                }
                Err(error) => error,
            };
            refused = error.blames_link().then_some(link);
            let tell = |error: &Refusal| {
                self.bar.suspend(|| {
                    self.context.print.note(&format!("part {}: {error}; trying again", piece.number));
                });
            };
            attempts.after(error, tell).await.with_context(failed)?;
        }
    }
}

/// What to say when an upload stops half-way.
pub(crate) fn how_to_resume(request: Uuid, dump: &Dump, scripts: Option<&ScriptsFile>) -> String {
    let argument = |path: &Path| text::argument(&path.to_string_lossy());
    let scripts =
        scripts.map(|scripts| format!(" --scripts {}", argument(scripts.path()))).unwrap_or_default();
    format!("go on with: uplift resume {request} --dump {}{scripts}", argument(dump.path()))
}
