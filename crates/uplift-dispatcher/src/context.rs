//! What every handler and the sweep work with.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uplift_core::Clock;
use uplift_platform::{Config, Ledger, Objects, Publisher, config::DispatcherConfig};

use crate::{
    api::Seen,
    catalog::Catalog,
    notify::{Mailer, Webhooks},
    shells::Shells,
};

/// The clients of the three services, and the settings.
#[derive(Debug)]
pub struct Context {
    pub(crate) ledger: Ledger,
    pub(crate) objects: Objects,
    /// Where pages send parts to.
    pub(crate) upload_origin: String,
    pub(crate) hints: Publisher,
    pub(crate) clock: Clock,
    pub(crate) settings: DispatcherConfig,
    /// How long a hint lives at the broker: no request is hinted at twice within it.
    pub(crate) hint_ttl: Duration,
    /// How long an attempt may take.
    pub(crate) attempt: Duration,
    /// Sends mail.
    pub(crate) mailer: Mailer,
    /// Sends webhooks.
    pub(crate) webhooks: Webhooks,
    /// Digests of the programs that are handed out.
    pub(crate) clients: tokio::sync::Mutex<BTreeMap<PathBuf, (Seen, String)>>,
    /// The current packs.
    pub(crate) catalog: Catalog,
    /// Where engineers' shells meet their workers.
    pub(crate) shells: Shells,
    /// Told whenever a request was queued, so that its hint does not wait for the next sweep.
    pub(crate) queued: Notify,
    /// Cancelled when the dispatcher has to stop: streams end, and the sweep.
    pub(crate) stopping: CancellationToken,
}

impl Context {
    /// Connects to the ledger; the broker and the object store need not be there yet.
    ///
    /// # Errors
    /// The ledger cannot be reached or migrated, or the object store is misconfigured.
    pub async fn open(config: &Config, stopping: CancellationToken) -> Result<Arc<Self>> {
        let objects = Objects::new(&config.objects).context("set up the object store")?;
        let ledger = Ledger::migrate(&config.ledger.url).await.context("open the ledger")?;
        let target = Duration::from_secs(u64::from(config.dispatcher.target_minutes.get()) * 60);
        Ok(Arc::new(Self {
            upload_origin: objects.upload_origin().await.context("sign links to the object store")?,
            objects,
            clock: Clock::System,
            ledger: ledger.promising(target),
            hints: Publisher::start(config.hints.clone()),
            settings: config.dispatcher.clone(),
            hint_ttl: config.hints.ttl(),
            attempt: Duration::from_secs(config.worker.attempt_seconds),
            mailer: Mailer::new(config.dispatcher.mail.as_ref()).context("set up mail")?,
            webhooks: Webhooks::new(config.dispatcher.webhooks_to_private)?,
            clients: tokio::sync::Mutex::default(),
            catalog: Catalog::default(),
            shells: Shells::default(),
            queued: Notify::new(),
            stopping,
        }))
    }

    /// For how long a link to an object is valid.
    pub(crate) const fn link_ttl(&self) -> Duration {
        Duration::from_secs(self.settings.link_minutes * 60)
    }
}
