//! Every metric that there is: its name, which never changes, its meaning, and its series as they are now.

mod upkeep;

use uplift_platform::{
    hints::QueueDepths,
    ledger::{Durations, Metrics, Sample},
};

/// Upper ends of the buckets for durations, in seconds. 20 and 120 minutes are the window that is promised.
pub const EDGES: [f64; 19] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 2700.0, 3600.0, 5400.0,
    7200.0, 10800.0, 14400.0, 28800.0,
];

/// What was learnt at one moment.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// `None` while the ledger is down.
    pub ledger: Option<Metrics>,
    /// `None` while the broker is down.
    pub broker: Option<QueueDepths>,
}

/// A metric.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Its kind and its series; there is none where there is nothing to tell.
    pub series: Series,
}

/// A metric's series, with as many values as the metric has labels.
#[derive(Clone, Debug)]
pub enum Series {
    /// What goes up and down.
    Gauges(Vec<Sample>),
    /// What only goes up.
    Counters(Vec<Sample>),
    /// How long things took.
    Histograms(Vec<Durations>),
}

/// All metrics, those without a series included.
#[must_use]
pub fn families(figures: &Figures) -> Vec<Family> {
    let down = Metrics::default();
    let ledger = figures.ledger.as_ref().unwrap_or(&down);
    [
        exporter(figures),
        promise(ledger),
        work(ledger),
        people(ledger),
        upkeep::kept(ledger),
        upkeep::canary(ledger),
        fleet(ledger, figures.broker),
    ]
    .concat()
}

/// The exporter itself, and whether what follows can be believed.
fn exporter(figures: &Figures) -> Vec<Family> {
    let up = |is: bool| Series::Gauges(vec![one(u8::from(is))]);
    vec![
        Family {
            name: "uplift_build_info",
            help: "The exporter's version; always 1.",
            labels: &["version"],
            series: Series::Gauges(vec![of(env!("CARGO_PKG_VERSION"), 1)]),
        },
        Family {
            name: "uplift_ledger_up",
            help: "Whether the ledger answered; while it is 0, what is read from the ledger is absent.",
            labels: &[],
            series: up(figures.ledger.is_some()),
        },
        Family {
            name: "uplift_broker_up",
            help: "Whether the broker answered; while it is 0, what is read from the broker is absent.",
            labels: &[],
            series: up(figures.broker.is_some()),
        },
    ]
}

/// What was promised, and how it was kept.
fn promise(ledger: &Metrics) -> Vec<Family> {
    vec![
        Family {
            name: "uplift_sla_events_total",
            help: "Promises met (delivered within 120 minutes, or what is configured, of the upload's completion) and breached (counted \
                   the moment the deadline passes). The product is unknown where the deadline passed before it \
                   was detected.",
            labels: &["product", "purpose", "outcome"],
            series: Series::Counters(ledger.sla_events.clone()),
        },
        gauge(
            "uplift_earliest_deadline_timestamp_seconds",
            "The earliest deadline that is still ahead, among the requests whose upload is complete and that have not \
             ended, as a unix time; absent where there is none.",
            ledger.earliest_deadline,
        ),
        gauge(
            "uplift_worst_predicted_slack_seconds",
            "The least time between the end that is estimated for a request and its deadline, of those that are not \
             late yet; negative where it comes too late. Absent where nothing is estimated.",
            ledger.worst_slack,
        ),
        Family {
            name: "uplift_request_duration_seconds",
            help: "From the upload's completion to delivery, of delivered requests.",
            labels: &["product", "purpose"],
            series: Series::Histograms(ledger.request_durations.clone()),
        },
        Family {
            name: "uplift_schedule_to_start_seconds",
            help: "From the upload's completion, or the hour that was booked, to the first attempt.",
            labels: &["purpose"],
            series: Series::Histograms(ledger.waits.clone()),
        },
        Family {
            name: "uplift_estimate_error_ratio",
            help: "How far estimates were off, as a part of what was expected: the median of the last 100 delivered requests.",
            labels: &["product"],
            series: Series::Gauges(ledger.estimate_errors.clone()),
        },
    ]
}

