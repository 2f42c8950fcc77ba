//! What all pages have in common, and the page that says what went wrong.

use askama::Template;
use axum::{
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use uplift_platform::ledger::{LedgerError, Role};

use super::{ICON_PATH, SCRIPT_PATH, STYLE_PATH, UPLOAD_PATH, visitor::Visitor, words};
use crate::api::{ApiError, Kind};

/// Around a page.
pub(super) struct Frame {
    pub(super) title: String,
    /// The entry of the navigation that it belongs to.
    pub(super) place: &'static str,
    pub(super) visitor: Option<Visitor>,
    /// What could not be done.
    pub(super) error: Option<String>,
    /// The page is loaded again after so many seconds.
    pub(super) again: Option<u32>,
}

impl Frame {
    pub(super) fn new(title: impl Into<String>, place: &'static str, visitor: &Visitor) -> Self {
        Self { title: title.into(), place, visitor: Some(visitor.clone()), error: None, again: None }
    }

    pub(super) fn is_staff(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.login.bearer.role.is_staff())
    }

    pub(super) fn is_operator(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.login.bearer.role == Role::Operator)
    }

    /// What every form carries.
    pub(super) fn csrf(&self) -> &str {
        self.visitor.as_ref().map_or("", |visitor| &visitor.login.csrf)
    }

    pub(super) fn style(&self) -> &'static str {
        &STYLE_PATH
    }

    pub(super) fn icon(&self) -> &'static str {
        &ICON_PATH
    }

    /// Only where a dump can be sent.
    pub(super) fn upload_script(&self) -> &'static str {
        &UPLOAD_PATH
    }

    pub(super) fn script(&self) -> &'static str {
        &SCRIPT_PATH
    }
}

/// A page that cannot be shown, or something that could not be done.
#[derive(Debug)]
pub(super) struct PageError {
    pub(super) error: ApiError,
    visitor: Option<Visitor>,
}

impl PageError {
    /// For somebody who is logged in, and finds the way on.
    pub(super) fn to(visitor: &Visitor) -> impl Fn(ApiError) -> Self {
        let visitor = visitor.clone();
        move |error| Self { error, visitor: Some(visitor.clone()) }
    }
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        Self { error, visitor: None }
    }
}

impl From<LedgerError> for PageError {
    fn from(error: LedgerError) -> Self {
        ApiError::from(error).into()
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    message: String,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let ApiError { kind, detail } = self.error;
        let frame = Frame {
            title: kind.title().to_owned(),
            place: "",
            visitor: self.visitor,
            error: None,
            again: None,
        };
        (kind.status(), page(&ErrorPage { frame, message: detail })).into_response()
    }
}

/// What a handler returns.
pub(super) type Result<T, E = PageError> = std::result::Result<T, E>;

/// A template as a page. One that cannot be rendered is a defect of ours.
pub(super) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            let ApiError { detail, .. } = ApiError::internal(error);
            (StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
        }
    }
}

/// What a form is answered with: the page to go on with; or its own page again, where what it wants cannot be done as
/// things stand, with the reason and what was typed.
pub(super) async fn answer<P: Template>(
    visitor: &Visitor,
    done: Result<String>,
    again: impl AsyncFnOnce(String) -> Result<P, ApiError>,
) -> Result<Response> {
    let error = match done {
        Ok(to) => return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()),
        Err(PageError { error, .. }) => error,
    };
    if !matches!(error.kind, Kind::Conflict | Kind::Invalid) {
        return Err(PageError::to(visitor)(error));
    }
    let shown = again(error.detail).await.map_err(PageError::to(visitor))?;
    Ok(page_with(error.kind, &shown))
}

/// The same where something could not be done.
pub(super) fn page_with(kind: Kind, template: &impl Template) -> Response {
    let mut response = page(template);
    *response.status_mut() = kind.status();
    response
}
