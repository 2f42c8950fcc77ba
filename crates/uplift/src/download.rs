//! Fetching what a request delivered: under a hidden name first, checked, and only then under its own.

use std::{
    fs,
    io::{Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;
use reqwest::{Method, Response, StatusCode, header};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::time::timeout;
use uplift_core::api::{self, ResultView};
use url::Url;
use uuid::Uuid;

use crate::{
    backoff::Backoff,
    client::{Patience, header_text, innermost},
    context::Context,
    print, text,
};

/// A download is given up after so many attempts in a row that brought nothing.
const ATTEMPTS: u32 = 10;
/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_secs(30);
/// What the API calls the upgraded dump.
const RESULT: &str = "result";
/// No byte has come for so long: the connection is dead.
const SILENCE: Duration = Duration::from_secs(60);

/// Where files go, what they are called, and whether they may replace others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folder<'a> {
    pub(crate) path: &'a Path,
    pub(crate) overwrite: bool,
    pub(crate) names: Names<'a>,
}

/// What fetched files are called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Names<'a> {
    /// As the server says, by database and target: files of several requests can lie side by side.
    Request,
    /// `upgraded.*`, `report.html`, `report.json`: the folder is this request's, and a script knows what is in it.
    Folder {
        /// The version that was asked for, behind which the server's names end.
        target: &'a str,
    },
}

impl Folder<'_> {
    /// Makes the folder, so that what cannot be written is known before anything is fetched or even uploaded.
    pub(crate) fn prepare(&self) -> anyhow::Result<()> {
        let shown = self.path.display();
        fs::create_dir_all(self.path).with_context(|| format!("make the folder {shown}"))?;
        tempfile::tempfile_in(self.path).with_context(|| format!("write into the folder {shown}"))?;
        Ok(())
    }

    /// Where what the server calls so is to go.
    fn place(&self, what: &str, name: &str) -> anyhow::Result<PathBuf> {
        match self.names {
            Names::Request => self.target(name),
            Names::Folder { target } => {
                let end = name.rsplit_once(&format!("-{target}.")).map_or(name, |(_, end)| end);
                self.target(&if what == RESULT { format!("upgraded.{end}") } else { end.to_owned() })
            }
        }
    }

    fn target(&self, name: &str) -> anyhow::Result<PathBuf> {
        let target = self.path.join(plain(name)?);
        if target.exists() && !self.overwrite {
            let shown = target.display();
            bail!("{shown} is there already: give --force to replace it, or another --out");
        }
        Ok(target)
    }
}

/// The upgraded dump.
pub(crate) async fn result(
    context: &Context,
    request: Uuid,
    view: &ResultView,
    folder: Folder<'_>,
) -> anyhow::Result<PathBuf> {
    let source = Source { context, request: request.to_string(), what: RESULT, query: &[] };
    source.fetch(folder, Some(view)).await
}

/// What was handed in.
pub(crate) async fn source(context: &Context, request: Uuid, folder: Folder<'_>) -> anyhow::Result<PathBuf> {
    let source = Source { context, request: request.to_string(), what: "source", query: &[] };
    source.fetch(folder, None).await
}

/// The report, for people and for programs.
pub(crate) async fn report(
    context: &Context,
    request: Uuid,
    folder: Folder<'_>,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for query in [[("format", "html")], [("format", "json")]] {
        let source = Source { context, request: request.to_string(), what: "report", query: &query };
        files.push(source.fetch(folder, None).await?);
    }
    Ok(files)
}

/// The request's log.
pub(crate) async fn log(context: &Context, request: Uuid, folder: Folder<'_>) -> anyhow::Result<PathBuf> {
    let target = folder.target("upgrade.log")?;
    let client = &context.client;
    let mut file = NamedTempFile::with_prefix_in(".uplift-", folder.path)
        .with_context(|| format!("write into the folder {}", folder.path.display()))?;
    let ask = client.request(Method::GET, &["requests", &request.to_string(), "log"]);
    let mut log = client.stream(ask).await?;
    while let Some(bytes) = client.next(&mut log).await? {
        file.write_all(&bytes).with_context(|| format!("write {}", file.path().display()))?;
    }
    persist(file, &target, folder.overwrite).with_context(|| format!("finish {}", target.display()))?;
    Ok(target)
}

