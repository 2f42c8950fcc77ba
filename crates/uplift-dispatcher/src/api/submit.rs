//! `POST /requests`: a new request, and the upload that waits for its dump.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use tracing::Instrument as _;
use uplift_core::{
    RequestId, Version,
    api::{Created, NewRequest},
    key,
};
use uplift_platform::{
    boot::trace::traceparent,
    ledger::{Bearer, LedgerError, Request, Submission, Submitted},
    objects::UploadId,
};

use super::{
    auth::Caller,
    problem::{ApiError, Result},
    scripts,
    uploads::Cut,
    view,
};
use crate::{Context, notify};

/// The longest name of a database, in characters.
const LONGEST_DATABASE: usize = 63;
/// The longest name of a dump that is kept, in characters.
const LONGEST_FILE_NAME: usize = 200;
/// The longest target, in bytes; versions are short.
const LONGEST_TARGET: usize = 32;
/// How far ahead a request may be booked.
const BOOKED_DAYS: i64 = 30;
/// The longest idempotency key, in bytes.
const LONGEST_KEY: usize = 255;

/// Creates a request; the scripts, where any are attached, and the dump's parts come next.
///
/// With the header `Idempotency-Key`, repeating the call gives the same request again.
#[utoipa::path(
    post, path = "/api/v1/requests", tag = "requests", request_body = NewRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key again is the same request again"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context that the request belongs to"),
    ),
    responses(
        (status = 201, body = Created, description = "The request is new"),
        (status = 200, body = Created, description = "The idempotency key was used before, for the same"),
        (status = 409, body = uplift_core::api::Problem, content_type = "application/problem+json",
            description = "Production without an accepted test or with other scripts than its test ran with, or an \
                idempotency key used for something else"),
        (status = 422, body = uplift_core::api::Problem, content_type = "application/problem+json",
            description = "A value is not accepted"),
    )
)]
pub(crate) async fn submit(
    State(context): State<Arc<Context>>,
    Caller(bearer): Caller,
    headers: HeaderMap,
    Json(wish): Json<NewRequest>,
) -> Result<Response> {
    let submission = Submission {
        request: RequestId::new(),
        target: target(&wish.target)?,
        booked_for: wish.not_before.map(|at| booked(at, context.clock.now())).transpose()?,
        source_bytes: match wish.growing {
            // A bound, which the database's size is, may well be beyond what the dump will have.
            true => bytes(wish.bytes.min(context.settings.max_dump_bytes), context.settings.max_dump_bytes)?,
            false => bytes(wish.bytes, context.settings.max_dump_bytes)?,
        },
        source_grows: wish.growing,
        email: wish.email.map(|address| email(&context, address)).transpose()?,
        source_name: file_name(&wish.file_name),
        result_format: wish.result_format,
        scripts: wish.scripts.map(scripts::accepted).transpose()?.map(|scripts| (scripts, String::new())),
        idempotency_key: idempotency_key(&headers)?,
        // Where this process records no traces, the client's own is what an attempt is linked to.
        traceparent: traceparent().or_else(|| trace_of(&headers)),
        upload_id: String::new(),
        database: database(wish.database)?,
        purpose: wish.purpose,
    };
    // A task of its own: a client that hangs up must not leave an upload that no row knows.
    let task = Arc::clone(&context);
    let recorded = async move { record(&task, &bearer, submission).await }.in_current_span();
    let submitted = tokio::spawn(recorded).await.map_err(ApiError::internal)?;
    match submitted? {
        Submitted::New(request) => {
            let location = HeaderValue::try_from(format!("/api/v1/requests/{}", request.id));
            let location = [(header::LOCATION, location.map_err(ApiError::internal)?)];
            Ok((StatusCode::CREATED, location, Json(created(&context, *request).await?)).into_response())
        }
        Submitted::Known(request) => Ok(Json(created(&context, *request).await?).into_response()),
    }
}

/// Starts the uploads, then records the request with them.
async fn record(context: &Context, bearer: &Bearer, mut submission: Submission) -> Result<Submitted> {
    let request = submission.request;
    let mut begun = Vec::new();
    let submitted: Result<Submitted> = async {
        submission.upload_id = begin(context, key::source(request), &mut begun).await?;
        if let Some((_, upload)) = &mut submission.scripts {
            *upload = begin(context, key::scripts(request), &mut begun).await?;
        }
        Ok(context.ledger.submit(bearer, &submission).await?)
    }
    .await;
    if !matches!(submitted, Ok(Submitted::New(_))) {
        abandon(context, request, &begun).await;
    }
    let submitted = submitted?;
    if let Submitted::New(request) = &submitted {
        tracing::info!(
            request.id = %request.id, request.purpose = %request.purpose, request.target = %request.target,
            account = request.account_name, bytes = submission.source_bytes,
            scripts.bytes = request.scripts.as_ref().map(|scripts| scripts.bytes), "a request was submitted"
        );
    }
    Ok(submitted)
}

/// Starts one upload, and notes it.
async fn begin(context: &Context, key: String, begun: &mut Vec<(String, UploadId)>) -> Result<String> {
    let upload = context.objects.start_upload(&key).await?;
    begun.push((key, upload.clone()));
    Ok(upload.0)
}

