//! Objects as files. Each is there whole or not at all: it is written under another name, and then renamed.
//!
//! ```text
//! objects/<key>.object   a head of 512 bytes, which is a line of JSON, and then the object's bytes
//! uploads/<id>/key       what a multipart upload will make
//! uploads/<id>/<number>  one part of it, with a head like an object's
//! fresh/<random>         what is being written
//! ```

use std::{
    fs::{self, File},
    io::{self, Read as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};
use uuid::Uuid;

/// How long a head is; bytes.
pub(super) const HEAD: u64 = 512;

/// What objects' files end with, so that `a` and `a/b` can both be objects.
const SUFFIX: &str = ".object";

/// How often a directory that somebody else removes at the same time is made anew.
const TRIES: usize = 10;

/// What is known of an object besides its bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// Changes with the bytes.
    pub(super) etag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
}

/// An object, or a part of one, that is there.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) head: Head,
    pub(super) bytes: u64,
    pub(super) modified: SystemTime,
    /// Open, at the first of its bytes.
    pub(super) file: File,
}

/// A multipart upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) content_type: Option<String>,
}

/// A directory of objects.
#[derive(Clone, Debug)]
pub(super) struct Files {
    root: PathBuf,
}

impl Files {
    /// Opens it, or makes it. What was being written when its last server died is removed.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let _ = fs::remove_dir_all(root.join("fresh"));
        for folder in ["objects", "uploads", "fresh"] {
            fs::create_dir_all(root.join(folder))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Where an object is, or would be; `None` for a key that is no path.
    pub(super) fn object(&self, key: &str) -> Option<PathBuf> {
        let parts: Vec<&str> = key.split('/').collect();
        let is_plain = |part: &&str| !matches!(*part, "" | "." | "..") && !part.contains('\0');
        let (_, folders) = parts.split_last()?;
        if !parts.iter().all(is_plain) || folders.iter().any(|folder| folder.ends_with(SUFFIX)) {
            return None;
        }
        Some(self.root.join("objects").join(format!("{key}{SUFFIX}")))
    }

    /// Removes an object, and the folders that are empty without it. Nothing there is fine.
    pub(super) fn remove(&self, object: &Path) -> io::Result<()> {
        match fs::remove_file(object) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let objects = self.root.join("objects");
        let folders = object.ancestors().skip(1).take_while(|folder| *folder != objects);
        for folder in folders {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The keys that begin with a prefix, in their order.
    pub(super) fn keys(&self, prefix: &str) -> io::Result<Vec<String>> {
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut keys = Vec::new();
        // A prefix that is no path has no objects below it.
        if folder.is_empty() || self.object(folder).is_some() {
            let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            walk(&self.root.join("objects").join(folder), &start, &mut keys)?;
        }
        keys.retain(|key| key.starts_with(prefix));
        keys.sort_unstable();
        Ok(keys)
    }

    /// Begins a multipart upload.
    pub(super) fn begin(&self, upload: &Upload) -> io::Result<String> {
        let id = Uuid::new_v4().to_string();
        let fresh = self.root.join("fresh").join(&id);
        fs::create_dir(&fresh)?;
        fs::write(fresh.join("key"), serde_json::to_vec(upload)?)?;
        fs::rename(fresh, self.root.join("uploads").join(&id))?;
        Ok(id)
    }

    /// A multipart upload that is under way.
    pub(super) fn upload(&self, id: &str) -> Option<Upload> {
        // Ids are ours, and a path is none.
        let id: Uuid = id.parse().ok()?;
        serde_json::from_slice(&fs::read(self.root.join("uploads").join(id.to_string()).join("key")).ok()?)
            .ok()
    }

    /// Where a part of an upload is, or would be.
    pub(super) fn part(&self, id: &str, number: i32) -> PathBuf {
        self.root.join("uploads").join(id).join(number.to_string())
    }

    /// The numbers of the parts that are there, in their order.
    pub(super) fn parts(&self, id: &str) -> io::Result<Vec<i32>> {
        let names = names(&self.root.join("uploads").join(id))?;
        let mut numbers: Vec<i32> = names.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The ids of all uploads.
    pub(super) fn uploads(&self) -> io::Result<Vec<String>> {
        names(&self.root.join("uploads"))
    }

    /// Forgets an upload and its parts.
    pub(super) fn end(&self, id: &str) -> io::Result<()> {
        // In one step, so that no half of an upload can be seen.
        let gone = self.root.join("fresh").join(Uuid::new_v4().to_string());
        fs::rename(self.root.join("uploads").join(id), &gone)?;
        fs::remove_dir_all(gone)
    }

    /// Makes an object of an upload's parts.
    pub(super) fn assemble(&self, parts: &mut [Stored], head: &Head, object: &Path) -> io::Result<()> {
        let path = self.root.join("fresh").join(Uuid::new_v4().to_string());
        let mut file = File::create_new(&path)?;
        file.write_all(&written(head)?)?;
        for part in parts {
            io::copy(&mut part.file, &mut file)?;
        }
        file.sync_all()?;
        place(&path, object)
    }

    /// A file to write an object or a part to.
    pub(super) async fn fresh(&self) -> io::Result<Fresh> {
        let path = self.root.join("fresh").join(Uuid::new_v4().to_string());
        let mut file = tokio::fs::File::create_new(&path).await?;
        file.seek(SeekFrom::Start(HEAD)).await?;
        Ok(Fresh { path, file: BufWriter::with_capacity(1 << 20, file), hash: Sha256::new(), placed: false })
    }
}

/// Opens an object or a part; `None` where there is none.
pub(super) fn open(path: &Path) -> io::Result<Option<Stored>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut head = [0; HEAD as usize];
    file.read_exact(&mut head)?;
    let found = file.metadata()?;
    let head = serde_json::from_slice(head.trim_ascii_end())?;
    Ok(Some(Stored { head, bytes: found.len() - HEAD, modified: found.modified()?, file }))
}

/// The tag of an object that is made of parts with these tags.
pub(super) fn etag_of_parts<'a>(tags: impl Iterator<Item = &'a str>) -> String {
    let (mut hash, mut count) = (Sha256::new(), 0);
    for tag in tags {
        hash.update(tag);
        count += 1;
    }
    format!("{}-{count}", etag(hash))
}

/// A tag says nothing but whether bytes are the same; half of a hash is plenty.
fn etag(hash: Sha256) -> String {
    let mut tag = format!("{:x}", hash.finalize());
    tag.truncate(32);
    tag
}

/// A file that becomes an object or a part, or is removed when it is dropped.
pub(super) struct Fresh {
    path: PathBuf,
    file: BufWriter<tokio::fs::File>,
    hash: Sha256,
    placed: bool,
}

impl Fresh {
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes).await
    }

