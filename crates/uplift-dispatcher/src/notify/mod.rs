//! Tells customers of their requests, by mail and by webhooks.

mod address;
mod mail;
mod webhook;

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval};
use uplift_core::request::State;
use uplift_platform::ledger::{Due, LedgerError, Request, Sent, Way};

pub(crate) use address::is_private;
pub(crate) use mail::{Mailer, check as check_mail};
pub(crate) use webhook::{Webhooks, new_secret};

use crate::Context;

/// How often what is due is looked for.
const EVERY: Duration = Duration::from_secs(1);

/// The pauses after each attempt that failed, in seconds: three days in all, as Standard Webhooks proposes.
const PAUSES: [u64; 10] = [5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Sends what is due, until the dispatcher stops.
pub(crate) async fn run(context: Arc<Context>) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = round(&context).await {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(error, "notifications wait for the next round");
        }
    }
}

async fn round(context: &Context) -> Result<(), LedgerError> {
    let due = context.ledger.take_notifications().await?;
    let sent = join_all(due.iter().map(|due| send(context, due))).await;
    sent.into_iter().collect()
}

async fn send(context: &Context, due: &Due) -> Result<(), LedgerError> {
    let request = context.ledger.request(None, due.notification.request).await?;
    let told = match &due.way {
        Way::Mail(to) => context.mailer.send(due, to, &request, context.settings.public_url.as_ref()).await,
        Way::Webhook { url, secret, .. } => context.webhooks.send(due, url, secret, &request).await,
    };
    let notification = &due.notification;
    let way = if matches!(due.way, Way::Mail(_)) { "mail" } else { "webhook" };
    match &told {
        Sent::Delivered(_) => tracing::info!(
            notification.id = %notification.id, request.id = %request.id, way, topic = notification.topic, "told"
        ),
        Sent::Later(why, _) | Sent::GivenUp(why) | Sent::Unwanted(why) => tracing::warn!(
            notification.id = %notification.id, request.id = %request.id, way, topic = notification.topic,
            attempts = notification.attempts, why, "not told"
        ),
    }
    context.ledger.told(due, &told).await
}

/// What did not work is tried again, later each time and never at the same time for everybody.
fn later(attempts: u32, said: String) -> Sent {
    let pause = usize::try_from(attempts.saturating_sub(1)).ok().and_then(|index| PAUSES.get(index));
    match pause {
        Some(&seconds) => {
            Sent::Later(said, Duration::from_secs(seconds).mul_f64(rand::random_range(0.8..=1.2)))
        }
        None => Sent::GivenUp(said),
    }
}

/// Why a request was rejected, in words.
fn reason(request: &Request) -> Option<String> {
    match &request.state {
        State::Rejected { failure } => Some(failure.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_end_after_days() {
        let pause = |attempts| match later(attempts, String::new()) {
            Sent::Later(_, pause) => Some(pause.as_secs()),
            _ => None,
        };
        assert!((4..=6).contains(&pause(1).unwrap()));
        assert!(pause(10).unwrap() > 60_000);
        assert_eq!(pause(11), None);
        assert!(PAUSES.iter().sum::<u64>() > 3 * 86_400);
    }
}
