//! Every metric that there is: its name, which never changes, its meaning, and its series as they are now.

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
    [exporter(figures), promise(ledger), work(ledger), fleet(ledger, figures.broker)].concat()
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
    // To the microsecond, as the ledger keeps it; a float has room for that until the year 2255.
    let deadline = ledger.earliest_deadline.map(|at| at.timestamp_micros() as f64 / 1e6);
    vec![
        Family {
            name: "uplift_sla_events_total",
            help: "Promises met (delivered within 120 minutes of the upload's completion) and breached (counted \
                   the moment the deadline passes). The product is unknown where the deadline passed before it \
                   was detected.",
            labels: &["product", "purpose", "outcome"],
            series: Series::Counters(ledger.sla_events.clone()),
        },
        Family {
            name: "uplift_earliest_deadline_timestamp_seconds",
            help: "The earliest deadline among the requests whose upload is complete and that have not ended, as \
                   a unix time; absent where there is none.",
            labels: &[],
            series: Series::Gauges(deadline.map(one).into_iter().collect()),
        },
        Family {
            name: "uplift_request_duration_seconds",
            help: "From the upload's completion to delivery, of delivered requests.",
            labels: &["product", "purpose"],
            series: Series::Histograms(ledger.request_durations.clone()),
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
    let copied = ledger.copies.iter().map(|(bytes, _)| one(*bytes as f64)).collect();
    let copying = ledger.copies.iter().map(|(_, seconds)| one(*seconds)).collect();
    let saved = (ledger.saved_bytes > 0).then(|| one(ledger.saved_bytes as f64));
    let interventions = (ledger.interventions > 0).then(|| one(ledger.interventions as f64));
    vec![
        Family {
            name: "uplift_requests",
            help: "Requests on record.",
            labels: &["state", "purpose"],
            series: Series::Gauges(ledger.requests.clone()),
        },
        Family {
            name: "uplift_interventions",
            help: "Requests that wait for a person of ours; absent where none does.",
            labels: &[],
            series: Series::Gauges(interventions.into_iter().collect()),
        },
        Family {
            name: "uplift_checkpoint_bytes",
            help: "Saved states before steps that failed, in the object store; absent where there is none.",
            labels: &[],
            series: Series::Gauges(saved.into_iter().collect()),
        },
        Family {
            name: "uplift_checkpoint_copied_bytes_total",
            help: "What copies of databases before steps took of the disk.",
            labels: &[],
            series: Series::Counters(copied),
        },
        Family {
            name: "uplift_checkpoint_copy_seconds_total",
            help: "How long copying databases before steps took.",
            labels: &[],
            series: Series::Counters(copying),
        },
        Family {
            name: "uplift_oldest_running_start_timestamp_seconds",
            help: "When the oldest running attempt began, by the stage that it is in, as a unix time; absent \
                   where none runs.",
            labels: &["stage"],
            series: Series::Gauges(ledger.oldest_running.clone()),
        },
        Family {
            name: "uplift_stage_duration_seconds",
            help: "How long a stage took, of stages that ended well, those of attempts that failed later included.",
            labels: &["stage"],
            series: Series::Histograms(ledger.stage_durations.clone()),
        },
        Family {
            name: "uplift_attempts_total",
            help: "Attempts that have ended: delivered, or the failure's class.",
            labels: &["outcome"],
            series: Series::Counters(ledger.attempts.clone()),
        },
        Family {
            name: "uplift_failures_total",
            help: "Attempts that have ended without a result.",
            labels: &["class"],
            series: Series::Counters(ledger.failures.clone()),
        },
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
                assert!(name.ends_with("_duration_seconds"), "{name}: durations are in seconds");
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
