//! A request's log: whole as text, or followed as server-sent events.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use secrecy::SecretString;
use serde::Deserialize;
use uplift_core::{RequestId, ansi, api, event::Level};
use uplift_platform::ledger::{LedgerError, LogLine};

use super::{
    auth::Caller,
    problem::{ApiError, Result},
    view,
};
use crate::Context;

/// How long a follower waits before it asks the ledger again.
const POLL: Duration = Duration::from_millis(500);
/// How often a follower's token is looked at again.
const RECHECK: Duration = Duration::from_secs(5);
/// How often a silent stream shows that it is alive; proxies cut silent connections after a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to begin.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// Only lines behind this one; lines are numbered from 1. The header `Last-Event-ID` wins.
    after: Option<u64>,
}

/// The log so far as text; or, with `Accept: text/event-stream`, a stream that goes on until the request has ended.
///
/// The stream's events: `line`, whose id is the line's number and whose data is a `LogLine`; and at last `end`,
/// whose data is the `Request`. A stream that ends without `end` is to be opened again with `Last-Event-ID`; so ends one
/// whose token is revoked or expires.
#[utoipa::path(
    get, path = "/api/v1/requests/{id}/log", tag = "requests",
    params(
        ("id" = uuid::Uuid, Path),
        LogQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "The number of the last line received"),
    ),
    responses((status = 200, content(
        (String = "text/plain"),
        (api::LogLine = "text/event-stream"),
    )))
)]
pub(crate) async fn log(
    State(context): State<Arc<Context>>,
    caller: Caller,
    Path(id): Path<RequestId>,
    Query(query): Query<LogQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let viewer =
        Viewer { caller, cookie: None, line: |_, line| Ok(Event::default().json_data(view::line(line))?) };
    follow(context, viewer, Path(id), Query(query), headers).await
}

/// Who looks at a log, and how its lines are shown to them.
pub(crate) struct Viewer {
    pub(crate) caller: Caller,
    /// What a page's visitor shows: they see it for as long as they are logged in.
    pub(crate) cookie: Option<SecretString>,
    /// A line with its number as an event.
    pub(crate) line: fn(u64, &LogLine) -> anyhow::Result<Event>,
}

/// The log for somebody, as text or followed.
pub(crate) async fn follow(
    context: Arc<Context>,
    viewer: Viewer,
    Path(id): Path<RequestId>,
    Query(query): Query<LogQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    context.ledger.request(viewer.caller.scope(), id).await?;
    let line = last_event(&headers)?.or(query.after).unwrap_or(0);
    if !wants_events(&headers) {
        let body = Body::from_stream(text(context, id, line));
        return Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response());
    }
    let follower = Follower {
        context,
        viewer,
        checked_at: Instant::now(),
        id,
        line,
        ready: VecDeque::new(),
        ended: false,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("still here");
    // Proxies that buffer would make a live log a late one.
    let unbuffered = [("x-accel-buffering", "no")];
    Ok((unbuffered, Sse::new(events(follower)).keep_alive(keep_alive)).into_response())
}

fn wants_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/event-stream"))
}

fn last_event(headers: &HeaderMap) -> Result<Option<u64>> {
    let Some(id) = headers.get("last-event-id") else { return Ok(None) };
    match id.to_str().unwrap_or_default() {
        // What a client sends before it has seen a line.
        "" => Ok(None),
        id => id
            .parse()
            .map(Some)
            .map_err(|_| ApiError::invalid("the header Last-Event-ID has to be the number of a line")),
    }
}

/// The log so far, page by page. An error cuts the answer off, which every client notices.
fn text(context: Arc<Context>, id: RequestId, line: u64) -> impl Stream<Item = Result<Bytes, LedgerError>> {
    stream::try_unfold((context, line), move |(context, line)| async move {
        let page = context.ledger.log_after(id, line).await?;
        let Some((last, _)) = page.lines.last() else { return Ok(None) };
        let last = *last;
        let mut text = String::new();
        for (_, line) in &page.lines {
            write_line(&mut text, line);
        }
        Ok(Some((Bytes::from(text), (context, last))))
    })
}

