//! The processes of a fleet, as tasks of this one.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tokio::{net::TcpStream, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use uplift_platform::Config;

/// Dispatcher, worker and exporter at work.
pub(super) struct Parts {
    working: JoinSet<(&'static str, Result<()>)>,
    stop_worker: CancellationToken,
    stop_others: CancellationToken,
}

impl Parts {
    pub(super) fn start(config: &Config) -> Self {
        let (stop_worker, stop_others) = (CancellationToken::new(), CancellationToken::new());
        let mut working = JoinSet::new();
        let (own, stop) = (config.clone(), stop_others.clone());
        working.spawn(async move { ("the dispatcher", uplift_dispatcher::serve(&own, stop).await) });
        let (own, stop) = (config.clone(), stop_others.clone());
        working.spawn(async move { ("the exporter", uplift_exporter::run(&own, stop).await) });
        let (own, stop) = (config.clone(), stop_worker.clone());
        working.spawn(async move { (WORKER, uplift_worker::run(own, stop).await) });
        Self { working, stop_worker, stop_others }
    }

    /// Waits until the dispatcher takes connections.
    pub(super) async fn listening(&self, address: SocketAddr, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            // What has ended says why in `run`.
            if begun.elapsed() > limit {
                bail!("the dispatcher does not listen on {address} after {} s", limit.as_secs());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Returns once all have ended: because they were told to, or because one of them failed and the others cannot go
    /// on without it.
    pub(super) async fn run(mut self, shutdown: CancellationToken) -> Result<()> {
        let mut failure = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled(), if !self.stop_worker.is_cancelled() => self.stop_worker.cancel(),
                ended = self.working.join_next() => match ended {
                    None => return failure.map_or(Ok(()), Err),
                    Some(ended) => {
                        let (name, ended) = ended.context("run a part")?;
                        let expected = self.stop_worker.is_cancelled();
                        match ended {
                            Err(error) => failure = failure.or(Some(error.context(name))),
                            Ok(()) if !expected => failure = failure.or(Some(anyhow::anyhow!("{name} has ended"))),
                            Ok(()) => {}
                        }
                        // The worker hands back what runs before anything that it needs for that is gone.
                        if name == WORKER {
                            self.stop_others.cancel();
                        }
                        self.stop_worker.cancel();
                    }
                }
            }
        }
    }
}

const WORKER: &str = "the worker";
