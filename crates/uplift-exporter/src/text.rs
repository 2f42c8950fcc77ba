//! Families in Prometheus' text format. The samples are made here rather than by the library's own counters:
//! the ledger has counted already.

use prometheus::{
    TextEncoder,
    proto::{self, MetricFamily, MetricType},
};
use uplift_platform::ledger::{Durations, Sample};

use crate::families::{EDGES, Family, Series};

/// What `/metrics` answers with.
pub(crate) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All families that have a series.
pub(crate) fn write(families: &[Family]) -> prometheus::Result<String> {
    let known: Vec<MetricFamily> =
        families.iter().map(family).filter(|family| !family.get_metric().is_empty()).collect();
    TextEncoder::new().encode_to_string(&known)
}

fn family(family: &Family) -> MetricFamily {
    let labelled = |values: &[String]| {
        let pairs = family.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value.clone());
            pair
        });
        proto::Metric::from_label(pairs.collect())
    };
    let (kind, metrics) = match &family.series {
        Series::Gauges(samples) => (
            MetricType::GAUGE,
            samples.iter().map(|sample| gauge(labelled(&sample.labels), sample)).collect(),
        ),
        Series::Counters(samples) => {
            let counters = samples.iter().map(|sample| counter(labelled(&sample.labels), sample));
            (MetricType::COUNTER, counters.collect())
        }
        Series::Histograms(durations) => {
            let histograms = durations.iter().map(|taken| histogram(labelled(&taken.labels), taken));
            (MetricType::HISTOGRAM, histograms.collect())
        }
    };
    let mut made = MetricFamily::default();
    made.set_name(family.name.to_owned());
    made.set_help(family.help.to_owned());
    made.set_field_type(kind);
    made.set_metric(metrics);
    made
}

fn gauge(mut metric: proto::Metric, sample: &Sample) -> proto::Metric {
    let mut gauge = proto::Gauge::default();
    gauge.set_value(sample.value);
    metric.set_gauge(gauge);
    metric
}

fn counter(mut metric: proto::Metric, sample: &Sample) -> proto::Metric {
    let mut counter = proto::Counter::default();
    counter.set_value(sample.value);
    metric.set_counter(counter);
    metric
}

/// The ledger counts each duration in one bucket; Prometheus counts it in all that it fits in.
fn histogram(mut metric: proto::Metric, durations: &Durations) -> proto::Metric {
    let mut so_far = 0;
    let buckets = EDGES.iter().zip(&durations.buckets).map(|(edge, count)| {
        so_far += count;
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(*edge);
        bucket.set_cumulative_count(so_far);
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(durations.buckets.iter().sum());
    histogram.set_sample_sum(durations.sum);
    metric.set_histogram(histogram);
    metric
}

#[cfg(test)]
mod tests {
    use uplift_platform::ledger::Durations;

    use super::write;
    use crate::families::{EDGES, Family, Series};

    #[test]
    fn a_histogram_counts_upwards_and_ends_with_everything() {
        let mut buckets = vec![0; EDGES.len() + 1];
        buckets[0] = 2;
        let twenty = EDGES.iter().position(|edge| *edge == 1200.0).unwrap();
        buckets[twenty] = 3;
        buckets[EDGES.len()] = 1;
        let family = Family {
            name: "uplift_stage_duration_seconds",
            help: "Test.",
            labels: &["stage"],
            series: Series::Histograms(vec![Durations { labels: vec!["dump".into()], buckets, sum: 9.5 }]),
        };
        let text = write(&[family]).unwrap();
        for line in [
            r#"_bucket{stage="dump",le="1"} 2"#,
            r#"_bucket{stage="dump",le="600"} 2"#,
            r#"_bucket{stage="dump",le="1200"} 5"#,
            r#"_bucket{stage="dump",le="7200"} 5"#,
            r#"_bucket{stage="dump",le="+Inf"} 6"#,
            r#"_sum{stage="dump"} 9.5"#,
            r#"_count{stage="dump"} 6"#,
        ] {
            assert!(text.contains(&format!("uplift_stage_duration_seconds{line}\n")), "{line} in\n{text}");
        }
    }

    #[test]
    fn what_has_no_series_is_not_mentioned() {
        let family = Family {
            name: "uplift_interventions",
            help: "Test.",
            labels: &[],
            series: Series::Gauges(Vec::new()),
        };
        assert_eq!(write(&[family]).unwrap(), "");
    }
}
