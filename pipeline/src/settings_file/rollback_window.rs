//! The time for which the code before a promotion may come back.

use std::time::Duration;

/// The time after a promotion for which a rollback to the artifact before it stays possible, where
/// `policy.rollback_window` does not say otherwise. A day has the hours of most traffic, and of a team.
pub const DEFAULT_ROLLBACK_WINDOW: Duration = Duration::from_hours(24);

/// The least rollback window: a background function of Netlify's runs for 15 minutes, with the code that
/// was live when it began.
pub const LEAST_ROLLBACK_WINDOW: Duration = Duration::from_mins(15);

/// The longest one, so that a slip does not keep migrations of *after* waiting for years.
const LONGEST: Duration = Duration::from_hours(24 * 90);

/// Parses a window such as `24h`, `90m` or `7d`.
///
/// # Errors
///
/// The reason, which does not repeat the text.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    let form = "wants a number with a unit, m, h or d, such as \"24h\"";
    let unit = text.chars().last().ok_or(form)?;
    let minutes = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        _ => return Err(form),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(form);
    }
    // A number of more digits is beyond the longest window in any unit.
    let number: u64 = number.parse().unwrap_or(u64::MAX);
    let window = Duration::from_secs(number.saturating_mul(minutes * 60));
    if window < LEAST_ROLLBACK_WINDOW {
        Err("is less than 15m, the time for which a background function may run")
    } else if window > LONGEST {
        Err("is more than 90d")
    } else {
        Ok(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_has_a_unit_and_is_neither_too_short_nor_too_long() {
        for (text, minutes) in [
            ("15m", 15),
            ("24h", 1440),
            ("7d", 10_080),
            ("090m", 90),
            ("90d", 129_600),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_mins(minutes)), "{text}");
        }
        for (text, reason) in [
            ("", "wants a number"),
            ("h", "wants a number"),
            ("24", "wants a number"),
            ("-1h", "wants a number"),
            ("1.5h", "wants a number"),
            ("1h30m", "wants a number"),
            (" 1h", "wants a number"),
            ("24H", "wants a number"),
            ("24é", "wants a number"),
            ("0h", "less than 15m"),
            ("14m", "less than 15m"),
            ("91d", "more than 90d"),
            ("99999999999999999999999d", "more than 90d"),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.contains(reason), "{text}: {found}");
        }
    }
}
