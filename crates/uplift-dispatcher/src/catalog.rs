//! The current packs, read once each: what they offer is asked for by every visitor of a form.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use uplift_core::{Pack, PackDigest, key, pack::MAX_ARCHIVE_BYTES};

use crate::{
    Context,
    api::{ApiError, Kind},
};

/// Packs by their digests, which say all of them.
#[derive(Debug, Default)]
pub(crate) struct Catalog(Mutex<BTreeMap<PackDigest, Arc<Pack>>>);

/// The current pack of every product, by the product's name.
pub(crate) async fn current(context: &Context) -> Result<Vec<Arc<Pack>>, ApiError> {
    let packs = context.ledger.packs().await?;
    let digests: Vec<PackDigest> =
        packs.into_iter().filter(|pack| pack.current).map(|pack| pack.digest).collect();
    let mut current = BTreeMap::new();
    for digest in digests {
        let known = context.catalog.lock().get(&digest).cloned();
        let pack = match known {
            Some(pack) => pack,
            None => Arc::new(load(context, &digest).await?),
        };
        current.insert(digest, pack);
    }
    // What was replaced or recalled is not kept.
    context.catalog.lock().clone_from(&current);
    let mut packs: Vec<Arc<Pack>> = current.into_values().collect();
    packs.sort_by(|a, b| a.product().cmp(b.product()));
    Ok(packs)
}

/// The current pack of a product.
pub(crate) async fn of(context: &Context, product: &str) -> Result<Arc<Pack>, ApiError> {
    let found = current(context).await?.into_iter().find(|pack| pack.product() == product);
    found.ok_or_else(|| ApiError::new(Kind::NotFound, format!("there is no product `{product}`")))
}

/// A pack by its digest.
pub(crate) async fn load(context: &Context, digest: &PackDigest) -> Result<Pack, ApiError> {
    let archive = context.objects.get(&key::pack(digest), MAX_ARCHIVE_BYTES as u64).await?;
    Pack::from_archive(&archive).map_err(|error| ApiError::internal(anyhow::Error::from(error)))
}

impl Catalog {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PackDigest, Arc<Pack>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
