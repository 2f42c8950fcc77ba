//! What was measured, as a line of a table and as a line of JSON.

use serde_json::json;

/// Samples of one quantity.
pub(crate) struct Figure {
    bench: &'static str,
    what: String,
    unit: &'static str,
    samples: Vec<f64>,
}

impl Figure {
    pub(crate) fn new(bench: &'static str, what: impl Into<String>, unit: &'static str) -> Self {
        Self { bench, what: what.into(), unit, samples: Vec::new() }
    }

    pub(crate) fn of(mut self, samples: impl IntoIterator<Item = f64>) -> Self {
        self.samples.extend(samples);
        self
    }

    /// How many times as long the other one took, each time compared with the run beside it.
    pub(crate) fn ratio(bench: &'static str, what: impl Into<String>, ours: &[f64], theirs: &[f64]) -> Self {
        Self::new(bench, what, "x").of(theirs.iter().zip(ours).map(|(theirs, ours)| theirs / ours))
    }

    /// Prints both lines.
    pub(crate) fn print(mut self) {
        assert!(!self.samples.is_empty(), "{}: nothing was measured", self.what);
        self.samples.sort_by(f64::total_cmp);
        let [min, max] = [self.samples[0], self.samples[self.samples.len() - 1]];
        let median = quantile(&self.samples, 0.5);
        println!(
            "{:<8} {:<58} {median:>10.2} {:<4} ({min:.2} to {max:.2}, {} times)",
            self.bench,
            self.what,
            self.unit,
            self.samples.len()
        );
        let line = json!({
            "bench": self.bench, "what": self.what, "unit": self.unit,
            "min": min, "median": median, "max": max, "samples": self.samples.len(),
        });
        println!("{line}");
    }
}

/// The value below which a share of sorted samples lies.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len() - 1;
    sorted[((last as f64 * share).round() as usize).min(last)]
}
