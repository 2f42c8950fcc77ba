//! Writing an object of any size, which either exists whole at the end or leaves nothing behind.

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{ChecksumAlgorithm, CompletedPart},
};
use bytes::{Buf as _, Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tokio::{runtime::Handle, task::JoinSet};
use tracing::Instrument as _;

use crate::boot::{spans, trace::Work};

use super::{
    Objects, ObjectsError, Result, client,
    error::classify,
    parts::PartSizes,
    patience::patiently,
    upload::{UploadId, upload_id},
};

/// The server checks each part against this. Sent along as a header, it costs next to nothing.
pub(super) const CHECKSUM: ChecksumAlgorithm = ChecksumAlgorithm::Crc32C;
/// More parts at once would fill memory, not the network.
const IN_FLIGHT: usize = 2;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The length.
    pub bytes: u64,
    /// The sha256 in lower-case hexadecimal, of what was given to [`Writer::write`].
    pub sha256: String,
    /// The object's entity tag, without quotes.
    pub etag: String,
}

/// Writes an object as a multipart upload. At most three parts are in memory: one filling, two on their way.
///
/// With the expected size known, a part is `max(5 MiB, size / 9000)`, and the object may become a tenth larger than
/// expected. Without it, parts start at 5 MiB and are twice as large after each thousand, so that an object may be as
/// large as S3 takes it, nearly.
///
/// A writer that is neither finished nor aborted aborts its upload in the background when dropped. That is a belt: a
/// process that dies cannot do so, hence [`Writer::upload_id`].
#[derive(Debug)]
pub struct Writer {
    objects: Objects,
    key: String,
    upload: UploadId,
    sizes: PartSizes,
    /// The size of the part that is filling.
    part_bytes: usize,
    filling: BytesMut,
    /// The memory of parts that were sent. Given back and asked for again, it would not be one piece any more.
    spare: Vec<Bytes>,
    next_number: u32,
    sending: JoinSet<Result<Sent>>,
    sending_bytes: usize,
    sent: Vec<CompletedPart>,
    bytes: u64,
    hasher: Sha256,
    over: bool,
    /// From the first byte to the last one that the store has.
    work: Option<Work>,
}

#[derive(Debug)]
struct Sent {
    part: CompletedPart,
    bytes: Bytes,
}

impl Writer {
    pub(super) async fn start(objects: Objects, key: &str, expected_bytes: Option<u64>) -> Result<Self> {
        let started = patiently(objects.inner.patience, || async {
            let inner = &objects.inner;
            let request = inner.client.create_multipart_upload().bucket(&inner.bucket).key(objects.full(key));
            let sent = request.checksum_algorithm(CHECKSUM).send().await;
            sent.map_err(|err| classify("start an upload to", key, err))
        })
        .await?;
        let sizes = PartSizes::plan(expected_bytes);
        let upload = upload_id(key, started.upload_id())?;
        let span = spans::upload(&objects.inner.bucket, &objects.full(key), &upload.0);
        Ok(Self {
            key: key.to_owned(),
            upload,
            objects,
            sizes,
            part_bytes: sizes.size(1, key)?,
            filling: BytesMut::new(),
            spare: Vec::new(),
            next_number: 1,
            sending: JoinSet::new(),
            sending_bytes: 0,
            sent: Vec::new(),
            bytes: 0,
            hasher: Sha256::new(),
            over: false,
            work: Some(Work::begin(span)),
        })
    }

    /// The upload to abort if this process dies.
    #[must_use]
    pub const fn upload_id(&self) -> &UploadId {
        &self.upload
    }

