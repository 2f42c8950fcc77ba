//! Keeps leases, on a thread and a connection of its own, so that nothing which an attempt does can starve a
//! renewal; and stops an attempt whose lease cannot be kept while there is still time to stop it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use secrecy::SecretString;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{sleep, timeout_at},
};
use tracing::{Instrument as _, Span};
use uplift_core::{
    Lease, SessionId,
    event::Stage,
    lease::{FENCE_MARGIN, LEASE, RENEWAL},
};
use uplift_platform::{Ledger, config::StageSeconds, ledger::LedgerError};

use crate::outcome::chain;

/// How often progress is told, if there is any.
const PROGRESS: Duration = Duration::from_secs(2);

/// How long to wait before a renewal that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Why an attempt has to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The lease is lost, or could not be renewed in time. Nothing may be written any more.
    LeaseLost,
    /// The customer wants the request back.
    Cancelled,
    /// A stage, or where none is named the whole attempt, took longer than it was given.
    DeadlinePassed {
        /// The stage.
        stage: Option<Stage>,
        /// What it was given.
        given: Duration,
    },
    /// The worker gives it back, or somebody ends a session, for this reason.
    Released(String),
}

/// The thread that renews.
pub struct Keeper {
    hands: mpsc::UnboundedSender<(Hold, Span)>,
}

/// A lease that is being kept. Clones are the same lease; it is kept until [`Hold::end`].
#[derive(Clone)]
pub struct Hold(Arc<Shared>);

struct Shared {
    lease: Lease,
    /// Where it is a session that is held, which has a lease of its own in the ledger.
    session: Option<SessionId>,
    /// When the claim was asked for: the lease ends [`LEASE`] later, at the earliest.
    claimed_at: Instant,
    limits: Limits,
    place: Mutex<Place>,
    moved: Notify,
    stop: watch::Sender<Option<Stop>>,
    ended: watch::Sender<bool>,
}

/// How long an attempt may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// As a whole.
    pub attempt: Duration,
    /// In each stage.
    pub stages: StageSeconds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    stage: Stage,
    since: Instant,
    progress: Option<(u64, u64)>,
}

impl Keeper {
    /// Starts the thread, with a connection of its own to the ledger.
    ///
    /// # Errors
    /// The thread cannot be started, or the ledger cannot be reached.
    pub async fn start(ledger: &SecretString) -> Result<Self> {
        let (hands, mut taken) = mpsc::unbounded_channel::<(Hold, Span)>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the keeper's runtime")?;
        let url = ledger.clone();
        let (connected, connection) = oneshot::channel();
        let thread = move || {
            runtime.block_on(async move {
                let ledger = match Ledger::connect(&url).await {
                    Ok(ledger) => ledger,
                    Err(error) => {
                        let _ = connected.send(Err(error));
                        return;
                    }
                };
                let _ = connected.send(Ok(()));
                while let Some((hold, span)) = taken.recv().await {
                    tokio::spawn(keep(hold, ledger.clone()).instrument(span));
                }
            });
        };
        std::thread::Builder::new()
            .name("keeper".into())
            .spawn(thread)
            .context("start the keeper's thread")?;
        connection.await.context("start the keeper")?.context("connect the keeper to the ledger")?;
        Ok(Self { hands })
    }

    /// Keeps a lease that was claimed, for as long as an attempt may take; what it logs belongs to the current span.
    #[must_use]
    pub fn hold(&self, lease: Lease, claimed_at: Instant, limits: Limits) -> Hold {
        self.keep(lease, None, claimed_at, limits)
    }

    /// Keeps a session that was claimed. The lease names the attempt whose state it looks into; the request is not its
    /// own.
    #[must_use]
    pub fn hold_session(
        &self,
        session: SessionId,
        lease: Lease,
        claimed_at: Instant,
        limits: Limits,
    ) -> Hold {
        self.keep(lease, Some(session), claimed_at, limits)
    }

    fn keep(&self, lease: Lease, session: Option<SessionId>, claimed_at: Instant, limits: Limits) -> Hold {
        let hold = Hold(Arc::new(Shared {
            lease,
            session,
            claimed_at,
            limits,
            place: Mutex::new(Place { stage: Stage::Fetch, since: claimed_at, progress: None }),
            moved: Notify::new(),
            stop: watch::Sender::new(None),
            ended: watch::Sender::new(false),
        }));
        if self.hands.send((hold.clone(), Span::current())).is_err() {
            hold.stop(Stop::LeaseLost);
        }
        hold
    }
}

