//! Where an engineer's shell meets its worker: two websockets that end in this process are joined to one. What travels
//! between them is the client's and the worker's business.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use axum::extract::ws::{Message, WebSocket};
use tokio::{sync::oneshot, time::interval};
use uplift_core::{
    SessionId,
    session::{FromShell, SessionOutcome},
};

use crate::Context;

/// How often the ledger is asked whether a session that waits has ended, and connections are seen to live.
const LOOK: Duration = Duration::from_secs(1);

/// How often something is sent to an engineer: some proxies cut a connection that is silent for a minute.
const PING: Duration = Duration::from_secs(20);

/// How many messages an engineer may send before there is a shell.
const AHEAD: usize = 1000;

/// The engineers who wait for their workers.
#[derive(Debug, Default)]
pub(crate) struct Shells {
    waiting: Mutex<HashMap<SessionId, oneshot::Sender<WebSocket>>>,
    address: OnceLock<String>,
}

impl Shells {
    /// Where workers reach this process: what is configured, or else where it listens.
    pub(crate) fn reached_at(&self, configured: &str, listening: SocketAddr) {
        let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let address = if !configured.is_empty() {
            configured.trim_end_matches('/').to_owned()
        } else if listening.ip().is_unspecified() {
            format!("http://{}:{}", host().trim(), listening.port())
        } else {
            format!("http://{listening}")
        };
        let _ = self.address.set(address);
    }

    /// The address for the session's row.
    pub(crate) fn address(&self) -> String {
        self.address.get().cloned().unwrap_or_default()
    }

    /// Gives a worker to its engineer; `false` where nobody waits for it.
    pub(crate) fn meet(&self, session: SessionId, worker: WebSocket) -> bool {
        let waiting = self.lock().remove(&session);
        waiting.is_some_and(|waiting| waiting.send(worker).is_ok())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, oneshot::Sender<WebSocket>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat for the worker of a session, who may come as soon as the session is on record.
pub(crate) struct Seat {
    context: Arc<Context>,
    session: SessionId,
    taken: oneshot::Receiver<WebSocket>,
}

impl Seat {
    /// For a session that is about to be asked for.
    pub(crate) fn reserve(context: Arc<Context>, session: SessionId) -> Self {
        let (worker, taken) = oneshot::channel();
        context.shells.lock().insert(session, worker);
        Self { context, session, taken }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.context.shells.lock().remove(&self.session);
    }
}

/// Serves an engineer's connection until the shell is over or the engineer has left.
pub(crate) async fn serve(mut seat: Seat, mut engineer: WebSocket) {
    let (context, session) = (Arc::clone(&seat.context), seat.session);
    let mut ahead = VecDeque::new();
    let met = meet(&mut seat, &mut engineer, &mut ahead).await;
    if let Some(mut worker) = met {
        for message in ahead {
            if worker.send(message).await.is_err() {
                break;
            }
        }
        join(&context, &mut engineer, &mut worker).await;
        let _ = worker.send(Message::Close(None)).await;
    }
    // One that never had a worker waits for none any more; any other has its worker to end it.
    if let Err(error) = context.ledger.close_session(session, "its engineer left").await {
        tracing::warn!(session.id = %session, error = %error, "close a session");
    }
    let _ = engineer.send(Message::Close(None)).await;
}

/// Waits for the worker. `None` where the engineer leaves or the session ends before.
async fn meet(seat: &mut Seat, engineer: &mut WebSocket, ahead: &mut VecDeque<Message>) -> Option<WebSocket> {
    let Seat { context, session, taken } = seat;
    say(engineer, &FromShell::Said { text: "waiting for a worker with a free slot for sessions".into() })
        .await;
    let mut look = interval(LOOK);
    loop {
        tokio::select! {
            worker = &mut *taken => return worker.ok(),
            message = engineer.recv(), if ahead.len() < AHEAD => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(message)) => ahead.push_back(message),
            },
            _ = look.tick() => {
                let ended = context.ledger.session(*session).await.ok().and_then(|found| found.ended);
                if let Some(ended) = ended {
                    let closed = FromShell::Closed { outcome: ended.outcome, message: ended.message };
                    say(engineer, &closed).await;
                    return None;
                }
            }
            () = context.stopping.cancelled() => {
                restarting(engineer).await;
                return None;
            }
        }
    }
}

/// Hands on what each says to the other, until one of them leaves.
async fn join(context: &Context, engineer: &mut WebSocket, worker: &mut WebSocket) {
    let mut ping = interval(PING);
    loop {
        let (to, message) = tokio::select! {
            message = engineer.recv() => (&mut *worker, message),
            message = worker.recv() => (&mut *engineer, message),
            _ = ping.tick() => (&mut *engineer, Some(Ok(Message::Ping(Vec::new().into())))),
            () = context.stopping.cancelled() => return restarting(engineer).await,
        };
        match message {
            Some(Ok(message @ (Message::Text(_) | Message::Ping(_)))) => {
                if to.send(message).await.is_err() {
                    return;
                }
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            Some(Ok(_)) => {}
        }
    }
}

async fn restarting(engineer: &mut WebSocket) {
    let message = "the dispatcher is being stopped: open another shell".to_owned();
    say(engineer, &FromShell::Closed { outcome: SessionOutcome::Closed, message }).await;
}

async fn say(engineer: &mut WebSocket, said: &FromShell) {
    if let Ok(text) = serde_json::to_string(said) {
        let _ = engineer.send(Message::text(text)).await;
    }
}