/// What there is to do, and how it goes.
fn work(ledger: &Metrics) -> Vec<Family> {
    vec![
        Family {
            name: "uplift_requests",
            help: "Requests on record; those to which something is promised by how that stands: ok, at_risk (late by the \
                   estimate for nine in ten, or a sixth of the promise is left), predicted_breach (late by the estimate for half of \
                   them), breached.",
            labels: &["state", "purpose", "sla_zone"],
            series: Series::Gauges(ledger.requests.clone()),
        },
        Family {
            name: "uplift_oldest_queued_timestamp_seconds",
            help: "Since when the request waits that was not begun although it could be, as a unix time; absent where \
                   none waits.",
            labels: &["purpose"],
            series: Series::Gauges(ledger.oldest_queued.clone()),
        },
        Family {
            name: "uplift_oldest_running_start_timestamp_seconds",
            help: "When the oldest running attempt began, by the stage that it is in, as a unix time; absent \
                   where none runs.",
            labels: &["stage"],
            series: Series::Gauges(ledger.oldest_running.clone()),
        },
        gauge(
            "uplift_oldest_progress_timestamp_seconds",
            "When the running attempt that has not gone on for the longest time went on last (its stage, bytes, steps, \
             log), as a unix time; absent where none runs.",
            ledger.oldest_progress,
        ),
        gauge(
            "uplift_last_claim_timestamp_seconds",
            "When an attempt began last, as a unix time; absent before the first.",
            ledger.last_claim,
        ),
        gauge(
            "uplift_lease_slack_seconds",
            "The least time that is left of a running attempt's lease; absent where none runs.",
            ledger.lease_slack,
        ),
        Family {
            name: "uplift_stage_duration_seconds",
            help: "How long a stage took, of stages that ended well, those of attempts that failed later included.",
            labels: &["stage"],
            series: Series::Histograms(ledger.stage_durations.clone()),
        },
        Family {
            name: "uplift_step_duration_seconds",
            help: "How long a step took, of steps that ended well; those that customers bring are left out.",
            labels: &["product", "hop", "step"],
            series: Series::Histograms(ledger.step_durations.clone()),
        },
        Family {
            name: "uplift_attempts_total",
            help: "Attempts that have ended: delivered, or the failure's class.",
            labels: &["outcome"],
            series: Series::Counters(ledger.attempts.clone()),
        },
        Family {
            name: "uplift_failures_total",
            help: "Attempts that have ended without a result; pack and hop are those of the script it ended in, and empty outside of scripts.",
            labels: &["class", "pack", "hop"],
            series: Series::Counters(ledger.failures.clone()),
        },
        Family {
            name: "uplift_restore_bytes_total",
            help: "Bytes of dumps that were restored.",
            labels: &[],
            series: Series::Counters(ledger.restored_bytes.clone()),
        },
    ]
}

/// What waits for people.
fn people(ledger: &Metrics) -> Vec<Family> {
    let (hops, waiting) = ledger.held;
    vec![
        Family {
            name: "uplift_interventions",
            help: "What waits for a person of ours, by whether one has claimed it; absent where nothing does.",
            labels: &["state"],
            series: Series::Gauges(ledger.interventions.clone()),
        },
        Family {
            name: "uplift_oldest_intervention_opened_timestamp_seconds",
            help: "When the oldest open intervention was opened, as a unix time.",
            labels: &["state"],
            series: Series::Gauges(ledger.oldest_intervention.clone()),
        },
        Family {
            name: "uplift_interventions_closed_total",
            help: "Interventions that are over.",
            labels: &["outcome"],
            series: Series::Counters(ledger.closed_interventions.clone()),
        },
        gauge("uplift_held_hops", "Hops that are held; absent where none is.", some(hops)),
        gauge(
            "uplift_held_requests",
            "Requests that wait for a held hop; absent where none does.",
            some(waiting),
        ),
    ]
}

