//! The form that a dump is handed in with. Its script sends the parts to the object store, with links that it asks for here;
//! what it is answered is what the API answers.

use std::sync::Arc;

use askama::Template;
use axum::{
    Json,
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use serde::Deserialize;
use uplift_core::{
    Purpose, RequestId,
    api::{self, NewRequest, PartLink, PartsWanted, ProductView, UploadCompleted, UploadState},
};

use super::{
    frame::{Frame, Result, page},
    visitor::{Sent, Visitor},
    words,
};
use crate::{
    Context,
    api::{self as calls, ApiError, Kind},
    catalog,
};

/// What a link to the form fills in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    database: String,
    target: String,
    purpose: String,
}

#[derive(Template)]
#[template(path = "new.html")]
struct FormPage {
    frame: Frame,
    wish: Wish,
    products: Vec<ProductView>,
    /// Whether mail can be sent.
    mails: bool,
    /// The largest dump, in bytes.
    most: u64,
}

pub(super) async fn form(
    State(context): State<Arc<Context>>,
    visitor: Visitor,
    Query(wish): Query<Wish>,
) -> Result<Response> {
    let packs = catalog::current(&context).await?;
    Ok(page(&FormPage {
        frame: Frame::new("New upgrade", "new", &visitor),
        wish,
        products: packs.iter().map(|pack| calls::product(pack)).collect(),
        mails: context.mailer.sends(),
        most: context.settings.max_dump_bytes,
    }))
}

pub(super) async fn create(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, ApiError> {
    let Sent { visitor, fields } = sent;
    let named = |name: &str| Some(fields.get(name).trim().to_owned()).filter(|text| !text.is_empty());
    let purpose: Purpose = fields.get("purpose").parse().map_err(ApiError::invalid)?;
    let bytes = fields.get("bytes").parse().map_err(|_| ApiError::invalid("`bytes` is a number"))?;
    let not_before = named("not_before")
        .map(|at| at.parse().map_err(|_| ApiError::invalid(format!("`{at}` is no time to begin at"))))
        .transpose()?;
    let wish = NewRequest {
        database: fields.get("database").trim().to_owned(),
        purpose,
        target: fields.get("target").to_owned(),
        file_name: fields.get("file_name").to_owned(),
        bytes,
        growing: false,
        result_format: None,
        email: named("email"),
        not_before,
        scripts: None,
    };
    calls::submit(State(context), visitor.caller(), headers, Json(wish)).await
}

/// Which parts are there.
pub(super) async fn state(
    State(context): State<Arc<Context>>,
    visitor: Visitor,
    path: Path<RequestId>,
) -> Result<Json<UploadState>, ApiError> {
    calls::upload_state(State(context), visitor.caller(), path).await
}

/// A link to put one part to.
pub(super) async fn link(
    State(context): State<Arc<Context>>,
    path: Path<RequestId>,
    sent: Sent,
) -> Result<Json<PartLink>, ApiError> {
    let Sent { visitor, fields } = sent;
    let part = fields.get("part").parse().map_err(|_| ApiError::invalid("`part` is a number"))?;
    let wanted = Json(PartsWanted { parts: vec![part] });
    let Json(given) = calls::upload_links(State(context), visitor.caller(), path, wanted).await?;
    let link = given.links.into_iter().next();
    link.map(Json).ok_or_else(|| ApiError::internal(anyhow::anyhow!("part {part} has no link")))
}

/// All parts are sent: they are those that the store has.
pub(super) async fn complete(
    State(context): State<Arc<Context>>,
    path: Path<RequestId>,
    sent: Sent,
) -> Result<Json<api::Request>, ApiError> {
    let visitor = sent.visitor;
    let known = calls::upload_state(State(Arc::clone(&context)), visitor.caller(), Path(path.0)).await;
    let parts = match known {
        Ok(Json(state)) => state.parts,
        // The store has assembled them already, or the request is not waiting for them any more.
        Err(error) if error.kind == Kind::Conflict => Vec::new(),
        Err(error) => return Err(error),
    };
    let completed = Json(UploadCompleted { parts, sha256: None });
    calls::complete_upload(State(context), visitor.caller(), path, completed).await
}
