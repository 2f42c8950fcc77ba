//! The dump's upload: which parts are there, links for more, and its end, which is the scripts' as well.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use uplift_core::{
    RequestId,
    api::{self, PartLink, PartLinks, PartsWanted, UploadCompleted, UploadState, UploadedPart},
    key,
    request::StateCode,
};
use uplift_platform::{
    ledger::{Conflict, LedgerError, Request, Source},
    objects::{Completed, ObjectsError, Part, UploadId},
};

use super::{
    auth::Caller,
    problem::{ApiError, Result},
    scripts, view,
};
use crate::Context;

/// No part but the last is smaller, in bytes.
const SMALLEST_PART: u64 = 16 << 20;
/// A dump is cut into at most this many parts; S3 takes 10,000.
const MOST_PARTS: u64 = 9_000;
/// How many links are given at once.
const MOST_LINKS: usize = 100;
/// How many missing parts a message names.
const NAMED: usize = 10;

/// How a dump is cut into parts. It follows from the dump's length alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The length of the dump, in bytes.
    bytes: u64,
    /// The length of every part but the last, in bytes.
    pub(super) part_bytes: u64,
    /// How many there are.
    pub(super) parts: u32,
}

impl Cut {
    pub(super) fn of(request: &Request) -> Result<Self> {
        let bytes = request.source_bytes.ok_or_else(|| {
            ApiError::internal(anyhow::anyhow!("request {} does not know its dump's length", request.id))
        })?;
        Ok(Self::of_bytes(bytes))
    }

    fn of_bytes(bytes: u64) -> Self {
        let part_bytes = bytes.div_ceil(MOST_PARTS).max(SMALLEST_PART);
        let parts = u32::try_from(bytes.div_ceil(part_bytes)).unwrap_or(u32::MAX);
        Self { bytes, part_bytes, parts }
    }

    /// The cut of a dump that has grown to its end: it has so many parts, and every one but the last is full.
    fn ended(self, stored: &[UploadedPart], parts: usize) -> Result<Self> {
        let parts = u32::try_from(parts).ok().filter(|parts| (1..=self.parts).contains(parts));
        let parts = parts.ok_or_else(|| {
            ApiError::invalid(format!("`parts` has to name 1 to {} parts in order", self.parts))
        })?;
        let length = |number: u32| stored.iter().find(|part| part.part == number).and_then(|part| part.bytes);
        let last = length(parts).unwrap_or(0);
        Ok(Self { bytes: self.part_bytes * u64::from(parts - 1) + last, parts, ..self })
    }

    /// Checks what the store has against what was announced, before anything is assembled.
    fn check(self, stored: &[UploadedPart]) -> Result<()> {
        let missing: Vec<String> = (1..=self.parts)
            .filter(|number| !stored.iter().any(|part| part.part == *number))
            .take(NAMED)
            .map(|number| number.to_string())
            .collect();
        if !missing.is_empty() {
            return Err(ApiError::invalid(format!(
                "of {} parts some are not in the store, such as {}: put them and complete again",
                self.parts,
                missing.join(", ")
            )));
        }
        let bytes: u64 = stored
            .iter()
            .filter(|part| part.part <= self.parts)
            .filter_map(|part| part.bytes)
            .fold(0, u64::saturating_add);
        if bytes != self.bytes {
            return Err(ApiError::invalid(format!(
                "the parts have {bytes} bytes together, and {} were announced: put those that differ again, {} \
                 bytes each but the last",
                self.bytes, self.part_bytes
            )));
        }
        Ok(())
    }

    /// The parts that the client names, which have to be all of them, in order.
    fn named(self, given: Vec<UploadedPart>) -> Result<Vec<Part>> {
        if !given.iter().map(|part| part.part).eq(1..=self.parts) {
            return Err(ApiError::invalid(format!(
                "`parts` has to name all parts in order, from 1 to {}",
                self.parts
            )));
        }
        given
            .into_iter()
            .map(|part| {
                let number = i32::try_from(part.part).map_err(ApiError::internal)?;
                Ok(Part { number, etag: part.etag })
            })
            .collect()
    }
}

/// Which parts the store has, and where the scripts go, where they are attached and not there.
#[utoipa::path(
    get, path = "/api/v1/requests/{id}/upload", tag = "upload", params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, body = UploadState),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "The upload is over; where the request still awaits it, complete it once more"),
    )
)]
pub(crate) async fn state(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
) -> Result<Json<UploadState>> {
    let (request, upload) = open_upload(&context, &caller, id).await?;
    match stored(&context, &key::source(id), &upload).await? {
        Some(parts) => {
            let scripts = scripts::link(&context, &request).await?;
            Ok(Json(UploadState { part_bytes: Cut::of(&request)?.part_bytes, parts, scripts }))
        }
        None => Err(ApiError::conflict(format!(
            "the object store has no open upload for request {id}: if all parts were put, complete it once more; \
             else cancel the request and submit a new one"
        ))),
    }
}