/// Who does it.
fn fleet(ledger: &Metrics, broker: Option<QueueDepths>) -> Vec<Family> {
    let queues = broker.map(|depths| {
        [("test", depths.test), ("production", depths.production), ("dead", depths.dead)]
            .map(|(queue, messages)| of(queue, messages))
    });
    vec![
        Family {
            name: "uplift_workers",
            help: "Workers on record: alive, draining (they finish what they have), gone (silent for a lease).",
            labels: &["state", "version"],
            series: Series::Gauges(ledger.workers.clone()),
        },
        Family {
            name: "uplift_worker_slots",
            help: "Slots of the workers that are not gone: free to take a request, or busy with one.",
            labels: &["state"],
            series: Series::Gauges(ledger.slots.clone()),
        },
        Family {
            name: "uplift_hint_queue_messages",
            help: "Hints that wait at the broker; those in the queue `dead` are for a person to look at.",
            labels: &["queue"],
            series: Series::Gauges(queues.into_iter().flatten().collect()),
        },
    ]
}

/// A gauge without labels, which may have nothing to tell.
fn gauge(name: &'static str, help: &'static str, value: Option<f64>) -> Family {
    Family { name, help, labels: &[], series: Series::Gauges(value.map(one).into_iter().collect()) }
}

/// A count, where there is anything to count.
fn some(count: u64) -> Option<f64> {
    (count > 0).then_some(count as f64)
}

fn one(value: impl Into<f64>) -> Sample {
    Sample { labels: Vec::new(), value: value.into() }
}

fn of(label: &str, value: impl Into<f64>) -> Sample {
    Sample { labels: vec![label.to_owned()], value: value.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uplift_core::sla;

    use super::{EDGES, Family, Figures, Series, families};

    /// Words of which there is one for every customer, request, database or worker.
    const UNBOUNDED: [&str; 6] = ["account", "customer", "request", "database", "worker", "host"];

    #[test]
    fn names_follow_the_conventions() {
        let mut names = BTreeSet::new();
        for Family { name, help, labels, series } in families(&Figures::default()) {
            assert!(names.insert(name), "{name} is there twice");
            let lower = name.chars().all(|sign| sign.is_ascii_lowercase() || sign == '_');
            assert!(name.starts_with("uplift_") && lower, "{name}");
            let counts = name.ends_with("_total");
            assert_eq!(counts, matches!(series, Series::Counters(_)), "{name}: counters alone end in _total");
            if matches!(series, Series::Histograms(_)) {
                assert!(name.ends_with("_seconds"), "{name}: durations are in seconds");
            }
            assert!(!name.contains("timestamp") || name.ends_with("_timestamp_seconds"), "{name}");
            for unit in ["minutes", "millis", "_ms", "_age", "percent", "kilo", "mega"] {
                assert!(!name.contains(unit), "{name}: base units, and points in time rather than ages");
            }
            assert!(help.ends_with('.') && !help.contains("  "), "{name}: {help}");
            for label in labels {
                assert!(!UNBOUNDED.contains(label), "{name} has as many series as there are {label}s");
            }
        }
    }

    #[test]
    fn with_everything_down_only_the_exporter_is_known() {
        let known: Vec<&str> = families(&Figures::default())
            .iter()
            .filter(|family| match &family.series {
                Series::Gauges(samples) | Series::Counters(samples) => !samples.is_empty(),
                Series::Histograms(durations) => !durations.is_empty(),
            })
            .map(|family| family.name)
            .collect();
        assert_eq!(known, ["uplift_build_info", "uplift_ledger_up", "uplift_broker_up"]);
    }

    #[test]
    fn the_window_has_buckets_of_its_own() {
        assert!(EDGES.is_sorted());
        assert!(EDGES.contains(&sla::TARGET.as_secs_f64()) && EDGES.contains(&1200.0));
    }
}
