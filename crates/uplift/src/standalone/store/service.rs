//! The operations that the platform asks of an S3 server, and no others.

use std::{io, path::PathBuf};

use futures_util::TryStreamExt as _;
use s3s::{
    S3, S3Request, S3Response, S3Result,
    checksum::ChecksumHasher,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
        DeleteObjectsInput, DeleteObjectsOutput, ETag, ETagCondition, GetObjectInput, GetObjectOutput,
        HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListMultipartUploadsInput,
        ListMultipartUploadsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput,
        MultipartUpload, Object, Part, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
        UploadPartInput, UploadPartOutput,
    },
    s3_error,
};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::{
    BUCKET,
    files::{self, Files, Fresh, HEAD, Head, Stored, Upload},
};

/// What is read from a file at once; bytes.
const BLOCK: usize = 256 * 1024;

/// What S3 lists at most in one answer.
const PAGE: usize = 1000;

/// The server's side of the protocol.
pub(super) struct Service {
    files: Files,
}

impl Service {
    pub(super) const fn new(files: Files) -> Self {
        Self { files }
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        of_ours(bucket)?;
        self.files.object(key).ok_or_else(|| s3_error!(InvalidArgument, "the key is not a plain path"))
    }

    async fn open(&self, bucket: &str, key: &str) -> S3Result<Stored> {
        let path = self.object(bucket, key)?;
        let found = blocking(move || files::open(&path)).await?;
        found.ok_or_else(|| s3_error!(NoSuchKey))
    }

    /// An upload that is under way, to this very key.
    fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<Upload> {
        of_ours(bucket)?;
        let upload = self.files.upload(id).filter(|upload| upload.key == key);
        upload.ok_or_else(|| s3_error!(NoSuchUpload))
    }