/// Links to put parts to.
#[utoipa::path(
    post, path = "/api/v1/requests/{id}/upload/parts", tag = "upload", params(("id" = uuid::Uuid, Path)),
    request_body = PartsWanted,
    responses(
        (status = 200, body = PartLinks),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "The upload is over"),
    )
)]
pub(crate) async fn links(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
    Json(wanted): Json<PartsWanted>,
) -> Result<Json<PartLinks>> {
    let (request, upload) = open_upload(&context, &caller, id).await?;
    let most = Cut::of(&request)?.parts;
    if !(1..=MOST_LINKS).contains(&wanted.parts.len()) {
        return Err(ApiError::invalid(format!("`parts` has to name 1 to {MOST_LINKS} parts")));
    }
    let key = key::source(id);
    let mut links = Vec::with_capacity(wanted.parts.len());
    for part in wanted.parts {
        let number = i32::try_from(part).ok().filter(|_| (1..=most).contains(&part));
        let number = number.ok_or_else(|| {
            ApiError::invalid(format!("there is no part {part}: the dump has parts 1 to {most}"))
        })?;
        let url = context.objects.presign_part(&key, &upload, number, context.link_ttl()).await?;
        links.push(PartLink { part, url });
    }
    Ok(Json(PartLinks { links }))
}

/// All parts are there, and so are the scripts: the request is queued. Repeating this does no harm.
#[utoipa::path(
    post, path = "/api/v1/requests/{id}/upload/complete", tag = "upload", params(("id" = uuid::Uuid, Path)),
    request_body = UploadCompleted,
    responses(
        (status = 200, body = api::Request),
        (status = 409, body = api::Problem, content_type = "application/problem+json",
            description = "The request was cancelled, or its upload is gone"),
        (status = 422, body = api::Problem, content_type = "application/problem+json",
            description = "Parts or scripts are missing, or are not those that were announced"),
    )
)]
pub(crate) async fn complete(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
    Json(completed): Json<UploadCompleted>,
) -> Result<Json<api::Request>> {
    let request = context.ledger.request(caller.reach(), id).await?;
    match request.state.code() {
        StateCode::AwaitingUpload | StateCode::Cancelled => {}
        // An earlier call did it.
        _ => return Ok(Json(view::request(request))),
    }
    let upload = upload_of(&request, "be uploaded")?;
    let sha256 = completed.sha256.map(|digest| sha256("sha256", digest)).transpose()?;
    scripts::assemble(&context, &request).await?;
    let object = assemble(&context, &request, &upload, completed.parts).await?;
    let source = Source { bytes: object.bytes, etag: object.etag, sha256 };
    context.ledger.uploaded(id, &source, &caller.0.actor()).await?;
    context.queued.notify_one();
    tracing::info!(request.id = %id, bytes = source.bytes, "an upload is complete");
    Ok(Json(view::request(context.ledger.request(caller.scope(), id).await?)))
}

/// Makes the dump of its parts, or finds that an earlier call did.
async fn assemble(
    context: &Context,
    request: &Request,
    upload: &UploadId,
    given: Vec<UploadedPart>,
) -> Result<Completed> {
    let key = key::source(request.id);
    let mut cut = Cut::of(request)?;
    // The store forgets the parts of an upload that it has assembled: then they cannot and need not be checked.
    let parts = match stored(context, &key, upload).await? {
        Some(stored) => {
            if request.source_grows {
                cut = cut.ended(&stored, given.len())?;
            }
            cut.check(&stored)?;
            cut.named(given)?
        }
        None => Vec::new(),
    };
    let known = !(request.source_grows && parts.is_empty());
    assembled(context, request.id, &key, upload, parts, known.then_some(cut.bytes)).await
}

/// An upload's object, made of its parts; without parts, as an earlier call has made it. It has the length that was
/// announced.
pub(super) async fn assembled(
    context: &Context,
    request: RequestId,
    key: &str,
    upload: &UploadId,
    parts: Vec<Part>,
    bytes: Option<u64>,
) -> Result<Completed> {
    let object = if parts.is_empty() {
        let found = context.objects.head(key).await?;
        found.map(|meta| Completed { etag: meta.etag, bytes: meta.bytes }).ok_or_else(|| gone(request))?
    } else {
        context.objects.complete_upload(key, upload, parts).await.map_err(|error| match error {
            ObjectsError::NotFound { .. } => gone(request),
            ObjectsError::Invalid { reason, .. } => {
                ApiError::invalid(format!("the object store does not take these parts: {reason}"))
            }
            error => error.into(),
        })?
    };
    if let Some(bytes) = bytes.filter(|&bytes| object.bytes != bytes) {
        return Err(ApiError::conflict(format!(
            "the upload has {} bytes, and {bytes} were announced: cancel request {request} and submit a new one",
            object.bytes
        )));
    }
    Ok(object)
}

