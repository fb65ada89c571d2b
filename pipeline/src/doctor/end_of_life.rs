//! The end of life of Postgres's versions, at Heroku and of the versions themselves.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

/// Returns the day of a time, in UTC.
pub(super) fn day_of(time: SystemTime) -> Date {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::UTC).date()
}

/// Returns the last day of a major version's support; `None` for one that the table does not have.
pub(super) fn end_of_life(major: i32, is_at_heroku: bool) -> Option<Date> {
    if major < OLDEST {
        return Some(date(2025, 11, 13));
    }
    let row = ENDS.iter().find(|(version, ..)| *version == major)?;
    let (_, of_postgres, at_heroku) = row;
    match at_heroku {
        Some(end) if is_at_heroku => Some(*end),
        _ => Some(*of_postgres),
    }
}

/// The oldest version that the table has; those before it have ended.
const OLDEST: i32 = 13;

/// The last days of support: of Postgres itself (postgresql.org/support/versioning, 2026-11), and at
/// Heroku, which names quarters (devcenter.heroku.com/articles/postgres-version-support, 2026-04).
const ENDS: [(i32, Date, Option<Date>); 7] = [
    (13, date(2025, 11, 13), None),
    (14, date(2026, 11, 12), Some(date(2025, 9, 30))),
    (15, date(2027, 11, 11), Some(date(2026, 9, 30))),
    (16, date(2028, 11, 9), Some(date(2027, 9, 30))),
    (17, date(2029, 11, 8), Some(date(2028, 9, 30))),
    (18, date(2030, 11, 14), None),
    (19, date(2031, 11, 13), None),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_end_sooner_at_heroku() {
        for (major, is_at_heroku, expected) in [
            (9, false, Some("2025-11-13")),
            (15, true, Some("2026-09-30")),
            (15, false, Some("2027-11-11")),
            (18, true, Some("2030-11-14")),
            (20, true, None),
        ] {
            let found = end_of_life(major, is_at_heroku).map(|day| day.to_string());
            assert_eq!(found.as_deref(), expected, "{major}");
        }
    }
}
