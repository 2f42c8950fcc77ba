//! The packs that an attempt may need: the pinned one, or the current one of every product.

use uplift_core::{Pack, PackDigest, key, pack::MAX_ARCHIVE_BYTES};

use crate::{
    context::Context,
    outcome::{Ended, infrastructure, of_objects},
    patience::patiently,
};

/// Where failures of this module happen.
const PLACE: &str = "load pack";

/// Packs with their digests.
pub(crate) type Packs = Vec<(PackDigest, Pack)>;

/// The pinned pack alone, or the current pack of every product.
pub(crate) async fn load(context: &Context, pinned: Option<&PackDigest>) -> Result<Packs, Ended> {
    let digests = match pinned {
        Some(digest) => vec![digest.clone()],
        None => {
            let packs = patiently(|| context.ledger.packs()).await?;
            packs.into_iter().filter(|pack| pack.current).map(|pack| pack.digest).collect()
        }
    };
    let mut packs = Packs::with_capacity(digests.len());
    for digest in digests {
        let archive = context
            .objects
            .get(&key::pack(&digest), MAX_ARCHIVE_BYTES as u64)
            .await
            .map_err(|error| of_objects(&error, PLACE))?;
        if PackDigest::of(&archive) != digest {
            let message = format!("the archive of pack {digest} has another digest");
            return Err(uplift_core::Failure::Infrastructure { place: PLACE.into(), message }.into());
        }
        let pack = Pack::from_archive(&archive).map_err(|error| infrastructure(PLACE, &error))?;
        packs.push((digest, pack));
    }
    Ok(packs)
}
