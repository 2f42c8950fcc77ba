//! Finding and removing objects and unfinished uploads under a prefix.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use chrono::{DateTime, Utc};

use super::{Objects, ObjectsError, Result, UploadId, error::classify, patience::patiently};

/// An object that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its length.
    pub bytes: u64,
}

/// A multipart upload that was started and neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingUpload {
    /// The key that it would make.
    pub key: String,
    /// Its id.
    pub upload: UploadId,
    /// When it was begun, by the store's clock; `None` where the store does not tell.
    pub begun_at: Option<DateTime<Utc>>,
}

impl Objects {
    /// All objects whose key starts with `prefix`, in order of key.
    ///
    /// # Errors
    /// [`ObjectsError::Unavailable`] once the retries are used up; [`ObjectsError::Denied`].
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = patiently(self.inner.patience, || async {
                let request = self.inner.client.list_objects_v2().bucket(&self.inner.bucket);
                let request = request.prefix(self.full(prefix)).set_continuation_token(after.clone());
                request.send().await.map_err(|err| classify("list", prefix, err))
            })
            .await?;
            found.extend(page.contents().iter().filter_map(|object| {
                let bytes = object.size().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
                Some(Listed { key: self.short(object.key()?), bytes })
            }));
            match page.next_continuation_token() {
                Some(token) if page.is_truncated() == Some(true) => after = Some(token.to_owned()),
                _ => return Ok(found),
            }
        }
    }

    /// Removes all objects whose key starts with `prefix`; returns how many there were. Unfinished uploads stay: see
    /// [`Objects::list_uploads`].
    ///
    /// # Errors
    /// [`ObjectsError::Misconfigured`] for an empty prefix, which would be the whole installation; otherwise
    /// [`ObjectsError::Unavailable`] and [`ObjectsError::Denied`].
    pub async fn delete_prefix(&self, prefix: &str) -> Result<usize> {
        if prefix.is_empty() {
            let what = "refusing to delete every object: name a prefix".to_owned();
            return Err(ObjectsError::Misconfigured { what });
        }
        let found = self.list(prefix).await?;
        // S3 removes at most 1,000 objects in one request.
        for some in found.chunks(1_000) {
            self.delete_batch(prefix, some).await?;
        }
        Ok(found.len())
    }

    async fn delete_batch(&self, prefix: &str, some: &[Listed]) -> Result<()> {
        let invalid =
            |reason: String| ObjectsError::Invalid { doing: "delete", key: prefix.to_owned(), reason };
        let keys = some.iter().map(|object| ObjectIdentifier::builder().key(self.full(&object.key)).build());
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|err| invalid(err.to_string()))?;
        let batch = Delete::builder().set_objects(Some(keys)).quiet(true).build();
        let batch = batch.map_err(|err| invalid(err.to_string()))?;
        let answer = patiently(self.inner.patience, || async {
            let request = self.inner.client.delete_objects().bucket(&self.inner.bucket).delete(batch.clone());
            request.send().await.map_err(|err| classify("delete", prefix, err))
        })
        .await?;
        match answer.errors().first() {
            None => Ok(()),
            Some(err) => {
                Err(invalid(format!("{} {}", err.key().unwrap_or_default(), err.code().unwrap_or_default())))
            }
        }
    }

    /// All unfinished multipart uploads whose key starts with `prefix`.
    ///
    /// # Errors
    /// [`ObjectsError::Unavailable`] once the retries are used up; [`ObjectsError::Invalid`] where the server cannot
    /// list them.
    pub async fn list_uploads(&self, prefix: &str) -> Result<Vec<PendingUpload>> {
        let mut found = Vec::new();
        let mut after: (Option<String>, Option<String>) = (None, None);
        loop {
            let page = patiently(self.inner.patience, || async {
                let request = self.inner.client.list_multipart_uploads().bucket(&self.inner.bucket);
                let request = request.prefix(self.full(prefix));
                let request = request.set_key_marker(after.0.clone()).set_upload_id_marker(after.1.clone());
                request.send().await.map_err(|err| classify("list the uploads under", prefix, err))
            })
            .await?;
            found.extend(page.uploads().iter().filter_map(|upload| {
                let id = UploadId(upload.upload_id()?.to_owned());
                let begun_at = upload.initiated().and_then(|at| DateTime::from_timestamp(at.secs(), 0));
                Some(PendingUpload { key: self.short(upload.key()?), upload: id, begun_at })
            }));
            if page.is_truncated() != Some(true) || page.next_key_marker().is_none() {
                return Ok(found);
            }
            after = (
                page.next_key_marker().map(ToOwned::to_owned),
                page.next_upload_id_marker().map(ToOwned::to_owned),
            );
        }
    }

    /// The key as callers know it.
    fn short(&self, full: &str) -> String {
        full.strip_prefix(&self.inner.prefix).unwrap_or(full).to_owned()
    }
}
