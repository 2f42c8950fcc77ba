//! Where the figures come from, and how long they are good for.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use secrecy::SecretString;
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use uplift_platform::{
    Ledger, Publisher,
    ledger::{Kept, LedgerError, Metrics, Past},
};

use crate::families::{EDGES, Figures};

/// Figures that are younger than this are good enough: many scrapers cost the ledger no more than one.
const FRESH: Duration = Duration::from_secs(2);

/// How long the ledger and the broker may take; Prometheus itself gives a scrape 10 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before a connection to the ledger is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// The ledger and the broker, either of which may be down.
pub(crate) struct Source {
    ledger: Arc<OnceLock<(Ledger, Mutex<Past>)>>,
    kept: Kept,
    hints: Publisher,
    last: Mutex<Option<(Instant, Arc<Figures>)>>,
    _connecting: AbortOnDropHandle<()>,
}

impl Source {
    /// Connects in the background, for as long as it takes.
    pub(crate) fn open(url: SecretString, kept: Kept, hints: Publisher) -> Self {
        let ledger = Arc::new(OnceLock::new());
        let connecting = tokio::spawn(connect(url, ledger.clone()));
        let connecting = AbortOnDropHandle::new(connecting);
        Self { ledger, kept, hints, last: Mutex::new(None), _connecting: connecting }
    }

    /// The figures of this moment, or of one that is two seconds past.
    pub(crate) async fn figures(&self) -> Arc<Figures> {
        let mut last = self.last.lock().await;
        if let Some((at, figures)) = &*last
            && at.elapsed() < FRESH
        {
            return figures.clone();
        }
        let (ledger, broker) = tokio::join!(
            patiently("the ledger", async {
                match self.ledger.get() {
                    Some((ledger, past)) => {
                        metrics(ledger, &mut *past.lock().await, self.kept).await.map(Some)
                    }
                    None => Ok(None),
                }
            }),
            patiently("the broker", self.hints.queue_depths()),
        );
        let figures = Arc::new(Figures { ledger: ledger.flatten(), broker });
        *last = Some((Instant::now(), figures.clone()));
        figures
    }
}

/// What a service answers; nothing where it does not, and a line in the log.
async fn patiently<T, E>(what: &str, answer: impl Future<Output = Result<T, E>>) -> Option<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "ask {what}");
            None
        }
        Err(_) => {
            tracing::warn!("{what} did not answer within {} s", PATIENCE.as_secs());
            None
        }
    }
}

async fn metrics(ledger: &Ledger, past: &mut Past, kept: Kept) -> Result<Metrics, LedgerError> {
    ledger.catch_up(past).await?;
    ledger.metrics(past, kept).await
}

/// A ledger that answers, and what has ended in it by now: counting that takes seconds where it is much, so that no scrape
/// waits for it.
async fn begin(url: &SecretString) -> Result<(Ledger, Mutex<Past>), LedgerError> {
    let (ledger, mut past) = (Ledger::connect(url).await?, Past::new(&EDGES));
    ledger.catch_up(&mut past).await?;
    Ok((ledger, Mutex::new(past)))
}

async fn connect(url: SecretString, ledger: Arc<OnceLock<(Ledger, Mutex<Past>)>>) {
    loop {
        match begin(&url).await {
            Ok(begun) => {
                // There is one task that connects, so nobody was faster.
                let _ = ledger.set(begun);
                return;
            }
            Err(error) => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "reach the ledger");
            }
        }
        sleep(AGAIN).await;
    }
}
