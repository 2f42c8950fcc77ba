//! A request, with all that it has gone through.

use std::sync::Arc;

use askama::Template;
use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Redirect, Response, sse::Event},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uplift_core::{
    Purpose, RequestId,
    api::{self, HeldKind, Text},
    event::Stage,
    request::StateCode,
};
use uplift_platform::ledger::{
    AttemptEntry, Entry, Intervention, LedgerError, LogLine, OverrideEntry, Request, Which,
};

use super::{
    ansi, databases,
    fields::Fields,
    frame::{Frame, PageError, Result, answer, page},
    visitor::{Sent, Visitor, cookie},
    words,
};
use crate::{
    Context,
    api::{self as calls, ApiError, view},
};

/// How many lines of a log a page shows at most.
const LINES: usize = 1000;

/// A report brings its style with it, and nothing else: what of a customer's data is in it runs nowhere.
const REPORT: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; sandbox";

/// How many lines stand before the one that is asked for.
const BEFORE: u64 = 30;

/// Where the log begins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Place {
    /// The line to look at.
    line: Option<u64>,
}

#[derive(Template)]
#[template(path = "request.html")]
struct RequestPage {
    frame: Frame,
    now: DateTime<Utc>,
    request: api::Request,
    explanation: api::Explanation,
    attempts: Vec<AttemptEntry>,
    interventions: Vec<Intervention>,
    overrides: Vec<OverrideEntry>,
    audit: Vec<Entry>,
    lines: Vec<(u64, LogLine)>,
    first_error: Option<u64>,
    /// Whether there is more before and behind what is shown.
    cut: (bool, bool),
    /// Whether its customer, or an operator, looks at it.
    own: bool,
    /// The dump that a page may go on to send.
    upload: Option<Upload>,
    typed: Fields,
}

/// A dump that is not here yet.
struct Upload {
    name: String,
    bytes: u64,
}

impl Upload {
    /// Of a request that awaits one; not where a command line sends it as it grows, or sends scripts too.
    fn of(request: &Request) -> Option<Self> {
        let awaited = request.state.code() == StateCode::AwaitingUpload;
        let by_page = !request.source_grows && request.scripts.is_none();
        let bytes = request.source_bytes.filter(|_| awaited && by_page)?;
        Some(Self { name: request.source_name.clone(), bytes })
    }
}

impl RequestPage {
    fn is_final(&self) -> bool {
        self.request.state.is_final()
    }

    /// The number of the last line shown: where a live log goes on.
    fn last(&self) -> u64 {
        self.lines.last().map_or(0, |(number, _)| *number)
    }

    fn standing(&self) -> String {
        standing(&self.request)
    }

    /// The stages of an upgrade, in order.
    fn stages() -> [&'static str; 6] {
        Stage::ALL.map(Stage::as_str)
    }

    /// Whether what is shown goes to the end, so that what comes next belongs below it.
    fn is_live(&self) -> bool {
        !self.is_final() && !self.cut.1
    }

    /// Whether it waits since its accepted test ran otherwise, or for a hop: what an operator may let pass.
    fn may_be_waived(&self) -> bool {
        let kind = self.request.held.as_ref().map(|held| held.kind);
        self.request.purpose == Purpose::Production
            && matches!(kind, Some(HeldKind::Production | HeldKind::Hop))
    }

    fn is_test(&self) -> bool {
        self.request.purpose == Purpose::Test && self.request.state == StateCode::Delivered
    }

    /// The form for production, filled in, where this test was accepted.
    fn production(&self) -> Option<String> {
        let request = &self.request;
        let accepted = self.is_test() && request.accepted_at.is_some();
        accepted.then(|| databases::wish(&request.database, &request.target, Purpose::Production))
    }

    fn can_report(&self) -> bool {
        let request = &self.request;
        let delivered = request.state == StateCode::Delivered && request.deleted_at.is_none();
        delivered && request.discrepancy.is_none()
    }

    fn can_accept(&self) -> bool {
        self.is_test() && self.request.accepted_at.is_none()
    }
}

async fn request_page(
    context: &Context,
    visitor: &Visitor,
    id: RequestId,
    place: &Place,
) -> Result<RequestPage, ApiError> {
    let request = context.ledger.request(visitor.scope(), id).await?;
    let own = visitor.caller().reach().is_none_or(|account| account == request.account);
    let upload = Upload::of(&request).filter(|_| own);
    let title = format!("{} {} → {}", request.database_name, request.purpose, request.target);
    let frame = Frame::new(title, "requests", visitor);
    let staff = frame.is_staff();
    let from = match place.line {
        Some(line) => line.saturating_sub(BEFORE),
        None => request.log_lines.saturating_sub(LINES as u64),
    };
    let mut lines = context.ledger.log_after(id, from).await?.lines;
    let behind = lines.len() > LINES;
    lines.truncate(LINES);
    let cut = (from > 0, behind);
    let interventions = if staff {
        let which = Which { closed: true, request: Some(id), ..Which::default() };
        context.ledger.interventions(&which).await?
    } else {
        Vec::new()
    };
    let (request, explanation) = calls::explained(context, request).await?;
    Ok(RequestPage {
        frame,
        now: context.clock.now(),
        attempts: context.ledger.attempts(id).await?,
        interventions,
        overrides: context.ledger.layer_ran(id).await?,
        audit: if staff { context.ledger.audit(id).await? } else { Vec::new() },
        first_error: context.ledger.first_error(id).await?,
        request,
        explanation,
        lines,
        cut,
        own,
        upload,
        typed: Fields::default(),
    })
}