/// Aborts uploads unless their request is on record after all, as it may be when the answer to a commit was lost.
async fn abandon(context: &Context, request: RequestId, begun: &[(String, UploadId)]) {
    let aborted: anyhow::Result<()> = async {
        match context.ledger.request(None, request).await {
            Ok(_) => return Ok(()),
            Err(LedgerError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
        for (key, upload) in begun {
            context.objects.abort_upload(key, upload).await?;
        }
        Ok(())
    }
    .await;
    if let Err(error) = aborted {
        let error = format!("{error:#}");
        tracing::warn!(request.id = %request, error, "uploads may be left in the object store");
    }
}

async fn created(context: &Context, request: Request) -> Result<Created> {
    let cut = Cut::of(&request)?;
    let scripts = scripts::link(context, &request).await?;
    Ok(Created { request: view::request(request), part_bytes: cut.part_bytes, parts: cut.parts, scripts })
}

fn target(text: &str) -> Result<Version> {
    if text.len() > LONGEST_TARGET {
        return Err(ApiError::invalid(format!("`target` is longer than {LONGEST_TARGET} characters")));
    }
    text.parse().map_err(|error| ApiError::invalid(format!("`target`: {error}")))
}

fn bytes(bytes: u64, most: u64) -> Result<u64> {
    match bytes {
        0 => Err(ApiError::invalid("`bytes` is 0: an empty file is not a dump")),
        bytes if bytes > most => Err(ApiError::invalid(format!(
            "`bytes` is {bytes}: this installation takes dumps of {most} bytes at most"
        ))),
        bytes => Ok(bytes),
    }
}

/// An address that mail can go to from here.
fn email(context: &Context, address: String) -> Result<String> {
    if !context.mailer.sends() {
        return Err(ApiError::invalid(
            "this installation sends no mail: leave out `email`, or use a webhook",
        ));
    }
    notify::check_mail(&address).map_err(ApiError::invalid)?;
    Ok(address)
}

/// A time to begin at, in whole seconds: soon enough that the dump is not stale by then.
fn booked(at: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    if at < now - TimeDelta::minutes(5) {
        return Err(ApiError::invalid(format!(
            "`not_before` is {at}, which is over: leave it out to begin at once"
        )));
    }
    if at > now + TimeDelta::days(BOOKED_DAYS) {
        return Err(ApiError::invalid(format!(
            "`not_before` is {at}: it may be {BOOKED_DAYS} days from now at most"
        )));
    }
    Ok(at.trunc_subsecs(0))
}

fn database(name: String) -> Result<String> {
    name_of("database", &name).map_err(ApiError::invalid)?;
    Ok(name)
}

/// Checks a name that a person chose.
pub(super) fn name_of(field: &str, name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name.chars().count() > LONGEST_DATABASE || name.chars().any(char::is_control)
    {
        return Err(format!(
            "`{field}` has to have 1 to {LONGEST_DATABASE} characters, none of them a control character"
        ));
    }
    Ok(())
}

/// The last part of a path, whatever system it is from, without what would disturb a terminal.
fn file_name(path: &str) -> String {
    let last = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !c.is_control()).take(LONGEST_FILE_NAME).collect();
    match name.trim() {
        "" | "." | ".." => "dump".to_owned(),
        name => name.to_owned(),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=LONGEST_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(ApiError::invalid(format!(
            "the header Idempotency-Key has to have 1 to {LONGEST_KEY} characters, all of them visible ASCII"
        ))),
    }
}

/// The client's trace, where it sends a well-formed one: `00-{32 hex}-{16 hex}-{2 hex}`.
fn trace_of(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let lengths = [2, 32, 16, 2];
    let fields: Vec<&str> = text.split('-').collect();
    let well_formed = fields.len() == lengths.len()
        && fields.iter().zip(lengths).all(|(field, length)| {
            field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
    well_formed.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn a_file_name_is_a_name() {
        assert_eq!(file_name("/home/me/dump.sql.gz"), "dump.sql.gz");
        assert_eq!(file_name(r"C:\Temp\übung.dump"), "übung.dump");
        assert_eq!(file_name("a\u{1b}[31mb\n"), "a[31mb");
        for nothing in ["", "..", "x/", " "] {
            assert_eq!(file_name(nothing), "dump", "{nothing:?}");
        }
        assert_eq!(file_name(&"ü".repeat(300)).chars().count(), LONGEST_FILE_NAME);
    }

    #[test]
    fn a_database_has_a_short_printable_name() {
        assert!(database("ü".repeat(63)).is_ok());
        for name in ["", " ", "a\0", "a\nb", &"a".repeat(64)] {
            assert!(database(name.to_owned()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_dump_is_neither_empty_nor_larger_than_allowed() {
        assert!(bytes(0, 10).is_err());
        assert_eq!(bytes(10, 10).unwrap(), 10);
        assert!(bytes(11, 10).unwrap_err().detail.contains("10 bytes at most"));
    }

    #[test]
    fn only_a_well_formed_trace_is_kept() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_of(&headers("traceparent", good)).as_deref(), Some(good));
        for bad in ["", "00-x", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", &good[1..]] {
            assert_eq!(trace_of(&headers("traceparent", bad)), None, "{bad}");
        }
    }

    #[test]
    fn an_idempotency_key_is_short_and_visible() {
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        assert_eq!(idempotency_key(&headers("idempotency-key", "a b")).unwrap().as_deref(), Some("a b"));
        assert!(idempotency_key(&headers("idempotency-key", "")).is_err());
        assert!(idempotency_key(&headers("idempotency-key", &"a".repeat(256))).is_err());
    }
}
