//! What can be upgraded to what, and what to look at before.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use uplift_core::{
    Pack, Version,
    api::{AnnouncedView, ProductView, WayView},
};
use uplift_platform::ledger::Likeness;

use super::{
    auth::Caller,
    problem::{ApiError, Result},
    view,
};
use crate::{Context, catalog};

/// The products that can be upgraded, with the versions that may be asked for.
#[utoipa::path(
    get, path = "/api/v1/products", tag = "requests",
    responses((status = 200, body = [ProductView]))
)]
pub(crate) async fn list(State(context): State<Arc<Context>>, _: Caller) -> Result<Json<Vec<ProductView>>> {
    Ok(Json(catalog::current(&context).await?.iter().map(|pack| product(pack)).collect()))
}

pub(crate) fn product(pack: &Pack) -> ProductView {
    let announced = pack.announced().iter().map(|announced| AnnouncedView {
        version: announced.version.to_string(),
        expected: announced.expected,
    });
    ProductView {
        product: pack.product().to_owned(),
        title: pack.title().to_owned(),
        targets: pack.targets().iter().map(ToString::to_string).collect(),
        announced: announced.collect(),
        detect: pack.probes().detect,
    }
}

/// Which database would go where.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WayQuery {
    /// The version that it is at.
    from: String,
    /// The version to go to.
    to: String,
    /// How long its dump is about, in bytes, for the estimate.
    #[serde(default)]
    bytes: u64,
    /// The caller's name for the database, for the estimate: its own tests say most.
    database: Option<String>,
}

/// How a database would get from one version to another: the versions between, what to ask it before, and how long it takes.
#[utoipa::path(
    get, path = "/api/v1/products/{product}/way", tag = "requests", params(("product" = String, Path), WayQuery),
    responses(
        (status = 200, body = WayView, description = "The way; or why there is none"),
        (status = 404, body = uplift_core::api::Problem, content_type = "application/problem+json",
            description = "There is no such product"),
        (status = 422, body = uplift_core::api::Problem, content_type = "application/problem+json",
            description = "A version is not one"),
    )
)]
pub(super) async fn way(
    State(context): State<Arc<Context>>,
    Caller(bearer): Caller,
    Path(product): Path<String>,
    Query(query): Query<WayQuery>,
) -> Result<Json<WayView>> {
    let version = |field: &str, text: &str| {
        text.parse::<Version>().map_err(|error| ApiError::invalid(format!("`{field}`: {error}")))
    };
    let (from, to) = (version("from", &query.from)?, version("to", &query.to)?);
    let bytes = query.bytes.min(context.settings.max_dump_bytes);
    let pack = catalog::of(&context, &product).await?;
    let hops = pack.path(&from, &to).unwrap_or_default();
    let refusal = hops.is_empty().then(|| pack.refusal(&from, &to));
    let mut preflight = pack.probes().preflight;
    preflight.retain(|asked| refusal.is_none() && asked.concerns(&from, &to));
    let database = match &query.database {
        Some(name) => context.ledger.database_of(bearer.account, name).await?,
        None => None,
    };
    let likeness = Likeness { database, product: &product, from: &from, to: &to, bytes };
    let estimate = match refusal {
        Some(_) => None,
        None => context.ledger.estimate(&likeness).await?,
    };
    Ok(Json(WayView {
        versions: hops.iter().map(|hop| hop.to.to_string()).collect(),
        refusal,
        preflight,
        estimate: estimate.map(|estimate| view::estimate(estimate, None)),
    }))
}
