//! Errors as `application/problem+json` (RFC 9457): ours, and those that the framework answers by itself.

use axum::{
    body::to_bytes,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use uplift_core::api::Problem;
use uplift_platform::{ledger::LedgerError, objects::ObjectsError};

const MEDIA_TYPE: &str = "application/problem+json";
/// Texts of the framework are shorter than this, in bytes.
const LONGEST_TEXT: usize = 16 << 10;

/// What kind of error: its status, its name and its title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Malformed,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    TooLarge,
    MediaType,
    Invalid,
    Internal,
    Unavailable,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Malformed,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::TooLarge,
        Self::MediaType,
        Self::Invalid,
        Self::Internal,
        Self::Unavailable,
    ];

    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Conflict => "conflict",
            Self::TooLarge => "too-large",
            Self::MediaType => "media-type",
            Self::Invalid => "invalid",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request cannot be read",
            Self::Unauthenticated => "No valid token",
            Self::Forbidden => "The token does not allow this",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "The method does not apply here",
            Self::Conflict => "It cannot be done as things stand",
            Self::TooLarge => "The body is too large",
            Self::MediaType => "The content type is not accepted",
            Self::Invalid => "A value is not accepted",
            Self::Internal => "Something of ours failed",
            Self::Unavailable => "A service that is needed is out of reach",
        }
    }

    /// The kind of an answer that the framework gave.
    fn of(status: StatusCode) -> Self {
        let general = if status.is_server_error() { Self::Internal } else { Self::Malformed };
        Self::ALL.into_iter().find(|kind| kind.status() == status).unwrap_or(general)
    }
}

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) kind: Kind,
    /// What happened, to what, and what to do next.
    pub(crate) detail: String,
}

/// What a handler returns.
pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, detail)
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, detail)
    }

    /// An error that is ours: logged here, and not shown to the client.
    pub(crate) fn internal(error: impl Into<anyhow::Error>) -> Self {
        let error = format!("{:#}", error.into());
        tracing::error!(error, "a request to the API failed");
        Self::new(Kind::Internal, "it is in our logs; try again later, and tell us if it stays")
    }

    /// A service is down: logged here.
    fn unavailable(what: &str, error: impl Into<anyhow::Error>) -> Self {
        let error = format!("{:#}", error.into());
        tracing::warn!(error, "a request to the API failed: {what} is out of reach");
        Self::new(Kind::Unavailable, format!("{what} is out of reach: try again in some seconds"))
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::NotFound(_) => Self::new(Kind::NotFound, error.to_string()),
            LedgerError::Conflict(conflict) => Self::conflict(conflict.to_string()),
            error if error.is_unavailable() => Self::unavailable("the ledger", error),
            error => Self::internal(error),
        }
    }
}

