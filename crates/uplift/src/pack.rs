//! A pack's folder on disk.

use std::{fs, path::Path};

use anyhow::{Context as _, anyhow, bail};
use uplift_core::{
    Pack,
    pack::{Files, MANIFEST, MAX_ARCHIVE_BYTES},
};

use crate::text;

/// Reads and checks a pack. Hidden files stay out; a script's neighbours, such as a README, go along.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Pack> {
    let shown = folder.display();
    // Before everything below a folder that was named by mistake is read.
    if !folder.join(MANIFEST).is_file() {
        bail!("{shown} is not a pack: name the folder that holds {MANIFEST}");
    }
    let mut files = Files::new();
    let mut left = MAX_ARCHIVE_BYTES as u64;
    walk(folder, "", &mut files, &mut left).with_context(|| format!("read the pack {shown}"))?;
    Pack::from_files(files).map_err(|error| {
        let file = folder.join(&error.file);
        anyhow!("{}:{}: {}", file.display(), error.line, error.message)
    })
}

fn walk(folder: &Path, prefix: &str, files: &mut Files, left: &mut u64) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        let path = entry.path();
        let shown = path.display();
        let name = entry.file_name().into_string().map_err(|_| anyhow!("{shown}: the name is not UTF-8"))?;
        if name.starts_with('.') {
            continue;
        }
        let inside = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&path, &format!("{inside}/"), files, left)?;
        } else if kind.is_file() {
            let bytes = entry.metadata()?.len();
            *left = left.checked_sub(bytes).ok_or_else(|| {
                let most = text::bytes(MAX_ARCHIVE_BYTES as u64);
                let this = text::bytes(bytes);
                anyhow!("with {shown} ({this}) the folder holds more than {most}: a pack holds scripts, move data out")
            })?;
            files.insert(inside, fs::read(&path).with_context(|| format!("read {shown}"))?);
        } else {
            bail!("{shown} is neither a file nor a folder: a pack holds nothing else, not even links");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use uplift_core::Pack;

    use super::read;

    const MANIFEST_TEXT: &str = r#"product = "tiny"
title = "Tiny"
targets = ["2.0"]

[detect]
version = "SELECT '1.0'"
requires = []

[[hop]]
from = "1.0"
to = "2.0"

[[hop.step]]
name = "one"
sql = "1.0-2.0/one.sql"
"#;

    fn write(folder: &Path, file: &str, text: &str) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_folder_becomes_an_archive_that_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "pack.toml", MANIFEST_TEXT);
        write(folder.path(), "1.0-2.0/one.sql", "SELECT 1;");
        write(folder.path(), "README.md", "hello");
        write(folder.path(), ".git/config", "secret");
        let archive = read(folder.path()).unwrap().archive().unwrap();
        assert_eq!(Pack::from_archive(&archive).unwrap().product(), "tiny");
        let text = String::from_utf8_lossy(&archive).into_owned();
        assert!(text.contains("README.md") && !text.contains("secret"));
    }

    #[test]
    fn a_mistake_is_named_with_its_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "pack.toml", MANIFEST_TEXT);
        let error = read(folder.path()).unwrap_err().to_string();
        let place = format!("{}:15: ", folder.path().join("pack.toml").display());
        assert!(error.starts_with(&place) && error.contains("1.0-2.0/one.sql"), "{error}");
    }

    #[test]
    fn a_folder_that_is_no_pack_is_not_searched() {
        let error = read(Path::new("/")).unwrap_err().to_string();
        assert!(error.contains("/ is not a pack"), "{error}");
    }

    #[test]
    fn a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "pack.toml", MANIFEST_TEXT);
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("one.sql")).unwrap();
        let error = format!("{:#}", read(folder.path()).unwrap_err());
        assert!(error.contains("one.sql is neither"), "{error}");
    }

    #[test]
    fn data_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "pack.toml", MANIFEST_TEXT);
        let big = fs::File::create(folder.path().join("dump.sql")).unwrap();
        big.set_len(17 << 20).unwrap();
        let error = format!("{:#}", read(folder.path()).unwrap_err());
        assert!(error.contains("dump.sql"), "{error}");
    }
}
