//! Text that somebody else wrote, made safe for a terminal, and figures for people.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// One line: what could move the cursor, change colours, rename the window or turn the direction of writing is
/// shown as an escape.
pub(crate) fn line(text: &str) -> String {
    escape(text, false)
}

/// Several lines, each behind an indentation, so that none of them can pass for one of ours.
pub(crate) fn block(text: &str, indent: &str) -> String {
    let lines: Vec<String> =
        text.trim_end().lines().map(|line| format!("{indent}{}", escape(line, true))).collect();
    lines.join("\n")
}

fn escape(text: &str, tabs: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || (c.is_control() && !(tabs && c == '\t')) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// An argument as a shell takes it: a command that we print can be copied.
pub(crate) fn argument(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", line(&text.replace('\'', "'\\''")))
}

/// `1.2 GB`, in powers of 1000.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `42 s`, `3 min`, `2 h 5 min`, `4 d`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `3 min ago`, or `in 3 min`.
pub(crate) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (now - at).to_std() {
        Ok(passed) => format!("{} ago", duration(passed)),
        Err(_) => format!("in {}", duration((at - now).to_std().unwrap_or_default())),
    }
}

/// `2026-11-21 06:00:00 UTC`.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{argument, block, bytes, duration, line};

    #[test]
    fn what_moves_a_terminal_is_shown_instead() {
        assert_eq!(line("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(line("a\rb\nc"), "a\\rb\\nc");
        assert_eq!(line("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(line("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(line("Größe → 数"), "Größe → 数");
        assert_eq!(block("SELECT 1\n\tFROM t\u{7}\n", "  "), "  SELECT 1\n  \tFROM t\\u{7}");
    }

    #[test]
    fn a_command_can_be_copied() {
        assert_eq!(argument("shop-1.sql.gz"), "shop-1.sql.gz");
        assert_eq!(argument("my shop's.sql"), r"'my shop'\''s.sql'");
        assert_eq!(argument(""), "''");
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(16 << 20), "16.8 MB");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(bytes(u64::MAX), "18446.7 PB");
        assert_eq!(duration(Duration::from_secs(59)), "59 s");
        assert_eq!(duration(Duration::from_secs(7500)), "2 h 5 min");
    }
}
