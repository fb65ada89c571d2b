//! The time for which a response asks its client to stay away, capped.

use std::time::{Duration, SystemTime};

use http::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// Parses `Retry-After`, in seconds or as a date, and caps it at [`LONGEST_RETRY_AFTER`]. A date
/// is compared with the response's own `Date`, where it has one: the clock of this machine may be
/// wrong. Anything else, such as a negative number, is no wait at all.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.trim());
    let date = |name| httpdate::parse_http_date(text(name)?).ok();
    let value = text(RETRY_AFTER)?;
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if is_number {
        // More digits than fit are a long time, too.
        value.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        date(RETRY_AFTER)?
            .duration_since(date(DATE).unwrap_or(now))
            .unwrap_or_default()
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// Longest accepted `Retry-After`. A provider's rate limit refills within a minute, and a mistaken
/// header must not keep a process from its database for hours.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(HeaderName, &str)]) -> Option<u64> {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:00 GMT").unwrap();
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()));
        retry_after(&pairs.collect(), now).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let then = (RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait(&[(RETRY_AFTER, " 17")]), Some(17));
        assert_eq!(wait(std::slice::from_ref(&then)), Some(37));
        let theirs = (DATE, "Sun, 06 Nov 1994 08:49:30 GMT");
        assert_eq!(wait(&[then.clone(), theirs]), Some(7));
        let later = (DATE, "Sun, 06 Nov 1994 09:00:00 GMT");
        assert_eq!(wait(&[then, later]), Some(0));
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn long_wait_is_capped_at_a_minute() {
        let most = u64::MAX.to_string();
        for value in [
            "61",
            "86400",
            "0000000000000000000086400",
            &most,
            "99999999999999999999999999999999",
            "Sun, 06 Nov 1994 08:50:01 GMT",
            "Sunday, 06-Nov-94 20:00:00 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            assert_eq!(wait(&[(RETRY_AFTER, value)]), Some(60), "{value}");
        }
    }

    #[test]
    fn malformed_value_is_no_wait() {
        for value in [
            "",
            "soon",
            "-1",
            "-86400",
            "+5",
            "1.5",
            "1e9",
            "0x10",
            "5 s",
            "1, 2",
            "NaN",
            "Sun, 99 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(wait(&[(RETRY_AFTER, value)]), None, "{value:?}");
        }
    }
}