    /// Writes a body to a file that is not in its place yet.
    async fn receive(&self, body: Option<StreamingBlob>, crc32c: Option<String>) -> S3Result<Fresh> {
        let mut body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let mut checksum = ChecksumHasher { crc32c: Some(Default::default()), ..ChecksumHasher::default() };
        let mut fresh = self.files.fresh().await.map_err(failed)?;
        while let Some(bytes) = body.try_next().await.map_err(|_| s3_error!(IncompleteBody))? {
            checksum.update(&bytes);
            fresh.write(&bytes).await.map_err(failed)?;
        }
        if crc32c.is_some() && checksum.finalize().checksum_crc32c != crc32c {
            return Err(s3_error!(BadDigest, "the bytes that came are not those that were sent"));
        }
        Ok(fresh)
    }
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        of_ours(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let PutObjectInput { bucket, key, body, content_type, checksum_crc32c, .. } = request.input;
        let object = self.object(&bucket, &key)?;
        let fresh = self.receive(body, checksum_crc32c).await?;
        let head = fresh.place(content_type, &object).await.map_err(failed)?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(ETag::Strong(head.etag)), ..Default::default() }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let Stored { head, bytes, modified, .. } =
            self.open(&request.input.bucket, &request.input.key).await?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(length(bytes)),
            content_type: head.content_type,
            e_tag: Some(ETag::Strong(head.etag)),
            last_modified: Some(Timestamp::from(modified)),
            ..Default::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let Stored { head, bytes, modified, file } = self.open(&input.bucket, &input.key).await?;
        if let Some(ETagCondition::ETag(wanted)) = &input.if_match
            && wanted.value() != head.etag
        {
            return Err(s3_error!(PreconditionFailed, "the object was written again"));
        }
        let range = input.range.map(|range| range.check(bytes)).transpose()?;
        let content_range =
            range.as_ref().map(|range| format!("bytes {}-{}/{bytes}", range.start, range.end - 1));
        let range = range.unwrap_or(0..bytes);
        let mut file = tokio::fs::File::from_std(file);
        file.seek(io::SeekFrom::Start(HEAD + range.start)).await.map_err(failed)?;
        let count = range.end - range.start;
        let body = StreamingBlob::wrap(ReaderStream::with_capacity(file.take(count), BLOCK));
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".into()),
            body: Some(body),
            content_disposition: input.response_content_disposition,
            content_length: Some(length(count)),
            content_range,
            content_type: input.response_content_type.or(head.content_type),
            e_tag: Some(ETag::Strong(head.etag)),
            last_modified: Some(Timestamp::from(modified)),
            ..Default::default()
        }))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = request.input;
        for object in delete.objects {
            let (path, files) = (self.object(&bucket, &object.key)?, self.files.clone());
            blocking(move || files.remove(&path)).await?;
        }
        Ok(S3Response::new(DeleteObjectsOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        of_ours(&input.bucket)?;
        let (prefix, after) = (input.prefix.clone().unwrap_or_default(), input.continuation_token.clone());
        let files = self.files.clone();
        let (contents, more) = blocking(move || {
            let mut keys = files.keys(&prefix)?;
            keys.retain(|key| after.as_ref().is_none_or(|after| key > after));
            let more = keys.len() > PAGE;
            keys.truncate(PAGE);
            // One that was removed since is none any more.
            let listed = keys.into_iter().filter_map(|key| listed(&files, key).transpose());
            Ok((listed.collect::<io::Result<Vec<_>>>()?, more))
        })
        .await?;
        let last = contents.last().and_then(|object| object.key.clone());
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            key_count: i32::try_from(contents.len()).ok(),
            contents: Some(contents),
            continuation_token: input.continuation_token,
            is_truncated: Some(more),
            next_continuation_token: last.filter(|_| more),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let CreateMultipartUploadInput { bucket, key, content_type, .. } = request.input;
        self.object(&bucket, &key)?;
        let (files, upload) = (self.files.clone(), Upload { key: key.clone(), content_type });
        let id = blocking(move || files.begin(&upload)).await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let UploadPartInput { bucket, key, upload_id, part_number, body, checksum_crc32c, .. } =
            request.input;
        self.upload(&bucket, &key, &upload_id)?;
        let fresh = self.receive(body, checksum_crc32c.clone()).await?;
        let placed = fresh.place_part(&self.files.part(&upload_id, part_number)).await;
        let head = placed.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => s3_error!(NoSuchUpload),
            _ => failed(error),
        })?;
        let e_tag = Some(ETag::Strong(head.etag));
        Ok(S3Response::new(UploadPartOutput { checksum_crc32c, e_tag, ..Default::default() }))
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let input = request.input;
        self.upload(&input.bucket, &input.key, &input.upload_id)?;
        let (files, id, after) = (self.files.clone(), input.upload_id.clone(), input.part_number_marker);
        let (parts, more) = blocking(move || {
            let mut numbers = files.parts(&id)?;
            numbers.retain(|&number| after.is_none_or(|after| number > after));
            let more = numbers.len() > PAGE;
            numbers.truncate(PAGE);
            let listed = numbers.into_iter().filter_map(|number| part(&files, &id, number).transpose());
            Ok((listed.collect::<io::Result<Vec<_>>>()?, more))
        })
        .await?;
        let last = parts.last().and_then(|part| part.part_number);
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            is_truncated: Some(more),
            next_part_number_marker: last.filter(|_| more),
            parts: Some(parts),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let CompleteMultipartUploadInput { bucket, key, upload_id, multipart_upload, .. } = request.input;
        let upload = self.upload(&bucket, &key, &upload_id)?;
        let object = self.object(&bucket, &key)?;
        let mut parts = Vec::new();
        for wanted in multipart_upload.and_then(|upload| upload.parts).unwrap_or_default() {
            let path = self.files.part(&upload_id, wanted.part_number.unwrap_or_default());
            let found = blocking(move || files::open(&path)).await?;
            let is_wanted =
                |part: &Stored| wanted.e_tag.as_ref().is_none_or(|tag| tag.value() == part.head.etag);
            parts.push(found.filter(is_wanted).ok_or_else(|| s3_error!(InvalidPart))?);
        }
        if parts.is_empty() {
            return Err(s3_error!(InvalidPart, "an object is made of at least one part"));
        }
        let etag = files::etag_of_parts(parts.iter().map(|part| part.head.etag.as_str()));
        let head = Head { etag: etag.clone(), content_type: upload.content_type };
        let (files, id) = (self.files.clone(), upload_id);
        blocking(move || {
            files.assemble(&mut parts, &head, &object)?;
            files.end(&id)
        })
        .await?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            e_tag: Some(ETag::Strong(etag)),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput { bucket, key, upload_id, .. } = request.input;
        self.upload(&bucket, &key, &upload_id)?;
        let files = self.files.clone();
        blocking(move || files.end(&upload_id)).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let ListMultipartUploadsInput { bucket, prefix, .. } = request.input;
        of_ours(&bucket)?;
        let (files, wanted) = (self.files.clone(), prefix.clone().unwrap_or_default());
        let uploads = blocking(move || {
            let ids = files.uploads()?.into_iter();
            let uploads = ids.filter_map(|id| Some((files.upload(&id)?.key, id)));
            let uploads = uploads.filter(|(key, _)| key.starts_with(&wanted));
            let entry =
                |(key, id)| MultipartUpload { key: Some(key), upload_id: Some(id), ..Default::default() };
            Ok(uploads.map(entry).collect())
        })
        .await?;
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(bucket),
            prefix,
            // One machine has few, so they all go into one answer.
            is_truncated: Some(false),
            uploads: Some(uploads),
            ..Default::default()
        }))
    }
}

fn listed(files: &Files, key: String) -> io::Result<Option<Object>> {
    let stored = files.object(&key).map(|path| files::open(&path)).transpose()?.flatten();
    Ok(stored.map(|stored| Object {
        key: Some(key),
        size: Some(length(stored.bytes)),
        e_tag: Some(ETag::Strong(stored.head.etag)),
        last_modified: Some(Timestamp::from(stored.modified)),
        ..Default::default()
    }))
}

fn part(files: &Files, id: &str, number: i32) -> io::Result<Option<Part>> {
    Ok(files::open(&files.part(id, number))?.map(|stored| Part {
        part_number: Some(number),
        size: Some(length(stored.bytes)),
        e_tag: Some(ETag::Strong(stored.head.etag)),
        ..Default::default()
    }))
}

fn of_ours(bucket: &str) -> S3Result<()> {
    if bucket == BUCKET { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
}

fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn failed(error: io::Error) -> s3s::S3Error {
    tracing::error!(%error, "the files of the object store");
    s3_error!(error, InternalError)
}

/// Does what waits for the disk on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> S3Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(failed),
        Err(error) => Err(s3_error!(error, InternalError)),
    }
}