fn gone(request: RequestId) -> ApiError {
    ApiError::conflict(format!("the upload of request {request} was aborted: cancel it and submit a new one"))
}

/// A request that awaits its upload, and the upload.
async fn open_upload(context: &Context, caller: &Caller, id: RequestId) -> Result<(Request, UploadId)> {
    let request = context.ledger.request(caller.reach(), id).await?;
    let upload = upload_of(&request, "take parts")?;
    Ok((request, upload))
}

fn upload_of(request: &Request, wish: &'static str) -> Result<UploadId> {
    let state = request.state.code();
    match &request.upload_id {
        Some(upload) if state == StateCode::AwaitingUpload => Ok(UploadId(upload.clone())),
        _ => Err(LedgerError::from(Conflict::State { request: request.id, state, wish }).into()),
    }
}

/// The parts that the store has; `None` where the upload is not open there any more.
pub(super) async fn stored(
    context: &Context,
    key: &str,
    upload: &UploadId,
) -> Result<Option<Vec<UploadedPart>>> {
    match context.objects.uploaded_parts(key, upload).await {
        Ok(parts) => Ok(Some(
            parts
                .into_iter()
                .filter_map(|part| {
                    let number = u32::try_from(part.number).ok()?;
                    Some(UploadedPart { part: number, etag: part.etag, bytes: Some(part.bytes) })
                })
                .collect(),
        )),
        Err(ObjectsError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A digest as it is written, in the field of that name.
pub(super) fn sha256(field: &str, text: String) -> Result<String> {
    if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(text)
    } else {
        Err(ApiError::invalid(format!("`{field}` has to be 64 lower-case hexadecimal digits")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn part(number: u32, bytes: u64) -> UploadedPart {
        UploadedPart { part: number, etag: "e".into(), bytes: Some(bytes) }
    }

    #[test]
    fn any_dump_fits_into_the_parts_that_s3_takes() {
        for bytes in [1, SMALLEST_PART, SMALLEST_PART + 1, 150 * GIB, 1024 * GIB, 5 * 1024 * GIB] {
            let cut = Cut::of_bytes(bytes);
            assert!(u64::from(cut.parts) <= MOST_PARTS, "{bytes}");
            assert!(cut.part_bytes * u64::from(cut.parts) >= bytes, "{bytes}");
            assert!(cut.part_bytes * u64::from(cut.parts - 1) < bytes, "{bytes}: no part is empty");
        }
        assert_eq!(Cut::of_bytes(1), Cut { bytes: 1, part_bytes: SMALLEST_PART, parts: 1 });
    }

    #[test]
    fn a_missing_part_is_named() {
        let cut = Cut::of_bytes(3 * SMALLEST_PART);
        let error = cut.check(&[part(1, SMALLEST_PART), part(3, SMALLEST_PART)]).unwrap_err();
        assert!(error.detail.contains("such as 2:"), "{}", error.detail);
    }

    #[test]
    fn parts_of_another_length_are_refused_before_they_are_assembled() {
        let cut = Cut::of_bytes(SMALLEST_PART + 5);
        assert!(cut.check(&[part(1, SMALLEST_PART), part(2, 5)]).is_ok());
        assert!(cut.check(&[part(1, SMALLEST_PART), part(2, 4)]).is_err());
    }

    #[test]
    fn a_dump_that_has_grown_has_the_parts_it_has() {
        let most = Cut::of_bytes(9 * SMALLEST_PART);
        let stored = [part(1, SMALLEST_PART), part(2, 7)];
        let ended = most.ended(&stored, 2).unwrap();
        assert_eq!((ended.bytes, ended.parts), (SMALLEST_PART + 7, 2));
        assert!(ended.check(&stored).is_ok());
        assert!(most.ended(&stored, 0).is_err() && most.ended(&stored, 10).is_err());
        let short = [part(1, 5), part(2, 7)];
        assert!(most.ended(&short, 2).unwrap().check(&short).is_err(), "a part before the last is not full");
    }

    #[test]
    fn the_client_names_all_parts_in_order() {
        let cut = Cut::of_bytes(2 * SMALLEST_PART);
        assert_eq!(cut.named(vec![part(1, 0), part(2, 0)]).unwrap().len(), 2);
        for wrong in [vec![], vec![part(1, 0)], vec![part(2, 0), part(1, 0)], vec![part(1, 0), part(1, 0)]] {
            assert!(cut.named(wrong).is_err());
        }
    }

    #[test]
    fn a_digest_is_written_in_one_way() {
        assert!(sha256("sha256", "0a".repeat(32)).is_ok());
        assert!(sha256("sha256", "0A".repeat(32)).is_err());
        assert!(sha256("sha256", "0a".repeat(31)).is_err());
    }
}
