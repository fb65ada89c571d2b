//! The limits of requests and of deploys per minute.

use std::collections::HashMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};

use super::NetlifyApi;

/// Counts events per key, such as requests per token, in windows of a minute. A window begins with
/// its first event.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// Events per window. `None` for no limit.
    pub(super) limit: Option<u32>,
    windows: HashMap<String, Window>,
}

#[derive(Debug)]
struct Window {
    end: Timestamp,
    count: u32,
}

/// The limit after an event was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// False if the event was one too many.
    pub(super) is_allowed: bool,
    limit: u32,
    remaining: u32,
    reset: Timestamp,
}

impl RateLimit {
    pub(super) fn new(limit: Option<u32>) -> Self {
        Self {
            limit,
            windows: HashMap::new(),
        }
    }

    /// Counts an event. `None` if there is no limit.
    pub(super) fn count(&mut self, key: &str, now: Timestamp) -> Option<Quota> {
        let limit = self.limit?;
        let new = || Window {
            end: now + WINDOW,
            count: 0,
        };
        let window = self.windows.entry(key.to_owned()).or_insert_with(new);
        if window.end <= now {
            *window = new();
        }
        window.count = window.count.saturating_add(1);
        Some(Quota {
            is_allowed: window.count <= limit,
            limit,
            remaining: limit.saturating_sub(window.count),
            reset: window.end,
        })
    }
}

impl Quota {
    /// Adds Netlify's headers to a response.
    pub(super) fn add_to(self, headers: &mut HeaderMap) {
        for (name, value) in [
            ("x-ratelimit-limit", i64::from(self.limit)),
            ("x-ratelimit-remaining", i64::from(self.remaining)),
            ("x-ratelimit-reset", self.reset.as_second()),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}

impl NetlifyApi {
    /// Sets the limit of requests per minute and token. The default is 500, as Netlify documents it.
    /// Further requests are answered with 429. Each response has the limit, what remains of it, and
    /// the Unix time of its renewal in `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    pub fn set_request_limit(&self, per_minute: u32) {
        self.state.account().requests = RateLimit::new(Some(per_minute));
    }

    /// Sets the limit of deploys that are created per minute, of all sites. `None` is the default and
    /// means no limit. Netlify has documented 3; whether it holds today and for each plan is
    /// unknown. Further deploys are refused with 429.
    pub fn set_deploy_limit(&self, per_minute: Option<u32>) {
        self.state.account().new_deploys = RateLimit::new(per_minute);
    }
}

/// Requests per minute and token by Netlify's documentation.
pub(super) const REQUESTS_PER_MINUTE: u32 = 500;

const WINDOW: SignedDuration = SignedDuration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_ends_a_minute_after_its_first_event() {
        let mut limit = RateLimit::new(Some(2));
        let second = |at: i64| Timestamp::from_second(at).unwrap();
        let mut count = |key: &str, at: i64| {
            let quota = limit.count(key, second(at)).unwrap();
            (quota.is_allowed, quota.remaining, quota.reset.as_second())
        };
        assert_eq!(count("a", 1000), (true, 1, 1060));
        assert_eq!(count("a", 1059), (true, 0, 1060));
        assert_eq!(count("a", 1059), (false, 0, 1060));
        assert_eq!(count("b", 1059), (true, 1, 1119));
        assert_eq!(count("a", 1060), (true, 1, 1120));
        assert_eq!(RateLimit::new(None).count("a", second(0)), None);
    }
}
