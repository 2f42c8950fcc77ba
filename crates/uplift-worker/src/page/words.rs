//! Figures as people read them.

/// What stands between thousands: a space that is narrow and does not break.
const THIN: char = '\u{202f}';

/// A whole number in groups of three digits.
pub(super) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// A decimal number as a database writes it, with `decimals` digits behind the point; `None` for anything else.
pub(super) fn decimal(text: &str, decimals: usize) -> Option<String> {
    let number = Decimal::parse(text)?;
    let sign = if number.negative { "−" } else { "" };
    let whole = grouped(number.whole);
    Some(if decimals == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{:0<decimals$}", number.fraction)
    })
}

/// How many digits a decimal number has behind its point.
pub(super) fn decimals(text: &str) -> usize {
    Decimal::parse(text).map_or(0, |number| number.fraction.len())
}

/// Whether a text is a decimal number.
pub(super) fn is_decimal(text: &str) -> bool {
    Decimal::parse(text).is_some()
}

struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = [whole, fraction]
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        let fraction = if digits.contains('.') { fraction } else { "" };
        is_number.then_some(Self { negative, whole, fraction })
    }
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(THIN);
        }
        text.push(digit);
    }
    text
}

/// A length in MB (of a million bytes); below one, in kB.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes}\u{a0}bytes"),
        1_000..1_000_000 => format!("{}\u{a0}kB", count(bytes.div_ceil(1_000))),
        1_000_000..100_000_000 => format!("{:.1}\u{a0}MB", bytes as f64 / 1e6),
        _ => format!("{}\u{a0}MB", count((bytes + 500_000) / 1_000_000)),
    }
}

/// A duration in the two units that matter.
pub(super) fn duration(millis: u64) -> String {
    match millis {
        0..50 => "under 0.1\u{a0}s".to_owned(),
        50..9_950 => format!("{:.1}\u{a0}s", millis as f64 / 1e3),
        9_950..59_500 => format!("{}\u{a0}s", (millis + 500) / 1_000),
        _ => {
            let seconds = (millis + 500) / 1_000;
            let minutes = seconds / 60;
            if minutes < 60 {
                format!("{minutes}\u{a0}min {}\u{a0}s", seconds % 60)
            } else {
                format!("{}\u{a0}h {:02}\u{a0}min", minutes / 60, minutes % 60)
            }
        }
    }
}

/// A noun with its number: `1 table`, `3 tables`.
pub(super) fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{}\u{a0}{}", count(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1\u{202f}000");
        assert_eq!(count(12_345_678), "12\u{202f}345\u{202f}678");
    }

    #[test]
    fn a_decimal_keeps_every_digit_and_fills_up() {
        assert_eq!(decimal("-1234567.5", 2).unwrap(), "−1\u{202f}234\u{202f}567.50");
        assert_eq!(decimal("12", 0).unwrap(), "12");
        assert_eq!(decimal("0.125", 3).unwrap(), "0.125");
        for text in ["", "-", "1.", ".5", "1,5", "1e5", "12 in stock", "--1", "1.2.3", "١"] {
            assert_eq!(decimal(text, 0), None, "{text}");
        }
    }

    #[test]
    fn lengths_and_durations_are_for_people() {
        let lengths = [12, 999_001, 999_999, 1_500_000, 3_221_225_472].map(bytes);
        assert_eq!(
            lengths,
            [
                "12\u{a0}bytes",
                "1\u{202f}000\u{a0}kB",
                "1\u{202f}000\u{a0}kB",
                "1.5\u{a0}MB",
                "3\u{202f}221\u{a0}MB"
            ]
        );
        let durations = [3, 240, 9_949, 59_499, 59_500, 192_000, 3_599_700, 7_500_000].map(duration);
        let plain = durations.map(|text| text.replace('\u{a0}', " "));
        assert_eq!(
            plain,
            ["under 0.1 s", "0.2 s", "9.9 s", "59 s", "1 min 0 s", "3 min 12 s", "1 h 00 min", "2 h 05 min"]
        );
    }
}