pub(super) async fn show(
    State(context): State<Arc<Context>>,
    visitor: Visitor,
    Path(id): Path<RequestId>,
    Query(place): Query<Place>,
) -> Result<Response> {
    let shown = request_page(&context, &visitor, id, &place).await.map_err(PageError::to(&visitor))?;
    Ok(page(&shown))
}

/// A line of the log, as the page has it.
#[derive(Template)]
#[template(
    source = "{% import \"macros.html\" as macros %}{% call macros::line(number, entry) %}{% endcall %}",
    ext = "html"
)]
struct Line<'a> {
    number: u64,
    entry: &'a LogLine,
}

/// The log as the API gives it, for whoever is logged in and as long as they are; followed, with its lines as the page has
/// them.
pub(super) async fn log(
    State(context): State<Arc<Context>>,
    visitor: Visitor,
    path: Path<RequestId>,
    query: Query<calls::LogQuery>,
    headers: HeaderMap,
) -> Response {
    let viewer = calls::Viewer {
        caller: visitor.caller(),
        cookie: cookie(&headers),
        line: |number, entry| Ok(Event::default().data(Line { number, entry }.render()?)),
    };
    calls::view_log(context, viewer, path, query, headers).await.into_response()
}

/// How far it is, so that a page knows what to show, and when to load itself again.
#[derive(Serialize)]
pub(super) struct Standing {
    /// Changes with what only a page loaded again shows.
    state: String,
    progress: Option<api::Progress>,
}

pub(super) async fn state(
    State(context): State<Arc<Context>>,
    visitor: Visitor,
    Path(id): Path<RequestId>,
) -> Result<Json<Standing>> {
    let request = view::request(context.ledger.request(visitor.scope(), id).await?);
    Ok(Json(Standing { state: standing(&request), progress: request.progress }))
}

fn standing(request: &api::Request) -> String {
    let recognised = if request.product.is_some() { "" } else { ", unrecognised" };
    let begun = if request.progress.is_some() { ", at it" } else { "" };
    format!("{}{recognised}{begun}", request.state)
}

pub(super) async fn result(
    State(context): State<Arc<Context>>,
    visitor: Visitor,
    path: Path<RequestId>,
) -> Result<Redirect> {
    let found = calls::result(State(context), visitor.caller(), path).await;
    Ok(Redirect::to(found.map_err(PageError::to(&visitor))?.0.url.as_str()))
}

pub(super) async fn report(
    State(context): State<Arc<Context>>,
    visitor: Visitor,
    path: Path<RequestId>,
    query: Query<calls::ReportQuery>,
) -> Result<Response> {
    if query.is_for_people() {
        let text = calls::report_text(&context, &visitor.caller(), path.0).await;
        let headers =
            [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, REPORT)];
        return Ok((headers, text.map_err(PageError::to(&visitor))?).into_response());
    }
    let found = calls::report(State(context), visitor.caller(), path, query).await;
    Ok(Redirect::to(found.map_err(PageError::to(&visitor))?.0.url.as_str()).into_response())
}

pub(super) async fn act(
    State(context): State<Arc<Context>>,
    Path((id, what)): Path<(RequestId, String)>,
    sent: Sent,
) -> Result<Response> {
    let Sent { visitor, fields } = sent;
    let done = perform(&context, &visitor, id, &what, &fields).await;
    answer(&visitor, done.map(|()| format!("/requests/{id}")), async |error| {
        let mut shown = request_page(&context, &visitor, id, &Place::default()).await?;
        shown.frame.error = Some(error);
        shown.typed = fields.of(&what);
        Ok(shown)
    })
    .await
}

async fn perform(
    context: &Arc<Context>,
    visitor: &Visitor,
    id: RequestId,
    what: &str,
    fields: &Fields,
) -> Result<()> {
    let (caller, path) = (visitor.caller(), Path(id));
    match what {
        "accept" => drop(calls::accept(State(Arc::clone(context)), caller, path).await?),
        "cancel" => drop(calls::cancel(State(Arc::clone(context)), caller, path).await?),
        "delete" => drop(calls::delete(State(Arc::clone(context)), caller, path).await?),
        "discrepancy" => {
            let text = fields.get("text").to_owned();
            drop(
                calls::report_discrepancy(State(Arc::clone(context)), caller, path, Json(Text { text }))
                    .await?,
            );
        }
        "waive" => {
            visitor.operator()?;
            let reason = calls::words("reason", fields.get("reason"))?;
            context.ledger.waive(id, reason, &visitor.bearer().actor()).await?;
        }
        _ => return Err(LedgerError::NotFound("act").into()),
    }
    context.queued.notify_one();
    tracing::info!(request.id = %id, what, "done on a page");
    Ok(())
}