impl From<ObjectsError> for ApiError {
    fn from(error: ObjectsError) -> Self {
        match error {
            ObjectsError::Unavailable { .. } => Self::unavailable("the object store", error),
            error => Self::internal(error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let problem = Problem {
            kind: format!("urn:uplift:problem:{}", self.kind.name()),
            title: self.kind.title().to_owned(),
            status: status.as_u16(),
            detail: self.detail,
        };
        let mut response = (status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        match self.kind {
            Kind::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Kind::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}

/// Makes a problem of an error that the framework answered by itself: an unknown path or method, a body that is
/// too large or cannot be read.
pub(super) async fn translate(response: Response) -> Response {
    let status = response.status();
    // What we say ourselves is JSON; the framework has a text, or nothing.
    let ours =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().ends_with(b"json"));
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let kind = Kind::of(status);
    let text = to_bytes(body, LONGEST_TEXT).await.unwrap_or_default();
    let detail = match String::from_utf8_lossy(&text).trim() {
        "" => without_words(kind).to_owned(),
        text => text.to_owned(),
    };
    let (problem, body) = ApiError::new(kind, detail).into_response().into_parts();
    let mut headers = problem.headers;
    // What else the framework said still holds: `Allow` belongs to every 405.
    for (name, value) in &parts.headers {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            headers.insert(name, value.clone());
        }
    }
    (problem.status, headers, body).into_response()
}

/// What to say where the framework says nothing.
const fn without_words(kind: Kind) -> &'static str {
    match kind {
        Kind::NotFound => "there is nothing at this path: see /api/v1/openapi.json",
        Kind::MethodNotAllowed => "the header Allow names the methods that apply to this path",
        _ => "see /api/v1/openapi.json",
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        Json, Router,
        body::{Body, Bytes},
        extract::DefaultBodyLimit,
        http::Method,
        middleware,
        routing::post,
    };
    use uplift_core::{RequestId, request::StateCode};
    use uplift_platform::ledger::Conflict;

    use super::*;

    async fn problem(response: Response) -> Problem {
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        let status = response.status().as_u16();
        let problem: Problem =
            serde_json::from_slice(&to_bytes(response.into_body(), LONGEST_TEXT).await.unwrap()).unwrap();
        assert_eq!(problem.status, status);
        problem
    }

    #[tokio::test]
    async fn a_conflict_says_what_cannot_be_done() {
        let request = RequestId::new();
        let conflict = Conflict::State { request, state: StateCode::Delivered, wish: "be cancelled" };
        let problem = problem(ApiError::from(LedgerError::from(conflict)).into_response()).await;
        assert_eq!((problem.status, problem.kind.as_str()), (409, "urn:uplift:problem:conflict"));
        assert_eq!(problem.detail, format!("request {request} is delivered: it cannot be cancelled now"));
    }

    #[tokio::test]
    async fn what_is_ours_is_not_shown() {
        let error = LedgerError::Unreadable("the colour `blue`".into());
        let problem = problem(ApiError::from(error).into_response()).await;
        assert_eq!(problem.status, 500);
        assert!(!problem.detail.contains("blue"), "{}", problem.detail);
    }

    #[tokio::test]
    async fn a_store_that_is_down_asks_for_patience() {
        let error = ObjectsError::Unavailable {
            doing: "write",
            key: "a".into(),
            reason: "connection refused".into(),
        };
        let response = ApiError::from(error).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
    }

    /// Sends a request to a small service, through the real translation.
    async fn framework(method: Method, path: &str, content_type: &str, body: &str) -> Response {
        let router = Router::new()
            .route("/numbers", post(|_: Json<Vec<u32>>| async {}))
            .route("/bytes", post(|_: Bytes| async {}))
            .layer(DefaultBodyLimit::max(8))
            .layer(middleware::map_response(translate));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(axum::serve(listener, router).into_future());
        let answer = raw(address, method, path, content_type, body).await;
        server.abort();
        answer
    }

    async fn raw(
        address: std::net::SocketAddr,
        method: Method,
        path: &str,
        content_type: &str,
        body: &str,
    ) -> Response {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let sent = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        socket.write_all(sent.as_bytes()).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut response = Response::builder().status(status);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            response = response.header(name, value);
        }
        response.body(Body::from(body.to_owned())).unwrap()
    }

    #[tokio::test]
    async fn errors_of_the_framework_are_problems_too() {
        let json = "application/json";
        for (method, path, content_type, body, status, words) in [
            (Method::GET, "/nowhere", json, "", 404, "nothing at this path"),
            (Method::POST, "/numbers", json, "[", 400, "EOF"),
            (Method::POST, "/numbers", json, "[\"a\"]", 422, "expected u32"),
            (Method::POST, "/numbers", "text/plain", "[1]", 415, "application/json"),
            (Method::POST, "/bytes", json, "123456789", 413, "length limit exceeded"),
        ] {
            let problem = problem(framework(method, path, content_type, body).await).await;
            assert_eq!(problem.status, status, "{path} {body}");
            assert!(problem.detail.contains(words), "{path} {body}: {}", problem.detail);
        }
    }

    #[tokio::test]
    async fn a_wrong_method_still_names_the_right_ones() {
        let response = framework(Method::PUT, "/numbers", "application/json", "").await;
        assert_eq!(response.headers()[header::ALLOW], "POST");
        assert_eq!(problem(response).await.status, 405);
    }
}