/// What lies ready at the dispatcher.
struct Source<'a> {
    context: &'a Context,
    request: String,
    what: &'static str,
    query: &'a [(&'a str, &'a str)],
}

impl Source<'_> {
    async fn link(&self) -> anyhow::Result<api::Download> {
        let path = ["requests", &self.request, self.what];
        Ok(self.context.client.get(&path, self.query, Patience::Long).await?)
    }

    async fn fetch(&self, folder: Folder<'_>, expected: Option<&ResultView>) -> anyhow::Result<PathBuf> {
        let mut link = self.link().await?;
        let target = folder.place(self.what, &link.file_name)?;
        let shown = target.display();
        let mut partial = Partial {
            // It is removed when it goes out of scope, and its mode lets only its owner read it.
            file: NamedTempFile::with_prefix_in(".uplift-", folder.path)
                .with_context(|| format!("write into the folder {}", folder.path.display()))?,
            hash: Sha256::new(),
            bytes: 0,
            total: expected.map(|expected| expected.bytes),
            bar: print::bytes_bar("downloading", expected.map_or(0, |expected| expected.bytes)),
        };
        let mut backoff = Backoff::new(PAUSE);
        let mut left = ATTEMPTS;
        loop {
            let before = partial.bytes;
            let error = match partial.go_on(self.context.client.store(), &link.url).await {
                Ok(()) => break,
                Err(Stopped::Disk(error)) => {
                    return Err(error).with_context(|| format!("write {}", partial.file.path().display()));
                }
                Err(Stopped::Line(error)) => error,
            };
            left = if partial.bytes > before { ATTEMPTS } else { left - 1 };
            if left == 0 {
                bail!("fetch {shown}: {error}; try again later with `uplift download {}`", self.request);
            }
            partial
                .bar
                .suspend(|| self.context.print.note(&format!("the download broke ({error}); trying again")));
            backoff.pause().await;
            // The link may have expired meanwhile.
            link = self.link().await?;
        }
        if let Some(expected) = expected {
            partial.check(expected).with_context(|| format!("check {shown}"))?;
        }
        partial.finish(&target, folder.overwrite).with_context(|| format!("finish {shown}"))?;
        Ok(target)
    }
}

/// What has come so far.
struct Partial {
    file: NamedTempFile,
    hash: Sha256,
    bytes: u64,
    total: Option<u64>,
    bar: ProgressBar,
}

/// Why a transfer stopped.
enum Stopped {
    /// It may go on later.
    Line(String),
    /// There is no use.
    Disk(std::io::Error),
}

impl Partial {
    /// Fetches what is missing, as far as the connection carries.
    async fn go_on(&mut self, store: &reqwest::Client, url: &Url) -> Result<(), Stopped> {
        if self.total == Some(self.bytes) && self.bytes > 0 {
            return Ok(());
        }
        let get = store.get(url.clone());
        let get =
            if self.bytes > 0 { get.header(header::RANGE, format!("bytes={}-", self.bytes)) } else { get };
        let response = timeout(SILENCE, get.send()).await.map_err(|_| silence())?;
        let mut response = response.map_err(|error| Stopped::Line(innermost(&error)))?;
        self.place(&response)?;
        loop {
            let chunk = timeout(SILENCE, response.chunk()).await.map_err(|_| silence())?;
            let Some(chunk) = chunk.map_err(|error| Stopped::Line(innermost(&error)))? else { break };
            self.file.write_all(&chunk).map_err(Stopped::Disk)?;
            self.hash.update(&chunk);
            self.bytes += chunk.len() as u64;
            self.bar.set_position(self.bytes);
        }
        match self.total {
            Some(total) if self.bytes < total => Err(Stopped::Line("the connection ended early".into())),
            _ => Ok(()),
        }
    }

