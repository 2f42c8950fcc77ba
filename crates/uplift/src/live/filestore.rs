//! Odoo's filestore: the attachments of a database, in a folder of its name, each file named by its content's hash.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// Copies the filestore of a database beside it, under the name of another one. Gives where it is now and how many files it
/// has; nothing where the database has none.
pub(crate) fn copy(data_dir: Option<&Path>, from: &str, to: &str) -> anyhow::Result<Option<(PathBuf, u64)>> {
    // A name of a folder, whatever the database is called.
    if [from, to].iter().any(|name| name.contains('/') || name.starts_with('.')) {
        return Ok(None);
    }
    let roots = data_dir.map_or_else(usual, |named| vec![named.to_owned()]);
    let Some(store) = roots.iter().map(|root| root.join("filestore")).find(|store| store.join(from).is_dir())
    else {
        return Ok(None);
    };
    let target = store.join(to);
    fs::create_dir(&target).with_context(|| format!("make {}", target.display()))?;
    let copied = copy_into(&store.join(from), &target);
    let files = copied.with_context(|| format!("copy the filestore to {}", target.display()))?;
    Ok(Some((target, files)))
}

/// Where Odoo and Flectra keep their data unless they are told otherwise.
fn usual() -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(PathBuf::from);
    let mut roots = Vec::new();
    for product in ["Odoo", "Flectra"] {
        roots.extend(home.iter().map(|home| home.join(".local/share").join(product)));
        let system = format!("/var/lib/{}", product.to_lowercase());
        roots.push(Path::new(&system).join(".local/share").join(product));
        roots.push(system.into());
    }
    roots
}

/// Files are never changed in place, so that a link is as good as a copy, and takes no room.
fn copy_into(from: &Path, to: &Path) -> io::Result<u64> {
    let mut files = 0;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir(&target)?;
            files += copy_into(&entry.path(), &target)?;
        } else if kind.is_file() {
            if fs::hard_link(entry.path(), &target).is_err() {
                fs::copy(entry.path(), &target)?;
            }
            files += 1;
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filestore_is_copied_beside_itself_and_nowhere_else() {
        let data = tempfile::tempdir().unwrap();
        let store = data.path().join("filestore");
        fs::create_dir_all(store.join("shop/ab")).unwrap();
        fs::write(store.join("shop/ab/abcdef"), "attachment").unwrap();
        let (target, files) = copy(Some(data.path()), "shop", "shop_test").unwrap().unwrap();
        assert_eq!((target, files), (store.join("shop_test"), 1));
        assert_eq!(fs::read(store.join("shop_test/ab/abcdef")).unwrap(), b"attachment");
        assert!(copy(Some(data.path()), "shop", "shop_test").is_err(), "one that is there stays as it is");
        assert!(copy(Some(data.path()), "other", "else").unwrap().is_none());
        assert!(copy(Some(data.path()), "shop", "../up").unwrap().is_none());
    }
}
