//! Putting bytes to a link of the store: one attempt, and how often another one is made.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use indicatif::ProgressBar;
use reqwest::{Body, header};
use url::Url;

use crate::{
    backoff::Backoff,
    client::{Client, header_text, innermost},
};

/// Something is given up after so many attempts: about five minutes of a broken line.
const ATTEMPTS: u32 = 14;
/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_secs(30);
/// No byte has left for so long: the connection is dead, whatever the kernel thinks.
const STALLED: Duration = Duration::from_secs(60);
/// How much is handed to the connection at a time, and so how smoothly progress moves.
const CHUNK: usize = 64 << 10;

/// Why the store did not take something.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the store answered {status}{said}")]
    Answer { status: u16, said: String },
    #[error("{0}")]
    Broken(String),
}

impl Refusal {
    /// Whether a new link may help: an expired one is 403, and for some stores 400.
    pub(super) const fn blames_link(&self) -> bool {
        matches!(self, Self::Answer { status: 400 | 403, .. })
    }

    /// Whether the same would happen again: the upload is gone, or the part is not wanted.
    const fn is_final(&self) -> bool {
        matches!(self, Self::Answer { status: 404..=407 | 409..=428, .. })
    }
}

/// The attempts at one thing that are left.
pub(super) struct Attempts {
    left: u32,
    backoff: Backoff,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self { left: ATTEMPTS, backoff: Backoff::new(PAUSE) }
    }

    /// Tells of a refusal and waits for the next attempt; the refusal itself where there is none.
    pub(super) async fn after(
        &mut self,
        refusal: Refusal,
        tell: impl FnOnce(&Refusal),
    ) -> Result<(), Refusal> {
        self.left -= 1;
        if self.left == 0 || refusal.is_final() {
            return Err(refusal);
        }
        tell(&refusal);
        self.backoff.pause().await;
        Ok(())
    }
}

/// One attempt; the tag that the store gives what it took.
pub(super) async fn put(
    client: &Client,
    bar: &ProgressBar,
    link: &Url,
    bytes: &Bytes,
) -> Result<String, Refusal> {
    let sent = Sent { bar, bytes: Arc::default(), kept: false };
    let body = chunks(bytes.clone(), bar.clone(), Arc::clone(&sent.bytes));
    let put = client.store().put(link.clone());
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
    let etag = etag.ok_or_else(|| Refusal::Broken("the store gave what it took no ETag".into()))?;
    sent.keep();
    Ok(etag)
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
