//! The way to an engineer: the worker dials the dispatcher that holds the engineer's connection, and the two are joined
//! there. Engineers have no path to workers.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Bytes, Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, header},
    },
};
use uplift_core::{
    SessionId,
    session::{FromShell, ToShell},
};

/// How long dialling may take.
const DIALLING: Duration = Duration::from_secs(10);

/// How long an engineer may take to read what was said before the shell waits no more.
const READING: Duration = Duration::from_secs(60);

/// What keeps the connection open on its way: some proxies cut one that is silent for a minute.
const PING: Duration = Duration::from_secs(20);

/// A connection to an engineer.
pub(super) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    ping_at: Instant,
}

impl Socket {
    /// Dials.
    pub(super) async fn dial(dispatcher: &str, session: SessionId, secret: &str) -> Result<Self> {
        // `http` becomes `ws`, and `https` becomes `wss`.
        let Some(rest) = dispatcher.strip_prefix("http") else { bail!("`{dispatcher}` is no HTTP address") };
        let url = format!("ws{rest}/api/v1/sessions/{session}/worker");
        let mut request = url.into_client_request().context("address the dispatcher")?;
        let shown = HeaderValue::try_from(format!("Bearer {secret}")).context("show the session's secret")?;
        request.headers_mut().insert(header::AUTHORIZATION, shown);
        let dialled = timeout(DIALLING, connect_async(request)).await.context("wait for the dispatcher")?;
        let (stream, _) = dialled.context("dial the dispatcher")?;
        Ok(Self { stream, ping_at: Instant::now() + PING })
    }

    /// Tells the engineer something; `false` where nobody hears it.
    pub(super) async fn tell(&mut self, said: &FromShell) -> bool {
        let Ok(text) = serde_json::to_string(said) else { return false };
        matches!(timeout(READING, self.stream.send(Message::text(text))).await, Ok(Ok(())))
    }

    /// What the engineer sends next; `None` once there is nobody. Cancel safe.
    pub(super) async fn hear(&mut self) -> Option<ToShell> {
        loop {
            let message = tokio::select! {
                message = self.stream.next() => message,
                () = tokio::time::sleep_until(self.ping_at) => {
                    self.ping_at = Instant::now() + PING;
                    self.stream.send(Message::Ping(Bytes::new())).await.ok()?;
                    continue;
                }
            };
            match message?.ok()? {
                // What is not understood comes from a newer client, and is not for this worker.
                Message::Text(text) => {
                    if let Ok(told) = serde_json::from_str(&text) {
                        return Some(told);
                    }
                }
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Says good-bye.
    pub(super) async fn close(mut self) {
        let _ = timeout(READING, self.stream.close(None)).await;
    }
}
