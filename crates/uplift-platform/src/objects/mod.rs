//! The object store: an S3 server, reached with `aws-sdk-s3` and nothing else.
//!
//! [`Objects`] hands a customer presigned URLs for a multipart upload and for the result, and gives a worker a
//! [`Reader`] that resumes what breaks and a [`Writer`] that aborts what it does not finish. Both hold a few parts
//! in memory, whatever the object's size. The store is truth about bytes only: which object counts is the ledger's
//! business, so nothing here depends on conditional writes, which not every server honours.

mod client;
mod config;
mod error;
mod keys;
mod pages;
mod parts;
mod patience;
mod reader;
mod upload;
mod watch;
mod writer;

pub use config::ObjectsConfig;
pub use error::{ObjectsError, Result};
pub use keys::{Listed, PendingUpload};
pub use reader::{Digest, Expect, Reader};
pub use upload::{Completed, Part, UploadId, UploadedPart};
pub use writer::{Writer, Written};

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::{Client, primitives::ByteStream};
use bytes::{Bytes, BytesMut};

use self::patience::patiently;

/// A bucket of an S3 server. Cheap to clone; all clones share one connection pool.
#[derive(Clone, Debug)]
pub struct Objects {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    /// Signs URLs for the address that customers reach; sends nothing.
    presigner: Client,
    bucket: String,
    prefix: String,
    stall: Duration,
    patience: Duration,
}

/// What the store says about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its length.
    pub bytes: u64,
    /// Its entity tag, without quotes. It changes whenever the object is written again.
    pub etag: String,
}

impl Objects {
    /// Makes the clients. Nothing is sent yet: see [`Objects::ping`].
    ///
    /// # Errors
    /// [`ObjectsError::Misconfigured`] where an address has no host or is neither http nor https.
    pub fn new(config: &ObjectsConfig) -> Result<Self> {
        let public = config.public_endpoint.as_ref().unwrap_or(&config.endpoint);
        Ok(Self {
            inner: Arc::new(Inner {
                client: client::connect(config, &config.endpoint)?,
                presigner: client::presigner(config, public)?,
                bucket: config.bucket.clone(),
                prefix: config.prefix.clone(),
                stall: config.stall(),
                patience: config.patience(),
            }),
        })
    }

    /// Asks whether the bucket is there and lets us in.
    ///
    /// # Errors
    /// Whatever kept the store from saying yes.
    pub async fn ping(&self) -> Result<()> {
        let sent = self.inner.client.head_bucket().bucket(&self.inner.bucket).send().await;
        sent.map(drop).map_err(|err| error::classify("reach the bucket", &self.inner.bucket, err))
    }

    /// Length and tag of an object; `None` where there is none.
    ///
    /// # Errors
    /// [`ObjectsError::Unavailable`] once the retries are used up; [`ObjectsError::Denied`].
    pub async fn head(&self, key: &str) -> Result<Option<Meta>> {
        let found = patiently(self.inner.patience, || async {
            let sent =
                self.inner.client.head_object().bucket(&self.inner.bucket).key(self.full(key)).send().await;
            sent.map_err(|err| error::classify("look at", key, err))
        })
        .await;
        match found {
            Ok(head) => Ok(Some(Meta {
                bytes: head.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                etag: unquote(head.e_tag().unwrap_or_default()),
            })),
            Err(ObjectsError::NotFound { .. }) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// Writes a small object (a report, a log, a pack) in one request, and returns what the store says of it.
    ///
    /// # Errors
    /// [`ObjectsError::Unavailable`] once the retries are used up; [`ObjectsError::Denied`].
    pub async fn put(&self, key: &str, bytes: Bytes, content_type: &str) -> Result<Meta> {
        let written = patiently(self.inner.patience, || async {
            let request = self.inner.client.put_object().bucket(&self.inner.bucket).key(self.full(key));
            let request = request
                .content_type(content_type)
                .checksum_algorithm(writer::CHECKSUM)
                .body(ByteStream::from(bytes.clone()))
                .customize()
                .config_override(client::patience_for(bytes.len()));
            request.send().await.map_err(|err| error::classify("write", key, err))
        })
        .await?;
        Ok(Meta { bytes: bytes.len() as u64, etag: unquote(written.e_tag().unwrap_or_default()) })
    }

    /// Reads a small object whole.
    ///
    /// # Errors
    /// [`ObjectsError::NotFound`]; [`ObjectsError::TooLarge`] above `max_bytes`, before any of it is read; and what
    /// [`Reader::next`] says.
    pub async fn get(&self, key: &str, max_bytes: u64) -> Result<Bytes> {
        let meta = self.head(key).await?.ok_or_else(|| ObjectsError::NotFound { key: key.to_owned() })?;
        if meta.bytes > max_bytes {
            return Err(ObjectsError::TooLarge { key: key.to_owned(), limit: max_bytes });
        }
        let mut reader = self.open(key, Expect { bytes: meta.bytes, etag: Some(meta.etag), sha256: None });
        let mut whole = BytesMut::with_capacity(usize::try_from(meta.bytes).unwrap_or(0));
        while let Some(chunk) = reader.next().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// A reader over an object. Nothing is sent before the first [`Reader::next`].
    #[must_use]
    pub fn open(&self, key: &str, expect: Expect) -> Reader {
        Reader::new(self.clone(), key, expect)
    }

    /// Starts writing an object of any size. `expected_bytes` chooses the part size; see [`Writer`] for how large an
    /// object can become without it. The multipart upload exists when this returns: record [`Writer::upload_id`]
    /// before the first byte, so that another process can abort what this one leaves behind.
    ///
    /// # Errors
    /// [`ObjectsError::Unavailable`] once the retries are used up; [`ObjectsError::Denied`].
    pub async fn writer(&self, key: &str, expected_bytes: Option<u64>) -> Result<Writer> {
        Writer::start(self.clone(), key, expected_bytes).await
    }

    /// The key as the server sees it.
    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.inner.prefix)
    }
}

/// Servers send entity tags in quotes; we keep them without.
fn unquote(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}
