//! Times and figures in words, and foreign text made plain.

use chrono::{DateTime, TimeDelta, Utc};
use uplift_core::api::EstimateView;

/// `26 Nov 18:07:09`, UTC.
pub(super) fn time(at: &DateTime<Utc>) -> String {
    at.format("%-d %b %H:%M:%S").to_string()
}

/// `12 s`, `3 min`, `2 h 5 min`, `4 d`.
pub(crate) fn span(of: TimeDelta) -> String {
    let seconds = of.num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d", seconds / 86400),
    }
}

/// `3 min ago`, `in 2 h 5 min`.
pub(super) fn ago(at: &DateTime<Utc>, now: &DateTime<Utc>) -> String {
    let passed = *now - *at;
    if passed >= TimeDelta::zero() {
        format!("{} ago", span(passed))
    } else {
        format!("in {}", span(-passed))
    }
}

/// How long something took that may still be at it.
pub(super) fn between(from: &DateTime<Utc>, to: Option<&DateTime<Utc>>, now: &DateTime<Utc>) -> String {
    span(*to.unwrap_or(now) - *from)
}

/// `1.2 s`.
#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
pub(super) fn millis(millis: &u64) -> String {
    format!("{:.1} s", *millis as f64 / 1000.0)
}

/// `20 min to 45 min, by 3 upgrades of this database`.
pub(super) fn estimate(estimate: &EstimateView) -> String {
    let time = |seconds: u64| span(TimeDelta::seconds(seconds.cast_signed()));
    let of = if estimate.own { "this database" } else { "others that are alike" };
    let (p50, p90) = (time(estimate.p50_seconds), time(estimate.p90_seconds));
    let upgrades =
        if estimate.samples == 1 { "1 upgrade".to_owned() } else { format!("{} upgrades", estimate.samples) };
    format!("{p50} to {p90}, by {upgrades} of {of}")
}

/// `1.2 MB`, in powers of 1000.
#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
pub(super) fn bytes(bytes: &u64) -> String {
    let mut value = *bytes as f64;
    let mut unit = "bytes";
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") }
}

/// Text that somebody else wrote: what is not plain is shown as an escape, line breaks and tabs apart.
pub(super) fn plain(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || c.is_control() && !matches!(c, '\n' | '\t') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// `1 database`, `2 databases`.
pub(super) fn count(number: &i64, one: &str) -> String {
    if *number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// The first twelve digits of a digest: enough to tell, and they fit.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(span(TimeDelta::seconds(7509)), "2 h 5 min");
        assert_eq!(bytes(&999), "999 bytes");
        assert_eq!(bytes(&7_160_718), "7.2 MB");
        assert_eq!(millis(&1249), "1.2 s");
        assert_eq!((count(&1, "request"), count(&0, "request")), ("1 request".into(), "0 requests".into()));
        assert_eq!(plain("a\u{1b}[31m\tb\nc\u{202e}"), "a\\u{1b}[31m\tb\nc\\u{202e}");
    }
}