    /// Makes it an object, which replaces the one that was there.
    pub(super) async fn place(self, content_type: Option<String>, object: &Path) -> io::Result<Head> {
        self.finish(content_type, |fresh| place(fresh, object)).await
    }

    /// Makes it a part; [`io::ErrorKind::NotFound`] where its upload is over.
    pub(super) async fn place_part(self, part: &Path) -> io::Result<Head> {
        self.finish(None, |fresh| fs::rename(fresh, part)).await
    }

    async fn finish(
        mut self,
        content_type: Option<String>,
        place: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Head> {
        let head = Head { etag: etag(std::mem::take(&mut self.hash)), content_type };
        self.file.flush().await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        self.file.write_all(&written(&head)?).await?;
        self.file.flush().await?;
        self.file.get_ref().sync_all().await?;
        place(&self.path)?;
        self.placed = true;
        Ok(head)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.placed {
            // What stays is removed at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A head, padded to its length.
fn written(head: &Head) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(head)?;
    if line.len() >= HEAD as usize {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the content type is too long"));
    }
    line.resize(HEAD as usize - 1, b' ');
    line.push(b'\n');
    Ok(line)
}

fn place(from: &Path, to: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..TRIES {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        result = fs::rename(from, to);
        // Another request may have removed the folder when it was empty.
        match &result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            _ => return result,
        }
    }
    result
}

fn walk(folder: &Path, start: &str, keys: &mut Vec<String>) -> io::Result<()> {
    for name in names(folder)? {
        match name.strip_suffix(SUFFIX) {
            Some(last) => keys.push(format!("{start}{last}")),
            None => walk(&folder.join(&name), &format!("{start}{name}/"), keys)?,
        }
    }
    Ok(())
}

/// The names in a folder; none where it is gone.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Files, open};

    #[tokio::test]
    async fn a_key_is_a_path_below_the_objects_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        for key in ["", "/etc/passwd", "..", "a/../b", "a//b", "a/", "./a", "a\0b", "a.object/b"] {
            assert!(files.object(key).is_none(), "{key:?}");
        }
        for key in ["a", "a/b", "a.object", "requests/1/source"] {
            let mut fresh = files.fresh().await.unwrap();
            fresh.write(key.as_bytes()).await.unwrap();
            fresh.place(None, &files.object(key).unwrap()).await.unwrap();
        }
        assert_eq!(files.keys("").unwrap(), ["a", "a.object", "a/b", "requests/1/source"]);
        assert_eq!(files.keys("requests/1").unwrap(), ["requests/1/source"]);
        assert_eq!(files.keys("../").unwrap(), Vec::<String>::new());
        files.remove(&files.object("requests/1/source").unwrap()).unwrap();
        files.remove(&files.object("requests/1/source").unwrap()).unwrap();
        assert!(!folder.path().join("objects/requests").exists(), "empty folders go along");
    }

    #[tokio::test]
    async fn what_was_not_placed_is_gone_and_what_replaces_another_keeps_its_readers() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let object = files.object("a").unwrap();
        let mut fresh = files.fresh().await.unwrap();
        fresh.write(b"first").await.unwrap();
        let first = fresh.place(None, &object).await.unwrap();
        let mut reader = open(&object).unwrap().unwrap();
        let mut fresh = files.fresh().await.unwrap();
        fresh.write(b"second").await.unwrap();
        drop(files.fresh().await.unwrap());
        let second = fresh.place(None, &object).await.unwrap();
        assert_ne!(first.etag, second.etag);
        assert_eq!(std::io::read_to_string(&mut reader.file).unwrap(), "first");
        assert_eq!(open(&object).unwrap().unwrap().bytes, 6);
        assert_eq!(std::fs::read_dir(folder.path().join("fresh")).unwrap().count(), 0);
    }
}
