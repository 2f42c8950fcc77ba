//! Reading an object of any size, from start to end, over a network that breaks.

use aws_sdk_s3::{operation::get_object::GetObjectOutput, primitives::ByteStream};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Objects, ObjectsError, Result, error::classify, patience::Patience, unquote};

/// How much one request asks for. A window is short enough that a consumer which rests for minutes (Postgres building
/// an index) rarely holds a request open, and long enough that requests cost nothing.
const WINDOW: u64 = 64 * 1024 * 1024;

/// What is known of an object before it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// Its length. Always known: the store gave it when the upload was completed.
    pub bytes: u64,
    /// Its entity tag, without quotes. Where it is unknown, the first answer's tag holds for the rest.
    pub etag: Option<String>,
    /// Its sha256 in lower-case hexadecimal, once a first full read has computed it.
    pub sha256: Option<String>,
}

/// What was read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The length.
    pub bytes: u64,
    /// The sha256 in lower-case hexadecimal.
    pub sha256: String,
}

/// Reads an object once. Holds one network buffer in memory.
///
/// A broken, short or silent answer is resumed by range from the next byte; tries without progress are bounded. The
/// object is fenced by its entity tag, so bytes of two versions are never mixed.
#[derive(Debug)]
pub struct Reader {
    objects: Objects,
    key: String,
    expect: Expect,
    body: Option<Body>,
    offset: u64,
    hasher: Sha256,
    digest: Option<Digest>,
    patience: Patience,
}

/// The answer being read, and the offset at which it has to end.
#[derive(Debug)]
struct Body {
    stream: ByteStream,
    end: u64,
}

impl Reader {
    pub(super) fn new(objects: Objects, key: &str, expect: Expect) -> Self {
        Self {
            patience: Patience::new(objects.inner.patience),
            objects,
            key: key.to_owned(),
            expect,
            body: None,
            offset: 0,
            hasher: Sha256::new(),
            digest: None,
        }
    }

    /// The next bytes; `None` at the end, after length and, where known, sha256 were found right. May be dropped while
    /// it waits and called again.
    ///
    /// # Errors
    /// [`ObjectsError::Changed`] where tag, length or sha256 differ from what was expected,
    /// [`ObjectsError::NotFound`], [`ObjectsError::Unavailable`] once the retries are used up. What was handed out
    /// before an error must not be used.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.digest.is_some() {
                return Ok(None);
            }
            if self.offset == self.expect.bytes {
                self.finish().await?;
                continue;
            }
            match self.step().await {
                Ok(chunk) => {
                    self.patience.progress();
                    self.offset += chunk.len() as u64;
                    self.hasher.update(&chunk);
                    return Ok(Some(chunk));
                }
                Err(err) => {
                    self.body = None;
                    self.patience.after(err).await?;
                }
            }
        }
    }

    /// How many bytes were handed out.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Length and sha256 of the whole object; `None` before its end was reached.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// One chunk of the running answer, or of a new one. Never empty.
    async fn step(&mut self) -> Result<Bytes> {
        loop {
            if self.body.as_ref().is_none_or(|body| body.end == self.offset) {
                self.body = Some(self.request().await?);
            }
            let Some(body) = self.body.as_mut() else { continue };
            let unread = body.end - self.offset;
            let waited = tokio::time::timeout(self.objects.inner.stall, body.stream.next()).await;
            let chunk = match waited {
                Err(_) => return Err(self.broken(format!("no byte for {:?}", self.objects.inner.stall))),
                Ok(None) => return Err(self.broken(format!("the answer ended {unread} bytes early"))),
                Ok(Some(Err(err))) => return Err(self.broken(err.to_string())),
                Ok(Some(Ok(chunk))) => chunk,
            };
            if chunk.len() as u64 > unread {
                return Err(self.broken("the answer is longer than what was asked for".to_owned()));
            }
            if !chunk.is_empty() {
                return Ok(chunk);
            }
        }
    }

    async fn request(&mut self) -> Result<Body> {
        let end = self.expect.bytes.min(self.offset + WINDOW);
        let inner = &self.objects.inner;
        let answer = inner
            .client
            .get_object()
            .bucket(&inner.bucket)
            .key(self.objects.full(&self.key))
            .range(format!("bytes={}-{}", self.offset, end - 1))
            .set_if_match(self.expect.etag.as_ref().map(|etag| format!("\"{etag}\"")))
            .send()
            .await
            .map_err(|err| classify("read", &self.key, err))?;
        self.check(&answer, end)?;
        Ok(Body { stream: answer.body, end })
    }

    /// Checks that the answer is the range that was asked for, of the object that was expected.
    fn check(&mut self, answer: &GetObjectOutput, end: u64) -> Result<()> {
        let etag = unquote(answer.e_tag().unwrap_or_default());
        // Not every server honours If-Match, so the tag is compared here too.
        match &self.expect.etag {
            Some(expected) if *expected != etag => {
                return Err(self.changed(format!("its tag is {etag}, not {expected}")));
            }
            Some(_) => {}
            None => self.expect.etag = Some(etag),
        }
        let Some((range, total)) = answer.content_range().and_then(|range| range.rsplit_once('/')) else {
            return Err(self.broken("the answer does not say which range it is".to_owned()));
        };
        if total != self.expect.bytes.to_string() {
            return Err(self.changed(format!("it has {total} bytes, not {}", self.expect.bytes)));
        }
        if range != format!("bytes {}-{}", self.offset, end - 1) {
            return Err(self.broken(format!("the answer is another range, {range}")));
        }
        Ok(())
    }

    /// Checks what only the end can tell.
    async fn finish(&mut self) -> Result<()> {
        if self.expect.bytes == 0 {
            // No range of an empty object can be asked for, so its emptiness is looked up.
            let meta = self.objects.head(&self.key).await?;
            let meta = meta.ok_or_else(|| ObjectsError::NotFound { key: self.key.clone() })?;
            if meta.bytes != 0 || self.expect.etag.as_ref().is_some_and(|etag| *etag != meta.etag) {
                return Err(self.changed(format!("it has {} bytes and the tag {}", meta.bytes, meta.etag)));
            }
        }
        self.body = None;
        let sha256 = format!("{:x}", self.hasher.clone().finalize());
        match &self.expect.sha256 {
            Some(expected) if *expected != sha256 => {
                Err(self.changed(format!("its sha256 is {sha256}, not {expected}")))
            }
            _ => {
                self.digest = Some(Digest { bytes: self.offset, sha256 });
                Ok(())
            }
        }
    }

    fn changed(&self, difference: String) -> ObjectsError {
        ObjectsError::Changed { key: self.key.clone(), difference }
    }

    fn broken(&self, reason: String) -> ObjectsError {
        ObjectsError::Unavailable { doing: "read", key: self.key.clone(), reason }
    }
}
