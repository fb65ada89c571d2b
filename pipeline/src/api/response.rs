//! The response of an API: its error in words, and whether and when to ask again.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use serde_json::Value as Json;

/// A response with its whole body.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The number of attempts that were made.
    pub(crate) attempts: u32,
}

impl Response {
    /// Forgets the body where it repeats one of these secrets.
    pub(crate) fn hide(&mut self, secrets: &[&str]) {
        let text = String::from_utf8_lossy(&self.body);
        if !self.status.is_success() && secrets.iter().any(|secret| text.contains(secret)) {
            self.body = Vec::new();
        }
    }

    pub(super) fn is_page(&self) -> bool {
        let of = self.headers.get(CONTENT_TYPE);
        let of = of.and_then(|value| value.to_str().ok());
        of.is_some_and(|text| {
            text.trim_start()
                .to_ascii_lowercase()
                .starts_with("text/html")
        })
    }

    /// Returns the message of an error response, where the body is an API's.
    pub(crate) fn error_message(&self) -> Option<String> {
        let body: Json = serde_json::from_slice(&self.body).ok()?;
        let text = body.get("message").or_else(|| body.get("msg"))?;
        Some(text.as_str()?.to_owned())
    }

    /// Returns the id of an error response, where the service has such ids.
    pub(super) fn error_id(&self) -> Option<String> {
        let body: Json = serde_json::from_slice(&self.body).ok()?;
        Some(body.get("id")?.as_str()?.to_owned())
    }

    /// Returns the time for which the service asks, in seconds or as a date. A date is compared
    /// with the response's own, where it has one.
    ///
    /// A rate limit may be answered with the moment of its end instead, in Unix seconds.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let text = |name: HeaderName| Some(self.headers.get(name)?.to_str().ok()?.trim());
        let date = |name| httpdate::parse_http_date(text(name)?).ok();
        if self.status == StatusCode::TOO_MANY_REQUESTS
            && let Some(end) = text(RATE_LIMIT_RESET)
            && !self.headers.contains_key(RETRY_AFTER)
        {
            let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(end.parse().ok()?))?;
            let now = date(DATE).unwrap_or_else(SystemTime::now);
            return Some(end.duration_since(now).unwrap_or_default());
        }
        let value = text(RETRY_AFTER)?;
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
        }
        let now = date(DATE).unwrap_or_else(SystemTime::now);
        Some(date(RETRY_AFTER)?.duration_since(now).unwrap_or_default())
    }

    /// Returns whether the service had too much to do, or failed: it may answer a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
            || (self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED)
    }
}

/// The moment at which a rate limit ends, by Netlify.
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
