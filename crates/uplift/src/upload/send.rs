//! Sending the parts. The file is read once, in order, for the hash; each part is held in memory until the store
//! has it, so that what is sent again is what was hashed.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use reqwest::{Body, header};
use sha2::{Digest as _, Sha256};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use uplift_core::{
    api::{Request, UploadCompleted, UploadedPart},
    request::StateCode,
};
use url::Url;
use uuid::Uuid;

use super::{Dump, links::Links, parts::Cut};
use crate::{
    backoff::Backoff,
    client::{Patience, header_text, innermost},
    context::Context,
    print,
};

/// A part is given up after so many attempts: about five minutes of a broken line.
const ATTEMPTS: u32 = 14;
/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_secs(30);
/// No byte has left for so long: the connection is dead, whatever the kernel thinks.
const STALLED: Duration = Duration::from_secs(60);
/// How much is handed to the connection at a time, and so how smoothly progress moves.
const CHUNK: usize = 64 << 10;

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

    let permits = Arc::new(Semaphore::new(cut.in_flight()));
    let (pieces, coming) = mpsc::channel(cut.in_flight());
    let file = dump.reader()?;
    let reading = tokio::task::spawn_blocking(move || read(file, cut, &there, &permits, &pieces));
    let coming = stream::unfold(coming, async |mut coming| Some((coming.recv().await?, coming)));
    let sending = coming.map(|piece| sender.put(piece)).buffer_unordered(cut.in_flight());
    let mut parts: Vec<UploadedPart> = sending.try_collect().await?;
    // Before the reader's own word: a file that became shorter is better explained here.
    dump.check_unchanged()?;
    let sha256 = reading.await.context("end the reading of the dump")?.context("read the dump")?;
    sender.bar.finish_and_clear();

    parts.extend(kept);
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
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Why the store did not take a part.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the store answered {status}{said}")]
    Answer { status: u16, said: String },
    #[error("{0}")]
    Broken(String),
}

impl Refusal {
    /// Whether a new link may help: an expired one is 403, and for some stores 400.
    const fn blames_link(&self) -> bool {
        matches!(self, Self::Answer { status: 400 | 403, .. })
    }

    /// Whether the same would happen again: the upload is gone, or the part is not wanted.
    const fn is_final(&self) -> bool {
        matches!(self, Self::Answer { status: 404..=407 | 409..=428, .. })
    }
}

struct Sender<'a> {
    context: &'a Context,
    links: Links<'a>,
    bar: ProgressBar,
}

impl Sender<'_> {
    /// Sends a part until the store has it.
    async fn put(&self, piece: Piece) -> anyhow::Result<UploadedPart> {
        let mut backoff = Backoff::new(PAUSE);
        let mut refused = None;
        let mut left = ATTEMPTS;
        let failed = || format!("send part {} of the dump", piece.number);
        loop {
            let link = self.links.link(piece.number, refused.as_ref()).await.with_context(failed)?;
            let error = match self.once(&link, &piece.bytes).await {
                Ok(etag) => {
                    self.links.done(piece.number).await;
                    return Ok(UploadedPart { part: piece.number, etag, bytes: None });
                }
                Err(error) => error,
            };
            left -= 1;
            if left == 0 || error.is_final() {
                return Err(anyhow!(error).context(failed()));
            }
            self.bar.suspend(|| {
                self.context.print.note(&format!("part {}: {error}; trying again", piece.number));
            });
            refused = error.blames_link().then_some(link);
            backoff.pause().await;
        }
    }

    /// One attempt; the tag that the store gives the part.
    async fn once(&self, link: &Url, bytes: &Bytes) -> Result<String, Refusal> {
        let sent = Sent { bar: &self.bar, bytes: Arc::default(), kept: false };
        let body = chunks(bytes.clone(), self.bar.clone(), Arc::clone(&sent.bytes));
        let put = self.context.client.store().put(link.clone());
        let put = put.header(header::CONTENT_LENGTH, bytes.len()).body(body).send();
        let response = tokio::select! {
            response = put => response.map_err(|error| Refusal::Broken(innermost(&error)))?,
            () = stalled(&sent.bytes) => return Err(Refusal::Broken("nothing moves any more".into())),
        };
        let status = response.status();
        if !status.is_success() {
            let body = response.text().await.unwrap_or_default();
            let said = s3_message(&body).map(|said| format!(" ({said})")).unwrap_or_default();
            return Err(Refusal::Answer { status: status.as_u16(), said });
        }
        let etag = header_text(&response, header::ETAG);
        let etag = etag.ok_or_else(|| Refusal::Broken("the store gave the part no ETag".into()))?;
        sent.keep();
        Ok(etag)
    }
}

/// What an attempt has added to the bar: taken back when the attempt fails.
struct Sent<'a> {
    bar: &'a ProgressBar,
    bytes: Arc<AtomicU64>,
    kept: bool,
}

impl Sent<'_> {
    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.bar.dec(self.bytes.load(Ordering::Relaxed));
        }
    }
}

/// The bytes as a body that says how far it is.
fn chunks(bytes: Bytes, bar: ProgressBar, sent: Arc<AtomicU64>) -> Body {
    Body::wrap_stream(stream::unfold(bytes, move |mut rest| {
        let next = (!rest.is_empty()).then(|| {
            let chunk = rest.split_to(CHUNK.min(rest.len()));
            bar.inc(chunk.len() as u64);
            sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            (Ok::<_, io::Error>(chunk), rest)
        });
        std::future::ready(next)
    }))
}

/// Ends when no byte has left for a while.
async fn stalled(sent: &AtomicU64) {
    let mut before = None;
    loop {
        let now = sent.load(Ordering::Relaxed);
        if before == Some(now) {
            return;
        }
        before = Some(now);
        tokio::time::sleep(STALLED).await;
    }
}

/// The words of S3's error document.
fn s3_message(body: &str) -> Option<&str> {
    let (_, rest) = body.split_once("<Message>")?;
    Some(rest.split_once("</Message>")?.0)
}

/// What to say when an upload stops half-way.
pub(crate) fn how_to_resume(request: Uuid, dump: &Dump) -> String {
    let file = crate::text::argument(&dump.path().to_string_lossy());
    format!("go on with: uplift resume {request} --dump {file}")
}
