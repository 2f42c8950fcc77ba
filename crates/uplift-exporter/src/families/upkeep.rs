//! What is kept, what goes by itself, and whether all of it goes.

use uplift_platform::ledger::Metrics;

use super::{Family, Series, gauge, one, some};

/// What is kept, and what is to be told or removed.
pub(super) fn kept(ledger: &Metrics) -> Vec<Family> {
    let [copied, copying] = ["bytes", "seconds"].map(|kind| {
        let of_kind = ledger.copies.iter().filter(|copies| copies.labels == [kind]);
        of_kind.map(|copies| one(copies.value)).collect()
    });
    vec![
        gauge(
            "uplift_checkpoint_bytes",
            "Saved states before steps that failed, in the object store; absent where there is none.",
            some(ledger.saved_bytes),
        ),
        Family {
            name: "uplift_checkpoint_copied_bytes_total",
            help: "What copies of databases before steps took of the disk, of attempts that have ended.",
            labels: &[],
            series: Series::Counters(copied),
        },
        Family {
            name: "uplift_checkpoint_copy_seconds_total",
            help: "How long copying databases before steps took, of attempts that have ended.",
            labels: &[],
            series: Series::Counters(copying),
        },
        Family {
            name: "uplift_notifications_due",
            help: "Mail and webhooks that are due and not sent; absent where there is none.",
            labels: &["way"],
            series: Series::Gauges(ledger.notifications.clone()),
        },
        Family {
            name: "uplift_oldest_notification_due_timestamp_seconds",
            help: "When the oldest of them was due, as a unix time.",
            labels: &["way"],
            series: Series::Gauges(ledger.oldest_notification.clone()),
        },
        gauge(
            "uplift_retention_due",
            "Dumps, and results with their logs, that should be gone by now; absent where there is none.",
            ledger.retention.map(|(count, _)| count),
        ),
        gauge(
            "uplift_oldest_retention_due_timestamp_seconds",
            "When the first of them should have gone, as a unix time.",
            ledger.retention.map(|(_, since)| since),
        ),
        gauge(
            "uplift_unswept_attempts",
            "Attempts without a result that have left objects which are not removed yet; absent where there is none.",
            ledger.unswept.map(|(count, _)| count),
        ),
        gauge(
            "uplift_oldest_unswept_attempt_timestamp_seconds",
            "When the first of them ended, as a unix time.",
            ledger.unswept.map(|(_, since)| since),
        ),
    ]
}

/// Whether the whole way is free, by an upgrade that goes it for that alone.
pub(super) fn canary(ledger: &Metrics) -> Vec<Family> {
    vec![
        gauge(
            "uplift_canary_first_timestamp_seconds",
            "When the first canary was handed in, as a unix time; absent where there is none.",
            ledger.canary.map(|(first, ..)| first),
        ),
        gauge(
            "uplift_canary_last_success_timestamp_seconds",
            "When a canary last had its result, checked and accepted, as a unix time; absent where none ever had.",
            ledger.canary.and_then(|(_, last, _)| last),
        ),
        gauge(
            "uplift_canary_duration_seconds",
            "What that one took, from handing in its dump to having its result.",
            ledger.canary.and_then(|(.., took)| took),
        ),
    ]
}
