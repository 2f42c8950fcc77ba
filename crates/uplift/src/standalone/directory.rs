//! The one directory that all state is in.
//!
//! ```text
//! lock        held while we live
//! keys        of the object store; mode 0600
//! env         how a shell gets at us; mode 0600
//! ledger/     the ledger's cluster
//! objects/    the objects
//! sandboxes/  where sandboxes are processes
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use rand::Rng as _;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

/// An open directory. Nobody else has it.
pub(super) struct Directory {
    path: PathBuf,
    fleet: String,
    /// The system gives it up when this process ends, however it ends.
    _lock: File,
}

/// What the object store is signed in to with.
pub(super) struct Keys {
    pub(super) access: SecretString,
    pub(super) secret: SecretString,
}

impl Directory {
    /// Makes it where there is none, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        fs::create_dir_all(path).with_context(|| format!("make the directory {shown}"))?;
        let path = path.canonicalize().with_context(|| format!("find the directory {shown}"))?;
        // Whoever runs Postgres passes through; nobody sees what is in it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711))
            .with_context(|| format!("make {shown} this user's own: name another --data-dir"))?;
        let lock = lock(&path)?;
        // Two directories on one Docker host are two fleets.
        let fleet = format!("{:x}", Sha256::digest(path.as_os_str().as_encoded_bytes()));
        let fleet = format!("standalone-{}", &fleet[..12]);
        fs::create_dir_all(path.join("objects")).context("make the directory of objects")?;
        fs::set_permissions(path.join("objects"), fs::Permissions::from_mode(0o700))
            .context("keep the objects to ourselves")?;
        Ok(Self { path, fleet, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The name that Docker knows our sandboxes by.
    pub(super) fn fleet(&self) -> &str {
        &self.fleet
    }

    /// The object store's keys; random ones at the first time.
    pub(super) fn keys(&self) -> Result<Keys> {
        let file = self.path.join("keys");
        if !file.exists() {
            let hexadecimal =
                |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let (access, secret): ([u8; 10], [u8; 32]) = rand::rng().random();
            write_private(&file, &format!("{}\n{}\n", hexadecimal(&access), hexadecimal(&secret)))?;
        }
        let shown = file.display();
        let text = fs::read_to_string(&file).with_context(|| format!("read {shown}"))?;
        match text.lines().collect::<Vec<_>>()[..] {
            [access, secret] => Ok(Keys { access: access.into(), secret: secret.into() }),
            _ => bail!("{shown} holds no two keys: remove it, and new ones are made"),
        }
    }
}

fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    if file.try_lock().is_err() {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        bail!(
            "{} is in use by another `uplift standalone`, process {}: use that one, stop it, or name another --data-dir",
            directory.display(),
            pid.trim()
        );
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).context("write into the lock")?;
    Ok(file)
}

/// Writes a file that only its owner reads. It is there whole or not at all.
pub(super) fn write_private(file: &Path, text: &str) -> Result<()> {
    let fresh = file.with_extension("fresh");
    let write = || {
        let _ = fs::remove_file(&fresh);
        let mut out = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&fresh, file)
    };
    write().with_context(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::Directory;

    #[test]
    fn a_directory_is_had_once_and_keeps_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let directory = Directory::open(&path).unwrap();
        let secret = directory.keys().unwrap().secret;
        let mode = |name: &str| std::fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("keys"), mode("lock"), mode("objects"), mode(".")), (0o600, 0o600, 0o700, 0o711));

        let refused = Directory::open(&path).err().unwrap().to_string();
        let us = format!("in use by another `uplift standalone`, process {}:", std::process::id());
        assert!(refused.contains(&us), "{refused}");

        drop(directory);
        let again = Directory::open(&path).unwrap();
        assert_eq!(again.keys().unwrap().secret.expose_secret(), secret.expose_secret());
    }
}
