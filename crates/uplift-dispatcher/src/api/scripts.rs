//! The upload of a customer's own scripts: a multipart upload of one part, so that nothing can be put once it is
//! complete or aborted.

use uplift_core::{RequestId, Scripts, api::UploadedPart, key, request::StateCode, scripts::MAX_BYTES};
use uplift_platform::{
    ledger::Request,
    objects::{Part, UploadId},
};
use url::Url;

use super::{
    problem::{ApiError, Result},
    uploads::{assembled, sha256, stored},
};
use crate::Context;

/// The number of the only part.
const PART: i32 = 1;

/// What a customer announces, where it can be taken.
pub(super) fn accepted(scripts: Scripts) -> Result<Scripts> {
    match scripts.bytes {
        0 => Err(ApiError::invalid("`scripts.bytes` is 0: an empty file is no archive")),
        bytes if bytes > MAX_BYTES => Err(ApiError::invalid(format!(
            "`scripts.bytes` is {bytes}: an archive of scripts has {MAX_BYTES} bytes at most"
        ))),
        bytes => Ok(Scripts { bytes, sha256: sha256("scripts.sha256", scripts.sha256)? }),
    }
}

/// Where to put the scripts of a request that awaits them.
pub(super) async fn link(context: &Context, request: &Request) -> Result<Option<Url>> {
    let awaits = request.state.code() == StateCode::AwaitingUpload;
    let Some((scripts, upload)) = attached(request).filter(|_| awaits) else { return Ok(None) };
    let key = key::scripts(request.id);
    match stored(context, &key, &upload).await? {
        Some(parts) if part(&parts).is_none_or(|part| part.bytes != Some(scripts.bytes)) => {
            Ok(Some(context.objects.presign_part(&key, &upload, PART, context.link_ttl()).await?))
        }
        // The part is there; or a call to complete the upload has assembled it and got no further; or the upload was
        // aborted, which the next such call says.
        _ => Ok(None),
    }
}

/// Makes the object, or finds that an earlier call did. Nothing to do where none are attached.
pub(super) async fn assemble(context: &Context, request: &Request) -> Result<()> {
    let Some((scripts, upload)) = attached(request) else { return Ok(()) };
    let key = key::scripts(request.id);
    let parts = match stored(context, &key, &upload).await? {
        Some(stored) => vec![check(request.id, scripts, &stored)?],
        None => Vec::new(),
    };
    assembled(context, request.id, &key, &upload, parts, Some(scripts.bytes)).await?;
    Ok(())
}

fn attached(request: &Request) -> Option<(&Scripts, UploadId)> {
    request.scripts.as_ref().zip(request.scripts_upload_id.clone().map(UploadId))
}

/// The part, where it is what was announced.
fn check(request: RequestId, scripts: &Scripts, stored: &[UploadedPart]) -> Result<Part> {
    let refused = |found: String| {
        Err(ApiError::invalid(format!(
            "{found}: put them to the link that GET /api/v1/requests/{request}/upload gives, and complete again"
        )))
    };
    match part(stored) {
        None => refused(format!("the scripts ({scripts}) are not in the store")),
        Some(part) if part.bytes != Some(scripts.bytes) => refused(format!(
            "the scripts have {} bytes in the store, and {} were announced",
            part.bytes.unwrap_or_default(),
            scripts.bytes
        )),
        Some(part) => Ok(Part { number: PART, etag: part.etag.clone() }),
    }
}

fn part(stored: &[UploadedPart]) -> Option<&UploadedPart> {
    stored.iter().find(|part| i32::try_from(part.part) == Ok(PART))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts(bytes: u64) -> Scripts {
        Scripts { bytes, sha256: "a".repeat(64) }
    }

    #[test]
    fn an_archive_is_announced_with_a_length_and_a_digest() {
        assert_eq!(accepted(scripts(MAX_BYTES)).unwrap().bytes, MAX_BYTES);
        assert!(accepted(scripts(0)).unwrap_err().detail.contains("is 0"));
        assert!(accepted(scripts(MAX_BYTES + 1)).unwrap_err().detail.contains("67108864 bytes at most"));
        let shouted = Scripts { sha256: "A".repeat(64), ..scripts(1) };
        assert!(accepted(shouted).unwrap_err().detail.contains("`scripts.sha256`"));
    }

    #[test]
    fn what_is_not_there_as_announced_is_put_again() {
        let there = |bytes| [UploadedPart { part: 1, etag: "e".into(), bytes: Some(bytes) }];
        let check = |stored: &[UploadedPart]| check(RequestId::new(), &scripts(5), stored);
        assert_eq!(check(&there(5)).unwrap().etag, "e");
        assert!(
            check(&there(4)).unwrap_err().detail.contains("have 4 bytes in the store, and 5 were announced")
        );
        let missing = check(&[]).unwrap_err().detail;
        assert!(missing.contains("are not in the store: put them to the link"), "{missing}");
    }
}
