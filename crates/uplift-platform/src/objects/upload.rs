//! A customer's upload and download: multipart with presigned URLs, so that no byte passes through us.

use std::{fmt, time::Duration};

use aws_sdk_s3::{
    presigning::PresigningConfig,
    types::{CompletedMultipartUpload, CompletedPart},
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Objects, ObjectsError, Result, client, error::classify, patience::patiently, unquote};

/// The store's name for a multipart upload. Record it before using it: whoever knows it can abort the upload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub String);

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A part as its uploader names it when completing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// From 1 to 10,000.
    pub number: i32,
    /// The tag that the store answered with; quotes are accepted and ignored.
    pub etag: String,
}

/// A part that the store has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedPart {
    /// From 1 to 10,000.
    pub number: i32,
    /// Its tag, without quotes.
    pub etag: String,
    /// Its length.
    pub bytes: u64,
}

/// A finished upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The object's tag, without quotes.
    pub etag: String,
    /// The object's length.
    pub bytes: u64,
}

impl Objects {
    /// Starts a multipart upload.
    ///
    /// # Errors
    /// [`ObjectsError::Unavailable`] once the retries are used up; [`ObjectsError::Denied`].
    pub async fn start_upload(&self, key: &str) -> Result<UploadId> {
        let started = patiently(self.inner.patience, || async {
            let request =
                self.inner.client.create_multipart_upload().bucket(&self.inner.bucket).key(self.full(key));
            request.send().await.map_err(|err| classify("start an upload to", key, err))
        })
        .await?;
        upload_id(key, started.upload_id())
    }

    /// A URL to which one part can be sent with a plain HTTP PUT until `ttl` (a week at most) has passed. Sends
    /// nothing to the store.
    ///
    /// # Errors
    /// [`ObjectsError::Invalid`] for a part number that S3 does not have, or too long a `ttl`.
    pub async fn presign_part(&self, key: &str, upload: &UploadId, part: i32, ttl: Duration) -> Result<Url> {
        if !(1..=10_000).contains(&part) {
            return Err(unsignable(key, format!("part {part} is not between 1 and 10,000")));
        }
        let request = self.inner.presigner.upload_part().bucket(&self.inner.bucket).key(self.full(key));
        let request = request.upload_id(&upload.0).part_number(part).presigned(expiry(key, ttl)?);
        let signed = request.await.map_err(|err| classify("sign an upload to", key, err))?;
        parse_signed(key, signed.uri())
    }

    /// The parts that arrived, in order of number, so that a client goes on where it stopped.
    ///
    /// # Errors
    /// [`ObjectsError::NotFound`] where the upload was completed or aborted; [`ObjectsError::Unavailable`].
    pub async fn uploaded_parts(&self, key: &str, upload: &UploadId) -> Result<Vec<UploadedPart>> {
        let mut parts = Vec::new();
        let mut after = None;
        loop {
            let page = patiently(self.inner.patience, || async {
                let request = self.inner.client.list_parts().bucket(&self.inner.bucket).key(self.full(key));
                let request = request.upload_id(&upload.0).set_part_number_marker(after.clone());
                request.send().await.map_err(|err| classify("list the parts of", key, err))
            })
            .await?;
            parts.extend(page.parts().iter().map(|part| UploadedPart {
                number: part.part_number().unwrap_or_default(),
                etag: unquote(part.e_tag().unwrap_or_default()),
                bytes: part.size().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
            }));
            match page.next_part_number_marker() {
                Some(marker) if page.is_truncated() == Some(true) => after = Some(marker.to_owned()),
                _ => break,
            }
        }
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }

    /// Makes the object from its parts. Completing again, after an answer that got lost, succeeds too.
    ///
    /// # Errors
    /// [`ObjectsError::Invalid`] where the parts are not those that were uploaded; [`ObjectsError::NotFound`] where
    /// the upload was aborted; [`ObjectsError::Unavailable`].
    pub async fn complete_upload(&self, key: &str, upload: &UploadId, parts: Vec<Part>) -> Result<Completed> {
        let parts = parts.into_iter().map(|part| {
            CompletedPart::builder()
                .part_number(part.number)
                .e_tag(format!("\"{}\"", unquote(&part.etag)))
                .build()
        });
        self.assemble(key, upload, parts.collect()).await
    }

