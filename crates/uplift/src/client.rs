//! The dispatcher's HTTP API.

use std::{error::Error as _, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::{client::generate_key, derive_accept_key},
        protocol::Role,
    },
};
use uplift_core::api::Problem;
use url::Url;

use crate::{backoff::Backoff, text};

/// Speaks to the dispatcher, and to the links that it hands out.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: Url,
    token: SecretString,
}

/// A connection that both sides speak on.
pub(crate) type WebSocket = WebSocketStream<reqwest::Upgraded>;

/// Why the dispatcher did not do what was asked.
#[derive(Debug, Error)]
pub(crate) enum ApiError {
    /// It said so.
    #[error("{message}")]
    Answer {
        /// The HTTP status.
        status: u16,
        /// The problem's type; empty where the answer came from something else, such as a proxy.
        kind: String,
        /// What happened, to what, and what to do next.
        message: String,
    },
    /// It was not reached, or the connection broke.
    #[error("{server} cannot be reached ({reason}): check the address and the network, then try again")]
    Unreachable {
        /// Its address.
        server: Url,
        /// The innermost cause.
        reason: String,
    },
    /// It answered something else than it should.
    #[error(
        "{server} answered what this program does not understand ({reason}): is it newer, or not Uplift?"
    )]
    Unreadable {
        /// Its address.
        server: Url,
        /// What was not understood.
        reason: String,
    },
}

impl ApiError {
    /// The HTTP status, where there was an answer.
    #[must_use]
    pub(crate) const fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::Unreachable { .. } | Self::Unreadable { .. } => None,
        }
    }

    /// Whether it may work a little later: a dispatcher restarts, a proxy waits for one.
    #[must_use]
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::Answer { status, .. } => matches!(status, 408 | 429 | 500 | 502..=504),
            Self::Unreachable { .. } => true,
            Self::Unreadable { .. } => false,
        }
    }
}

/// How long to go on trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Somebody waits for the answer: a dispatcher that is away is away after two seconds.
    Short,
    /// Much is lost by giving up, such as an upload: it may be away for two minutes.
    Long,
    /// The same, and the answer itself takes its time: the object store assembles a dump of many parts.
    Slow,
}

impl Patience {
    const fn attempts(self) -> u32 {
        match self {
            Self::Short => 3,
            Self::Long | Self::Slow => 16,
        }
    }

    /// A little more than what the dispatcher gives itself for an answer.
    const fn limit(self) -> Duration {
        match self {
            Self::Short | Self::Long => Duration::from_secs(100),
            Self::Slow => Duration::from_secs(610),
        }
    }
}

const CONNECT: Duration = Duration::from_secs(10);
/// No byte of a stream for so long means that nobody is there: a live log shows every 15 seconds that it is alive.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