impl Hold {
    /// The lease.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.0.lease
    }

    /// The session, where it is one that is held.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.0.session
    }

    /// The stage that the attempt is in.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.place().stage
    }

    /// The attempt enters a stage; the ledger hears of it at once.
    pub fn enter(&self, stage: Stage) {
        self.set(Place { stage, since: Instant::now(), progress: None });
        self.0.moved.notify_one();
    }

    /// The attempt is this far in its stage; the ledger hears of it within two seconds.
    pub fn progress(&self, done: u64, total: u64) {
        self.set(Place { progress: Some((done, total)), ..self.place() });
    }

    /// Makes the attempt stop. The first reason counts.
    pub fn stop(&self, why: Stop) {
        self.0.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                *stop = Some(why);
            }
            first
        });
    }

    /// Waits until the attempt has to stop, and says why.
    pub async fn stopped(&self) -> Stop {
        let mut stop = self.0.stop.subscribe();
        match stop.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or(Stop::LeaseLost),
            Err(_) => Stop::LeaseLost,
        }
    }

    /// The attempt is over: the lease is kept no longer.
    pub fn end(&self) {
        self.0.ended.send_replace(true);
        self.0.moved.notify_one();
    }

    /// Whether the lease is still being kept.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !*self.0.ended.borrow()
    }

    /// Why the attempt has to stop now, where it takes too long.
    fn overdue(&self) -> Option<Stop> {
        let Limits { attempt, stages } = &self.0.limits;
        let Place { stage, since, .. } = self.place();
        let late = |since: Instant, given: Duration, stage| {
            (since.elapsed() > given).then_some(Stop::DeadlinePassed { stage, given })
        };
        late(self.0.claimed_at, *attempt, None)
            .or_else(|| stages.limit(stage).and_then(|given| late(since, given, Some(stage))))
    }

    fn place(&self) -> Place {
        *self.0.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, place: Place) {
        *self.0.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}

/// Renews until the attempt ends or has to stop.
async fn keep(hold: Hold, ledger: Ledger) {
    let mut renewed_at = hold.0.claimed_at;
    let mut told = None;
    while hold.is_live() {
        if let Some(overdue) = hold.overdue() {
            hold.stop(overdue);
        }
        let place = hold.place();
        // Whoever ends a session waits for its end.
        let every = if hold.0.session.is_some() { PROGRESS } else { RENEWAL };
        if told == Some(place) && renewed_at.elapsed() < every {
            tokio::select! {
                () = hold.0.moved.notified() => {}
                () = sleep(PROGRESS) => {}
            }
            continue;
        }
        let asked_at = Instant::now();
        let fence = renewed_at + LEASE - FENCE_MARGIN;
        match timeout_at(fence.into(), renew(&hold, &ledger, place)).await {
            Ok(Ok(stop)) => {
                renewed_at = asked_at;
                told = Some(place);
                stop.into_iter().for_each(|stop| hold.stop(stop));
            }
            Ok(Err(LedgerError::LeaseLost(_) | LedgerError::SessionOver(_))) => {
                return lost(&hold, "another worker, or the sweep, has it");
            }
            Ok(Err(error)) if Instant::now() < fence => {
                let error = chain(&error);
                tracing::warn!(request.id = %hold.0.lease.request(), error, "renew a lease; trying again");
                sleep(AGAIN).await;
            }
            Ok(Err(_)) | Err(_) => return lost(&hold, "the ledger did not answer in time"),
        }
    }
}

/// Renews, and says why it has to stop where somebody wants that.
async fn renew(hold: &Hold, ledger: &Ledger, place: Place) -> Result<Option<Stop>, LedgerError> {
    let lease = &hold.0.lease;
    Ok(match hold.0.session {
        None => ledger.renew(lease, place.stage, place.progress).await?.cancel.then_some(Stop::Cancelled),
        Some(session) => ledger.renew_session(session, lease.worker()).await?.map(Stop::Released),
    })
}

fn lost(hold: &Hold, why: &str) {
    if hold.is_live() {
        let lease = &hold.0.lease;
        tracing::warn!(request.id = %lease.request(), attempt.epoch = %lease.epoch(), why, "lease lost");
        hold.stop(Stop::LeaseLost);
    }
}
