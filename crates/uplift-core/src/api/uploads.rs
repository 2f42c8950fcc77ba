//! A dump's parts on their way into the object store.

use serde::{Deserialize, Serialize};
use url::Url;

/// `POST /api/v1/requests/{id}/upload/parts`: asks for links for some parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PartsWanted {
    /// Numbers of parts, from 1; at most 100 at once.
    pub parts: Vec<u32>,
}

/// Links to put parts to, each with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartLinks {
    /// In the order in which they were asked for.
    pub links: Vec<PartLink>,
}

/// A link to put one part to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartLink {
    /// The part's number, from 1.
    pub part: u32,
    /// `PUT` the bytes here; the answer's `ETag` header goes into [`UploadCompleted`].
    pub url: Url,
}

/// `GET /api/v1/requests/{id}/upload`: what the store has, for going on with a broken upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UploadState {
    /// The length of every part but the last, in bytes.
    pub part_bytes: u64,
    /// What is there.
    pub parts: Vec<UploadedPart>,
    /// `PUT` the scripts here; absent where none are attached, or where they are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts: Option<Url>,
}

/// A part that the store has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UploadedPart {
    /// Its number, from 1.
    pub part: u32,
    /// What the store called it when it took it.
    pub etag: String,
    /// Its length in bytes; not needed for completing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// `POST /api/v1/requests/{id}/upload/complete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UploadCompleted {
    /// All parts, in order.
    pub parts: Vec<UploadedPart>,
    /// The dump's sha256 in lower-case hexadecimal, where the client knows it: it is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}
