//! Times and ages, as a person reads them.

use jiff::Timestamp;

/// Returns a time in UTC with its age, such as `2026-11-26 14:02 UTC, 19 h ago`. A text that is no
/// time is returned as it is.
pub(super) fn with_age(time: &str, now: Timestamp) -> String {
    let Ok(at) = time.parse::<Timestamp>() else {
        return time.to_owned();
    };
    let shown = at.strftime("%Y-%m-%d %H:%M UTC");
    match age(at, now) {
        Some(age) => format!("{shown}, {age} ago"),
        None => shown.to_string(),
    }
}

/// Returns the time between two moments in its largest unit. `None` where it has not passed yet.
fn age(at: Timestamp, now: Timestamp) -> Option<String> {
    let seconds = u64::try_from(now.as_second() - at.as_second()).ok()?;
    Some(match seconds {
        0..60 => "less than a minute".to_owned(),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_has_its_largest_unit() {
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
        for (time, shown) in [
            (
                "2026-11-27T11:59:30.5Z",
                "2026-11-27 11:59 UTC, less than a minute ago",
            ),
            ("2026-11-27T11:15:00Z", "2026-11-27 11:15 UTC, 45 min ago"),
            (
                "2026-11-26T12:00:00+02:00",
                "2026-11-26 10:00 UTC, 26 h ago",
            ),
            ("2026-11-20T12:00:00Z", "2026-11-20 12:00 UTC, 7 days ago"),
            ("2026-11-28T12:00:00Z", "2026-11-28 12:00 UTC"),
            ("yesterday", "yesterday"),
        ] {
            assert_eq!(with_age(time, now), shown);
        }
    }
}
