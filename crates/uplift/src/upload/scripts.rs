//! A customer's own scripts: one archive, small enough to be held in memory and sent in one piece.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use uplift_core::{Scripts, api::UploadState, scripts::MAX_BYTES};
use url::Url;
use uuid::Uuid;

use super::put::{Attempts, Refusal, put};
use crate::{client::Patience, context::Context, exit::UsageError, print};

/// An archive, as it was when it was read.
#[derive(Debug)]
pub(crate) struct ScriptsFile {
    path: PathBuf,
    bytes: Bytes,
    named: Scripts,
}

impl ScriptsFile {
    /// Reads an archive, and looks at its content as far as it takes to tell that it is one.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let metadata = fs::metadata(path).with_context(|| format!("look at the scripts {shown}"))?;
        if metadata.is_dir() {
            let hint = format!(
                "pack it: tar -czf scripts.tar.gz -C {} .",
                crate::text::argument(&path.to_string_lossy())
            );
            return Err(UsageError(format!("{shown} is a folder, and scripts are one file; {hint}")).into());
        }
        let mut bytes = Vec::new();
        let file = File::open(path).with_context(|| format!("open the scripts {shown}"))?;
        // One more than may be, whatever the length was a moment ago.
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .with_context(|| format!("read the scripts {shown}"))?;
        if bytes.len() as u64 > MAX_BYTES {
            let most = MAX_BYTES >> 20;
            let hint = "leave out what no upgrade runs, such as .git or static files";
            return Err(UsageError(format!(
                "{shown} has more than {most} MiB, which scripts may have; {hint}"
            ))
            .into());
        }
        check(&bytes).map_err(|reason| UsageError(format!("{shown} {reason}")))?;
        let named = Scripts { bytes: bytes.len() as u64, sha256: format!("{:x}", Sha256::digest(&bytes)) };
        Ok(Self { path: path.to_owned(), bytes: bytes.into(), named })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What to call it towards people.
    pub(crate) fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Its length and its digest.
    pub(crate) const fn named(&self) -> &Scripts {
        &self.named
    }
}

/// Sends the scripts until the store has them.
pub(crate) async fn send(
    context: &Context,
    request: Uuid,
    scripts: &ScriptsFile,
    link: Url,
) -> anyhow::Result<()> {
    let bar = print::bytes_bar("uploading the scripts", scripts.named.bytes);
    let mut attempts = Attempts::new();
    let mut next = Some(link);
    // Where there is no link any more, they are there.
    while let Some(link) = next {
        let Err(error) = put(&context.client, &bar, &link, &scripts.bytes).await else { break };
        let expired = error.blames_link();
        let tell = |error: &Refusal| {
            bar.suspend(|| context.print.note(&format!("the scripts: {error}; trying again")));
        };
        attempts.after(error, tell).await.context("send the scripts")?;
        next = if expired {
            fresh_link(context, request).await.context("send the scripts")?
        } else {
            Some(link)
        };
    }
    bar.finish_and_clear();
    Ok(())
}

async fn fresh_link(context: &Context, request: Uuid) -> anyhow::Result<Option<Url>> {
    let path = ["requests", &request.to_string(), "upload"];
    let state: UploadState = context.client.get(&path, &[], Patience::Long).await?;
    Ok(state.scripts)
}

/// Whether these bytes begin as an archive that holds a file; else what they are, and what to do.
fn check(bytes: &[u8]) -> Result<(), String> {
    let found = match bytes {
        [] => return Err("is empty: did the packing fail? Make it again".into()),
        [b'P', b'K', 3, 4, ..] => Ok(true),
        [b'P', b'K', 5, 6, ..] => Ok(false),
        [0x1f, 0x8b, ..] => tar_has_files(MultiGzDecoder::new(bytes)),
        _ => tar_has_files(bytes),
    };
    match found {
        Ok(true) => Ok(()),
        Ok(false) => Err("is an archive without a file in it: did the packing fail? Make it again".into()),
        Err(_) => {
            Err("is neither a zip nor a tar, raw or gzip, or it is damaged; to pack a folder of scripts: \
                       tar -czf scripts.tar.gz -C FOLDER ."
                .into())
        }
    }
}

/// Reads up to the first file. A header that has not the checksum of a tar's is an error.
fn tar_has_files(bytes: impl Read) -> io::Result<bool> {
    for entry in tar::Archive::new(bytes).entries()? {
        if entry?.header().entry_type().is_file() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::exit::Exit;

    fn tar(names: &[&str]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            if name.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
            }
            header.set_size(0);
            archive.append_data(&mut header, name, io::empty()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn archives_are_told_by_their_content() {
        let whole = tar(&["upgrade/", "upgrade/sale/", "upgrade/sale/18.0.1.0/pre-one.py"]);
        for good in [whole.clone(), gzip(&whole), b"PK\x03\x04and so on".to_vec()] {
            assert_eq!(check(&good), Ok(()));
        }
        let long = format!("upgrade/{}/pre-one.py", "long".repeat(50));
        assert_eq!(check(&tar(&[&long])), Ok(()), "the name of an entry may be an entry of its own");

        let says = |bytes: &[u8], word: &str| {
            let said = check(bytes).unwrap_err();
            assert!(said.contains(word), "{said}");
        };
        says(b"", "is empty");
        for empty in [tar(&[]), gzip(&tar(&["upgrade/"])), b"PK\x05\x06and so on".to_vec()] {
            says(&empty, "without a file in it");
        }
        let cut = &gzip(&whole)[..20];
        let packed_zip = gzip(b"PK\x03\x04and so on");
        for bad in [
            b"def migrate(cr, version):\n    pass\n",
            &*gzip(b"-- PostgreSQL database dump\n"),
            cut,
            &packed_zip,
        ] {
            says(bad, "neither a zip nor a tar, raw or gzip, or it is damaged");
        }
    }

    #[test]
    fn what_is_no_archive_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let read = |path: &Path| {
            let error = ScriptsFile::read(path).unwrap_err();
            (Exit::of(&error), format!("{error:#}"))
        };
        let (exit, said) = read(folder.path());
        assert_eq!(exit, Exit::Usage);
        assert!(said.contains("is a folder") && said.contains("tar -czf"), "{said}");
        assert_eq!(read(&folder.path().join("missing.zip")).0, Exit::Error);

        let file = folder.path().join("scripts.tar.gz");
        fs::write(&file, "").unwrap();
        assert_eq!(read(&file).0, Exit::Usage);
        File::create(&file).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let (exit, said) = read(&file);
        assert_eq!(exit, Exit::Usage);
        assert!(said.contains("has more than 64 MiB, which scripts may have; leave out"), "{said}");
    }

    #[test]
    fn an_archive_is_named_by_its_length_and_digest() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes = tar(&["one.py"]);
        fs::write(file.path(), &bytes).unwrap();
        let scripts = ScriptsFile::read(file.path()).unwrap();
        let sha256 = format!("{:x}", Sha256::digest(&bytes));
        assert_eq!(scripts.named(), &Scripts { bytes: bytes.len() as u64, sha256 });
    }
}