    /// Whether the answer goes on where we are; if it begins anew, so do we.
    fn place(&mut self, response: &Response) -> Result<(), Stopped> {
        let here = format!("bytes {}-", self.bytes);
        let range = header_text(response, header::CONTENT_RANGE).unwrap_or_default();
        match response.status() {
            StatusCode::PARTIAL_CONTENT if range.starts_with(&here) => Ok(()),
            StatusCode::OK => {
                self.file.as_file().set_len(0).map_err(Stopped::Disk)?;
                self.file.rewind().map_err(Stopped::Disk)?;
                self.hash = Sha256::new();
                self.bytes = 0;
                self.total = self.total.or(response.content_length());
                self.bar.set_length(self.total.unwrap_or(0));
                Ok(())
            }
            status => Err(Stopped::Line(format!("the store answered {status}"))),
        }
    }

    fn check(&self, expected: &ResultView) -> anyhow::Result<()> {
        let sha256 =
            self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        if self.bytes != expected.bytes || sha256 != expected.sha256 {
            bail!(
                "{} with sha256 {sha256} came, {} with {} were promised; nothing was kept, try again",
                text::bytes(self.bytes),
                text::bytes(expected.bytes),
                expected.sha256
            );
        }
        Ok(())
    }

    fn finish(self, target: &Path, overwrite: bool) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        persist(self.file, target, overwrite)
    }
}

/// Gives a file its name, once it is whole.
fn persist(file: NamedTempFile, target: &Path, overwrite: bool) -> anyhow::Result<()> {
    file.as_file().sync_all()?;
    if overwrite { file.persist(target) } else { file.persist_noclobber(target) }?;
    Ok(())
}

fn silence() -> Stopped {
    Stopped::Line("nothing comes any more".into())
}

/// The name that the server gives is used as a name only, never as a path, and never as a hidden file's.
fn plain(name: &str) -> anyhow::Result<&str> {
    let sound = !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && !name.contains(['/', '\\', '\0'])
        && !name.chars().any(char::is_control);
    if !sound {
        bail!("the server calls the file `{}`, which is no plain name", text::line(name));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Folder, Names, RESULT, plain};

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["", ".", "..", "../x", "/etc/passwd", "a\\b", ".bashrc", "a\u{1b}b", "a\nb"] {
            assert!(plain(name).is_err(), "{name:?}");
        }
        assert_eq!(plain("shop-18.0.sql.gz").unwrap(), "shop-18.0.sql.gz");
        assert_eq!(plain("Größe.sql").unwrap(), "Größe.sql");
    }

    #[test]
    fn nothing_is_overwritten_unasked() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("shop.sql"), "old").unwrap();
        let of = |overwrite| Folder { path: folder.path(), overwrite, names: Names::Request };
        assert!(of(false).target("shop.sql").is_err());
        assert!(of(true).target("shop.sql").is_ok());
        assert!(of(false).target("other.sql").is_ok());
    }

    #[test]
    fn a_folder_of_one_request_has_names_that_a_script_knows() {
        let place = |names, what, name| {
            let folder = Folder { path: "out".as_ref(), overwrite: true, names };
            folder.place(what, name).unwrap().to_str().unwrap().to_owned()
        };
        let own = Names::Folder { target: "3.0" };
        assert_eq!(place(own, RESULT, "shop-3.0.sql.gz"), "out/upgraded.sql.gz");
        assert_eq!(place(own, RESULT, "shop-3.0.x-3.0.dump"), "out/upgraded.dump");
        assert_eq!(place(own, "report", "shop-3.0.report.json"), "out/report.json");
        assert_eq!(place(Names::Request, RESULT, "shop-3.0.sql.gz"), "out/shop-3.0.sql.gz");
    }
}
