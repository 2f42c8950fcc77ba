//! Times as people write them.

use chrono::{DateTime, Days, Local, NaiveDateTime, NaiveTime, Utc};

/// A time: of day, of a day, or with its zone. What names no zone is local.
pub(super) fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    parse_at(text, &Local::now())
}

fn parse_at<Z: chrono::TimeZone>(text: &str, now: &DateTime<Z>) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let local = match NaiveTime::parse_from_str(text, "%H:%M") {
        Ok(time) => {
            let (today, tomorrow) = (now.date_naive(), now.date_naive() + Days::new(1));
            if time > now.time() { today.and_time(time) } else { tomorrow.and_time(time) }
        }
        Err(_) => NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").map_err(|_| {
            "write it as 22:00, as \"2026-12-24 22:00\", or as 2026-12-24T22:00:00+01:00".to_owned()
        })?,
    };
    // In the hour that comes twice, the first one; the one that never comes is no time.
    let time = now.timezone().from_local_datetime(&local).earliest();
    time.map(|time| time.to_utc())
        .ok_or_else(|| format!("the clocks are put forward, and {local} never comes"))
}

#[cfg(test)]
mod tests {
    use chrono::{FixedOffset, TimeZone as _};

    use super::parse_at;

    #[test]
    fn a_time_is_the_next_one_of_that_name() {
        let zone = FixedOffset::east_opt(3600).unwrap();
        let now = zone.with_ymd_and_hms(2026, 11, 26, 21, 30, 0).unwrap();
        let at = |text| parse_at(text, &now).map(|time| time.to_rfc3339()).map_err(|_| ());
        assert_eq!(at("22:00").as_deref(), Ok("2026-11-26T21:00:00+00:00"));
        assert_eq!(at("06:00").as_deref(), Ok("2026-11-27T05:00:00+00:00"));
        assert_eq!(at("2026-12-24 22:00").as_deref(), Ok("2026-12-24T21:00:00+00:00"));
        assert_eq!(at("2026-12-24T22:00:00Z").as_deref(), Ok("2026-12-24T22:00:00+00:00"));
        for wrong in ["", "ten", "25:00", "2026-13-01 00:00"] {
            assert_eq!(at(wrong), Err(()), "{wrong}");
        }
    }
}