/// Adds `2026-11-21T05:48:00.123Z info text`. Whatever is no plain character is escaped: the text may come out of a
/// dump, and the log is read on terminals.
fn write_line(out: &mut String, line: &LogLine) {
    let level = match line.level {
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    // Writing to a String cannot fail.
    let _ = write!(out, "{} {level} ", line.at.format("%Y-%m-%dT%H:%M:%S%.3fZ"));
    for c in ansi::without(&line.text).chars() {
        if c.is_control() && c != '\t' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('\n');
}

/// Follows a log. All that it remembers is the last line sent; the rest is asked again every time, so that it does
/// not matter which dispatcher, or how many of them, a client has followed before.
struct Follower {
    context: Arc<Context>,
    viewer: Viewer,
    checked_at: Instant,
    id: RequestId,
    line: u64,
    ready: VecDeque<Event>,
    ended: bool,
}

/// The stream ends behind the event `end`, when the dispatcher stops, when the caller may not see it any more, or when
/// the ledger fails.
fn events(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            match self.look().await {
                Ok(true) => {}
                // Its client comes back, and is told why.
                Ok(false) => return None,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(request.id = %self.id, error, "a log is followed no more: its client will come back");
                    return None;
                }
            }
            if self.ready.is_empty() {
                tokio::select! {
                    () = self.context.stopping.cancelled() => return None,
                    () = tokio::time::sleep(POLL) => {}
                }
            } else if self.context.stopping.is_cancelled() {
                return None;
            }
        }
    }

    /// Collects what is new; `false` where the caller's token is good no more, or they have logged out. The request is read
    /// before its lines: once it has ended nothing is added to them, so that lines read afterwards are all there are.
    async fn look(&mut self) -> anyhow::Result<bool> {
        if self.checked_at.elapsed() >= RECHECK {
            let ledger = &self.context.ledger;
            let valid = match &self.viewer.cookie {
                Some(cookie) => ledger.login(cookie, true).await?.is_some(),
                None => ledger.token_is_valid(self.viewer.caller.0.token).await?,
            };
            if !valid {
                return Ok(false);
            }
            self.checked_at = Instant::now();
        }
        let request = self.context.ledger.request(self.viewer.caller.scope(), self.id).await?;
        let ended = request.state.code().is_final();
        let page = self.context.ledger.log_after(self.id, self.line).await?;
        if page.lines.is_empty() && ended {
            self.ended = true;
            self.ready.push_back(Event::default().event("end").json_data(view::request(request))?);
        }
        for (number, line) in page.lines {
            let event = (self.viewer.line)(number, &line)?;
            self.ready.push_back(event.event("line").id(number.to_string()));
            self.line = number;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_text_is_one_line() {
        let at = "2026-11-21T05:48:00.1234Z".parse().unwrap();
        let mut text = String::new();
        write_line(
            &mut text,
            &LogLine { at, level: Level::Warning, text: "zwölf\nli\u{1b}[31mne\t\u{1b}[2J".into() },
        );
        assert_eq!(text, "2026-11-21T05:48:00.123Z warning zwölf\\nline\t\\u{1b}[2J\n");
    }

    #[test]
    fn a_client_goes_on_where_it_stopped() {
        let headers =
            |value: &str| HeaderMap::from_iter([("last-event-id".parse().unwrap(), value.parse().unwrap())]);
        assert_eq!(last_event(&HeaderMap::new()).unwrap(), None);
        assert_eq!(last_event(&headers("")).unwrap(), None);
        assert_eq!(last_event(&headers("42")).unwrap(), Some(42));
        assert!(last_event(&headers("-1")).is_err());
    }
}