    pub(super) async fn assemble(
        &self,
        key: &str,
        upload: &UploadId,
        mut parts: Vec<CompletedPart>,
    ) -> Result<Completed> {
        parts.sort_by_key(|part| part.part_number());
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let assembled = patiently(self.inner.patience, || async {
            let request =
                self.inner.client.complete_multipart_upload().bucket(&self.inner.bucket).key(self.full(key));
            let request = request.upload_id(&upload.0).multipart_upload(parts.clone());
            let request = request.customize().config_override(client::patience_to_assemble());
            request.send().await.map_err(|err| classify("complete the upload to", key, err))
        })
        .await;
        match assembled {
            Ok(_) => {}
            // An upload that is gone may be one that was completed, in a try whose answer got lost: the object tells.
            Err(ObjectsError::NotFound { .. }) => {}
            Err(err) => return Err(err),
        }
        let meta = self.head(key).await?.ok_or_else(|| ObjectsError::NotFound { key: key.to_owned() })?;
        Ok(Completed { etag: meta.etag, bytes: meta.bytes })
    }

    /// Throws an unfinished upload and its parts away. Doing so again, or after completion, does nothing.
    ///
    /// # Errors
    /// [`ObjectsError::Unavailable`] once the retries are used up; [`ObjectsError::Denied`].
    pub async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<()> {
        let aborted = patiently(self.inner.patience, || async {
            let request =
                self.inner.client.abort_multipart_upload().bucket(&self.inner.bucket).key(self.full(key));
            request.upload_id(&upload.0).send().await.map_err(|err| classify("abort the upload to", key, err))
        })
        .await;
        match aborted {
            Ok(_) | Err(ObjectsError::NotFound { .. }) => Ok(()),
            Err(err) => Err(err),
        }
    }

    /// A URL from which a browser downloads the object under the name `file_name`, until `ttl` (a week at most) has
    /// passed. Sends nothing to the store.
    ///
    /// # Errors
    /// [`ObjectsError::Invalid`] for too long a `ttl`.
    pub async fn presign_get(&self, key: &str, file_name: &str, ttl: Duration) -> Result<Url> {
        let request = self.inner.presigner.get_object().bucket(&self.inner.bucket).key(self.full(key));
        let request =
            request.response_content_disposition(attachment(file_name)).presigned(expiry(key, ttl)?);
        let signed = request.await.map_err(|err| classify("sign a download of", key, err))?;
        parse_signed(key, signed.uri())
    }
}

pub(super) fn upload_id(key: &str, id: Option<&str>) -> Result<UploadId> {
    id.map(|id| UploadId(id.to_owned())).ok_or_else(|| ObjectsError::Unavailable {
        doing: "start an upload to",
        key: key.to_owned(),
        reason: "the answer names no upload".to_owned(),
    })
}

fn expiry(key: &str, ttl: Duration) -> Result<PresigningConfig> {
    PresigningConfig::expires_in(ttl).map_err(|err| unsignable(key, err.to_string()))
}

fn parse_signed(key: &str, uri: &str) -> Result<Url> {
    uri.parse().map_err(|err: url::ParseError| unsignable(key, err.to_string()))
}

fn unsignable(key: &str, reason: String) -> ObjectsError {
    ObjectsError::Invalid { doing: "sign a URL for", key: key.to_owned(), reason }
}

/// The header of RFC 6266: a name that any browser takes, and the exact one for those that read `filename*`.
fn attachment(file_name: &str) -> String {
    let plain: String = file_name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_. ".contains(c) { c } else { '_' })
        .collect();
    let mut exact = String::new();
    for byte in file_name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            exact.push(char::from(byte));
        } else {
            exact.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_leave_its_quotes() {
        assert_eq!(
            attachment("a\"b\r\nü.sql.gz"),
            "attachment; filename=\"a_b___.sql.gz\"; filename*=UTF-8''a%22b%0D%0A%C3%BC.sql.gz"
        );
    }
}