impl Client {
    pub(crate) fn new(server: Url, token: SecretString) -> anyhow::Result<Self> {
        // It fails where a provider is installed already, and then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let program = concat!("uplift/", env!("CARGO_PKG_VERSION"));
            // A redirected POST would arrive as a GET, so redirects are shown to the person instead.
            let builder = reqwest::Client::builder().user_agent(program).redirect(redirect::Policy::none());
            builder.connect_timeout(CONNECT).tcp_keepalive(SILENCE / 2)
        };
        let http = match builder().build() {
            // Without the system's certificates nothing speaks https, which a plain http server does not need.
            Err(_) if server.scheme() == "http" => builder().tls_certs_only([]).build(),
            other => other,
        };
        let http =
            http.context("prepare https: are the system's certificates (ca-certificates) installed?")?;
        Ok(Self { http, server, token })
    }

    /// The platform's address.
    pub(crate) fn server(&self) -> &str {
        self.server.as_str()
    }

    /// Takes a request back.
    pub(crate) async fn cancel(&self, request: uuid::Uuid) -> Result<uplift_core::api::Request, ApiError> {
        let nothing = serde_json::json!({});
        self.post(&["requests", &request.to_string(), "cancel"], &nothing, Patience::Short).await
    }

    /// For links: without the token, and without a limit, since a dump takes as long as it takes.
    pub(crate) const fn store(&self) -> &reqwest::Client {
        &self.http
    }

    /// A question whose answer is JSON.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        patience: Patience,
    ) -> Result<T, ApiError> {
        let make = || self.request(Method::GET, path).query(query);
        self.read(self.send(make, patience).await?).await
    }

    /// An order whose answer is JSON. It may be given twice: what the dispatcher does for a key, a state or a
    /// digest, it does once.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
        patience: Patience,
    ) -> Result<T, ApiError> {
        let make = || self.request(Method::POST, path).json(body);
        self.read(self.send(make, patience).await?).await
    }

    /// Sends a request until it is answered, or patience ends.
    pub(crate) async fn send(
        &self,
        make: impl Fn() -> RequestBuilder,
        patience: Patience,
    ) -> Result<Response, ApiError> {
        let mut backoff = Backoff::new(Duration::from_secs(10));
        let mut left = patience.attempts();
        loop {
            left -= 1;
            match self.once(make().timeout(patience.limit())).await {
                Err(error) if left > 0 && error.is_passing() => backoff.pause().await,
                outcome => return outcome,
            }
        }
    }

    /// Sends a request once, and makes an error of an answer that is one.
    pub(crate) async fn once(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let location = header_text(&response, header::LOCATION);
        let body = response.bytes().await.unwrap_or_default();
        Err(self.answer(status, location.as_deref(), &body))
    }

    /// Opens a connection that both sides speak on.
    pub(crate) async fn websocket(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<WebSocket, ApiError> {
        let key = generate_key();
        let request = self.request(Method::GET, path).query(query);
        let request = request.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "websocket");
        let request = request.header(header::SEC_WEBSOCKET_VERSION, "13");
        let request = request.header(header::SEC_WEBSOCKET_KEY, &key);
        let answered = timeout(SILENCE, request.send()).await.map_err(|_| self.silent())?;
        let response = answered.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let location = header_text(&response, header::LOCATION);
            return Err(self.answer(
                status,
                location.as_deref(),
                &response.bytes().await.unwrap_or_default(),
            ));
        }
        let accepted = header_text(&response, header::SEC_WEBSOCKET_ACCEPT);
        if accepted.as_deref() != Some(derive_accept_key(key.as_bytes()).as_str()) {
            return Err(self.unreadable(&"no websocket where one was wanted"));
        }
        let upgraded = response.upgrade().await.map_err(|error| self.unreachable(&error))?;
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await)
    }

    /// A request to the API, with the token.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.server.clone();
        // An http address can always have segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        self.http.request(method, url).bearer_auth(self.token.expose_secret())
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, ApiError> {
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| self.unreadable(&error))
    }

    /// Opens a stream of any length.
    pub(crate) async fn stream(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        timeout(SILENCE, self.once(request)).await.unwrap_or_else(|_| Err(self.silent()))
    }

    /// The stream's next bytes; nothing where it has ended.
    pub(crate) async fn next(&self, stream: &mut Response) -> Result<Option<Bytes>, ApiError> {
        match timeout(SILENCE, stream.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| self.unreachable(&error)),
            Err(_) => Err(self.silent()),
        }
    }

    pub(crate) fn silent(&self) -> ApiError {
        ApiError::Unreachable { server: self.server.clone(), reason: "no answer in time".into() }
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> ApiError {
        ApiError::Unreachable { server: self.server.clone(), reason: innermost(error) }
    }

    pub(crate) fn unreadable(&self, reason: &impl ToString) -> ApiError {
        ApiError::Unreadable { server: self.server.clone(), reason: reason.to_string() }
    }

    fn answer(&self, status: StatusCode, location: Option<&str>, body: &[u8]) -> ApiError {
        if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
            let said = if problem.detail.is_empty() { problem.title } else { problem.detail };
            return ApiError::Answer { status: status.as_u16(), kind: problem.kind, message: said };
        }
        let server = &self.server;
        let message = match location {
            Some(to) if status.is_redirection() => {
                format!("{server} sends us on to {to}: give that address as UPLIFT_SERVER")
            }
            _ => {
                let said: String = String::from_utf8_lossy(body).trim().chars().take(200).collect();
                let said = if said.is_empty() { String::new() } else { format!(": {}", text::line(&said)) };
                format!("{server} answered {status}, and not in Uplift's words: check the address{said}")
            }
        };
        ApiError::Answer { status: status.as_u16(), kind: String::new(), message }
    }
}

/// The innermost cause: the layers above it only say that something failed, and may hold a signed link.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause = error.source();
    let mut text = None;
    while let Some(inner) = cause {
        text = Some(inner.to_string());
        cause = inner.source();
    }
    text.unwrap_or_else(|| "the connection failed".into())
}

/// A header, where there is one and it is text.
pub(crate) fn header_text(response: &Response, name: header::HeaderName) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use reqwest::{Method, StatusCode};
    use url::Url;

    use super::{ApiError, Client};

    fn client(server: &str) -> Client {
        Client::new(server.parse().unwrap(), "secret".to_owned().into()).unwrap()
    }

    #[test]
    fn paths_go_below_the_servers_own() {
        let url = |server| {
            let request = client(server).request(Method::GET, &["requests", "a/b"]).build().unwrap();
            request.url().to_string()
        };
        assert_eq!(url("http://localhost:8080"), "http://localhost:8080/api/v1/requests/a%2Fb");
        assert_eq!(url("https://example.com/up/"), "https://example.com/up/api/v1/requests/a%2Fb");
    }

    #[test]
    fn a_problem_speaks_for_itself_and_a_proxy_is_recognised() {
        let client = client("http://localhost:8080");
        let problem =
            br#"{"type":"urn:uplift:problem:conflict","title":"Conflict","status":409,"detail":"no"}"#;
        let error = client.answer(StatusCode::CONFLICT, None, problem);
        assert!(matches!(&error, ApiError::Answer { status: 409, kind, message }
            if kind == "urn:uplift:problem:conflict" && message == "no"));
        assert!(!error.is_passing());

        let error = client.answer(StatusCode::BAD_GATEWAY, None, b"<h1>\x1b[31mBad\n");
        assert!(error.is_passing());
        assert!(error.to_string().ends_with("<h1>\\u{1b}[31mBad"), "{error}");

        let error = client.answer(StatusCode::MOVED_PERMANENTLY, Some("https://b/"), b"");
        assert!(error.to_string().contains("https://b/"), "{error}");
    }

    #[test]
    fn no_debug_output_shows_the_token() {
        let client = Client::new(Url::parse("http://a").unwrap(), "hush".to_owned().into()).unwrap();
        assert!(!format!("{client:?}").contains("hush"));
    }
}