    /// How many bytes were given to [`Writer::write`].
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many bytes are in memory: filling or on their way.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.filling.len() + self.sending_bytes
    }

    /// Takes the next bytes; waits while two parts are on their way. After an error, or when dropped while it waits,
    /// the writer can only be aborted.
    ///
    /// # Errors
    /// [`ObjectsError::Unavailable`] once a part's retries are used up; [`ObjectsError::NotFound`] where someone
    /// aborted the upload; [`ObjectsError::TooLarge`] past the last part there may be.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        self.hasher.update(&bytes);
        self.bytes += bytes.len() as u64;
        while bytes.has_remaining() {
            if self.filling.capacity() == 0 {
                self.filling = self.empty_part();
            }
            let fits = bytes.len().min(self.part_bytes - self.filling.len());
            self.filling.extend_from_slice(&bytes.split_to(fits));
            if self.filling.len() == self.part_bytes {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    /// Sends what is left and makes the object. On an error the upload is aborted, and nothing is left behind.
    ///
    /// # Errors
    /// As [`Writer::write`]; [`ObjectsError::Changed`] where the store has another length than was written.
    pub async fn finish(mut self) -> Result<Written> {
        match self.try_finish().await {
            Ok(written) => {
                self.over = true;
                if let Some(work) = self.work.take() {
                    spans::uploaded(&work.span(), written.bytes);
                    work.end(None);
                }
                Ok(written)
            }
            Err(err) => {
                // The first failure says more than a failure to abort; what is left is found by its upload id.
                if let Err(abort) = self.abort().await {
                    tracing::warn!(err = %abort, "abort an upload that failed");
                }
                Err(err)
            }
        }
    }

    /// Throws everything away.
    ///
    /// # Errors
    /// As [`Objects::abort_upload`].
    pub async fn abort(mut self) -> Result<()> {
        // A part that arrives after the abort could stay behind, so none is left on its way.
        self.sending.shutdown().await;
        self.objects.abort_upload(&self.key, &self.upload).await?;
        self.over = true;
        Ok(())
    }

    async fn try_finish(&mut self) -> Result<Written> {
        if self.bytes == 0 {
            return self.finish_empty().await;
        }
        if !self.filling.is_empty() {
            self.send_part().await?;
        }
        while !self.sending.is_empty() {
            self.join_part().await?;
        }
        let parts = std::mem::take(&mut self.sent);
        let completed = self.objects.assemble(&self.key, &self.upload, parts).await?;
        if completed.bytes != self.bytes {
            return Err(ObjectsError::Changed {
                key: self.key.clone(),
                difference: format!("it has {} bytes, and {} were written", completed.bytes, self.bytes),
            });
        }
        let sha256 = format!("{:x}", self.hasher.clone().finalize());
        Ok(Written { bytes: self.bytes, sha256, etag: completed.etag })
    }

    /// An upload has at least one part, and not every server takes an empty one.
    async fn finish_empty(&mut self) -> Result<Written> {
        self.objects.abort_upload(&self.key, &self.upload).await?;
        let meta = self.objects.put(&self.key, Bytes::new(), "application/octet-stream").await?;
        Ok(Written { bytes: 0, sha256: format!("{:x}", Sha256::digest(b"")), etag: meta.etag })
    }

    /// Sends the part that was filling, once there is room for it on its way.
    async fn send_part(&mut self) -> Result<()> {
        while self.sending.len() >= IN_FLIGHT {
            self.join_part().await?;
        }
        let number = self.next_number;
        let next_bytes = self.sizes.size(number, &self.key)?;
        let bytes = std::mem::take(&mut self.filling).freeze();
        self.sending_bytes += bytes.len();
        let (objects, key, upload) = (self.objects.clone(), self.key.clone(), self.upload.clone());
        let span = self.work.as_ref().map_or_else(tracing::Span::none, Work::span);
        let sending = async move { send(&objects, &key, &upload, number, bytes).await };
        self.sending.spawn(sending.instrument(span));
        self.next_number += 1;
        // Past the last part the size no longer matters: sending that part is what fails.
        self.part_bytes = self.sizes.size(self.next_number, &self.key).unwrap_or(next_bytes);
        Ok(())
    }

    async fn join_part(&mut self) -> Result<()> {
        let Some(joined) = self.sending.join_next().await else { return Ok(()) };
        let sent = joined.map_err(|err| ObjectsError::Unavailable {
            doing: "write a part of",
            key: self.key.clone(),
            reason: err.to_string(),
        })??;
        self.sending_bytes -= sent.bytes.len();
        self.sent.push(sent.part);
        self.spare.push(sent.bytes);
        Ok(())
    }

    /// Memory for one part: that of an earlier one, where nobody holds it any more.
    fn empty_part(&mut self) -> BytesMut {
        while let Some(spare) = self.spare.pop() {
            if let Ok(mut part) = spare.try_into_mut()
                && part.capacity() >= self.part_bytes
            {
                part.clear();
                return part;
            }
        }
        BytesMut::with_capacity(self.part_bytes)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let (objects, key, upload) = (self.objects.clone(), self.key.clone(), self.upload.clone());
        let mut sending = std::mem::take(&mut self.sending);
        runtime.spawn(async move {
            sending.shutdown().await;
            if let Err(err) = objects.abort_upload(&key, &upload).await {
                tracing::warn!(%err, upload.id = %upload, "abort an upload that was dropped");
            }
        });
    }
}

async fn send(objects: &Objects, key: &str, upload: &UploadId, number: u32, bytes: Bytes) -> Result<Sent> {
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    let answer = patiently(objects.inner.patience, || async {
        let inner = &objects.inner;
        let request = inner.client.upload_part().bucket(&inner.bucket).key(objects.full(key));
        let request = request
            .upload_id(&upload.0)
            .part_number(number)
            .checksum_algorithm(CHECKSUM)
            .body(ByteStream::from(bytes.clone()))
            .customize()
            .config_override(client::patience_for(bytes.len()));
        request.send().await.map_err(|err| classify("write a part of", key, err))
    })
    .await?;
    let part = CompletedPart::builder()
        .part_number(number)
        .set_e_tag(answer.e_tag().map(ToOwned::to_owned))
        .set_checksum_crc32_c(answer.checksum_crc32_c().map(ToOwned::to_owned));
    Ok(Sent { part: part.build(), bytes })
}
