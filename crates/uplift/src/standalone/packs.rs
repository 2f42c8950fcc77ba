//! What can be upgraded from the start.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use include_dir::{Dir, include_dir};
use uplift_core::{
    Pack, PackDigest, key,
    pack::{Files, MANIFEST},
};
use uplift_platform::{Ledger, Objects};

use crate::pack;

/// The packs that ship.
static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../deploy/packs");

/// Pushes the packs in a folder, or those that ship. One that was pushed before is left as it is: an operator may have
/// pushed another one of its product since.
pub(super) async fn push(ledger: &Ledger, objects: &Objects, folder: Option<&Path>) -> Result<()> {
    let packs = match folder {
        Some(folder) => read(folder)?,
        None => shipped()?,
    };
    let known = ledger.packs().await.context("list the packs")?;
    let known: BTreeSet<_> = known.into_iter().map(|pack| pack.digest.0).collect();
    for pack in packs {
        let archive = pack.archive().context("archive a pack")?;
        let digest = PackDigest::of(&archive);
        if known.contains(&digest.0) {
            continue;
        }
        objects
            .put(&key::pack(&digest), archive.into(), "application/x-tar")
            .await
            .context("store a pack")?;
        ledger.push_pack(&digest, &pack, "uplift standalone").await.context("record a pack")?;
        tracing::info!(pack.digest = %digest, pack.product = pack.product(), "a pack was pushed");
    }
    Ok(())
}

fn read(folder: &Path) -> Result<Vec<Pack>> {
    let shown = folder.display();
    let mut packs = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list the packs in {shown}"))? {
        let path = entry?.path();
        if path.join(MANIFEST).is_file() {
            packs.push(pack::read(&path)?);
        }
    }
    if packs.is_empty() {
        bail!("{shown} holds no pack: name the folder whose folders hold {MANIFEST}");
    }
    Ok(packs)
}

fn shipped() -> Result<Vec<Pack>> {
    let read = |folder: &Dir<'_>| {
        let mut files = Files::new();
        collect(folder, folder.path(), &mut files);
        let shown = folder.path().display();
        Pack::from_files(files)
            .with_context(|| format!("read the pack {shown}, which ships with this program"))
    };
    SHIPPED.dirs().map(read).collect()
}

fn collect(folder: &Dir<'_>, root: &Path, files: &mut Files) {
    for file in folder.files() {
        let path = file.path().strip_prefix(root).unwrap_or(file.path());
        files.insert(path.to_string_lossy().into_owned(), file.contents().to_vec());
    }
    for inner in folder.dirs() {
        collect(inner, root, files);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{read, shipped};

    #[test]
    fn what_ships_is_what_lies_in_deploy() {
        let digests = |packs: Vec<uplift_core::Pack>| {
            let digest = |pack: &uplift_core::Pack| uplift_core::PackDigest::of(&pack.archive().unwrap()).0;
            let mut digests: Vec<_> = packs.iter().map(digest).collect();
            digests.sort();
            digests
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs");
        assert_eq!(digests(shipped().unwrap()), digests(read(&folder).unwrap()));
        assert!(read(&folder.join("sample")).is_err());
    }
}
