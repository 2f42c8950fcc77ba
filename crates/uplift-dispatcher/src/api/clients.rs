//! The way in for a machine that has nothing yet: a small script, and the command line's program that it fetches.

use std::{io, path::Path, sync::Arc, time::SystemTime};

use axum::{
    body::Body,
    extract::{self, State},
    http::{HeaderMap, HeaderValue, header, uri::Authority},
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::problem::{ApiError, Kind, Result};
use crate::Context;

const SCRIPT: &str = include_str!("upgrade.py");

/// What a file was when its digest was made.
pub(crate) type Seen = (u64, Option<SystemTime>);

/// A script that fetches the command line's program from here, checks it, keeps it, and hands its arguments over:
/// `python3 <(curl -s https://HOST/upgrade) test -d DBNAME -t VERSION`.
#[utoipa::path(
    get, path = "/upgrade", tag = "health", security(()),
    responses(
        (status = 200, body = String, content_type = "text/x-python"),
        (status = 404, body = uplift_core::api::Problem, content_type = "application/problem+json",
            description = "This installation was given no program to hand out"),
    )
)]
pub(super) async fn script(State(context): State<Arc<Context>>, headers: HeaderMap) -> Result<Response> {
    let clients = &context.settings.clients;
    if clients.is_empty() {
        return Err(ApiError::new(
            Kind::NotFound,
            "this installation hands out no program: ask whoever runs it to name some under [dispatcher.clients]",
        ));
    }
    let mut digests = serde_json::Map::new();
    for (platform, path) in clients {
        digests.insert(platform.clone(), digest(&context, path).await.map_err(ApiError::internal)?.into());
    }
    // JSON of plain strings is Python as well.
    let server = serde_json::Value::from(server(&context, &headers)?).to_string();
    let script = SCRIPT
        .replace("@SERVER@", &server)
        .replace("@CLIENTS@", &serde_json::Value::from(digests).to_string());
    Ok((
        [(header::CONTENT_TYPE, "text/x-python; charset=utf-8"), (header::CACHE_CONTROL, "no-store")],
        script,
    )
        .into_response())
}

/// The command line's program for a platform, such as `linux-x86_64`.
#[utoipa::path(
    get, path = "/clients/{platform}", tag = "health", security(()), params(("platform" = String, Path)),
    responses(
        (status = 200, content_type = "application/octet-stream"),
        (status = 404, body = uplift_core::api::Problem, content_type = "application/problem+json",
            description = "There is none for this platform"),
    )
)]
pub(super) async fn program(
    State(context): State<Arc<Context>>,
    extract::Path(platform): extract::Path<String>,
) -> Result<Response> {
    // Looked up, never made into a path.
    let path = context.settings.clients.get(&platform);
    let path =
        path.ok_or_else(|| ApiError::new(Kind::NotFound, format!("there is no program for `{platform}`")))?;
    let file = File::open(path).await.map_err(ApiError::internal)?;
    let bytes = file.metadata().await.map_err(ApiError::internal)?.len();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(bytes)),
    ];
    Ok((headers, Body::from_stream(ReaderStream::with_capacity(file, 256 << 10))).into_response())
}

/// How the caller has reached us: what is configured, else what it asked for.
fn server(context: &Context, headers: &HeaderMap) -> Result<String> {
    if let Some(url) = &context.settings.public_url {
        return Ok(url.as_str().trim_end_matches('/').to_owned());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = if text("x-forwarded-proto") == Some("https") { "https" } else { "http" };
    let host = text("host").and_then(|host| host.parse::<Authority>().ok());
    // A name and a password before the host are nobody's business here.
    let host = host.filter(|host| !host.as_str().contains('@'));
    let host = host.ok_or_else(|| ApiError::invalid("the request names no host: send the header Host"))?;
    Ok(format!("{scheme}://{host}"))
}

/// The digest of a program, made anew when the file has changed.
async fn digest(context: &Context, path: &Path) -> io::Result<String> {
    let metadata = tokio::fs::metadata(path).await?;
    let seen: Seen = (metadata.len(), metadata.modified().ok());
    if let Some((_, digest)) = context.clients.lock().await.get(path).filter(|(before, _)| *before == seen) {
        return Ok(digest.clone());
    }
    let file = std::fs::File::open(path)?;
    let digest = tokio::task::spawn_blocking(move || -> io::Result<String> {
        let mut hash = Sha256::new();
        io::copy(&mut io::BufReader::with_capacity(256 << 10, file), &mut hash)?;
        Ok(format!("{:x}", hash.finalize()))
    });
    let digest = digest.await.map_err(io::Error::other)??;
    context.clients.lock().await.insert(path.to_owned(), (seen, digest.clone()));
    Ok(digest)
}
