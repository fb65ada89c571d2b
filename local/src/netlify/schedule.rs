//! The schedules of functions in netlify.toml: cron expressions, which Netlify reads in UTC.
//!
//! Netlify's documentation (docs.netlify.com/build/functions/scheduled-functions, November 2026): five
//! fields, or `@yearly`, `@monthly`, `@weekly`, `@daily` and `@hourly`; a scheduled function gets a
//! POST request whose JSON body has the time of the next run.

use std::fmt;

use bytes::Bytes;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use http::{HeaderMap, HeaderValue, Method, Uri};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::event::{EventRequest, now_epoch_ms};

/// The schedule of a function.
#[derive(Clone, Debug)]
pub struct Schedule {
    expression: String,
    cron: Cron,
}

impl Schedule {
    /// Parses a cron expression.
    ///
    /// # Errors
    ///
    /// A text with the reason why Netlify would not take it.
    pub fn parse(expression: &str) -> Result<Self, String> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let is_reboot = expression.trim().eq_ignore_ascii_case("@reboot");
        match parser.parse(expression.trim()) {
            Ok(cron) if !is_reboot => Ok(Self {
                expression: expression.trim().to_owned(),
                cron,
            }),
            Ok(_) => Err(format!("{expression:?} is no schedule")),
            Err(cause) => Err(match wrong_field(expression.trim(), &parser) {
                Some((field, text)) => {
                    format!("{expression:?} is no cron expression: {text:?} is no {field}: {cause}")
                }
                None => format!("{expression:?} is no cron expression: {cause}"),
            }),
        }
    }

    /// The expression as it was written.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Returns the first time of the schedule after this one; `None` if there is none.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let time = time.to_zoned(TimeZone::UTC);
        let next = self.cron.find_next_occurrence(&time, false).ok()?;
        Some(next.timestamp())
    }
}

/// Returns the first of five fields that is wrong by itself, with its name.
fn wrong_field<'a>(expression: &'a str, parser: &CronParser) -> Option<(&'static str, &'a str)> {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return None;
    }
    let mut named = FIELDS.into_iter().zip(fields).enumerate();
    let found = named.find(|(place, (_, text))| {
        let mut alone = ["*"; FIELDS.len()];
        alone[*place] = text;
        parser.parse(&alone.join(" ")).is_err()
    });
    found.map(|(_, field)| field)
}

/// The fields of a cron expression, in their order.
const FIELDS: [&str; 5] = [
    "minute",
    "hour",
    "day of the month",
    "month",
    "day of the week",
];

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expression)
    }
}

/// Returns the event that a scheduled function gets, with the time of its next run, as Netlify's
/// command line makes it (netlify-cli 27.10, November 2026) and its documentation says: a POST request
/// to the function with `{"next_run": …}`.
pub(crate) fn scheduled_event(
    function: &str,
    authority: &str,
    request_id: &str,
    next_run: Option<Timestamp>,
) -> Option<Bytes> {
    let body = json!({ "next_run": next_run.map(|time| time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()) });
    let body = Bytes::from(body.to_string());
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("user-agent", "Netlify Clockwork"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let uri: Uri = function_path(function).parse().ok()?;
    let request = EventRequest {
        method: &Method::POST,
        uri: &uri,
        query: None,
        authority,
        headers: &headers,
        body: &body,
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        request_id,
        time_epoch_ms: now_epoch_ms(),
        event: Some("schedule"),
    };
    request.to_event().ok()
}

/// Returns the path at which the platform serves a function, and sends its schedule's requests.
pub(crate) fn function_path(function: &str) -> String {
    format!("/.netlify/functions/{function}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn next(expression: &str, after: &str) -> String {
        let schedule = Schedule::parse(expression).unwrap();
        let next = schedule.next_after(after.parse().unwrap()).unwrap();
        next.to_string()
    }

    #[test]
    fn schedule_runs_in_utc_and_strictly_later() {
        for (expression, expected) in [
            ("@hourly", "2026-11-27T13:00:00Z"),
            ("@daily", "2026-11-28T00:00:00Z"),
            ("@weekly", "2026-11-29T00:00:00Z"),
            ("@monthly", "2026-12-01T00:00:00Z"),
            ("@yearly", "2027-01-01T00:00:00Z"),
            ("*/15 * * * *", "2026-11-27T12:15:00Z"),
            ("0 12 * * *", "2026-11-28T12:00:00Z"),
            ("30 9 * * MON", "2026-11-30T09:30:00Z"),
            ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ] {
            assert_eq!(
                next(expression, "2026-11-27T12:00:00Z"),
                expected,
                "{expression}"
            );
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "hourly",
            "@reboot",
            "* * * *",
            "* * * * * *",
            "61 * * * *",
        ] {
            let error = Schedule::parse(text).unwrap_err();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn field_that_is_wrong_is_named() {
        for (expression, words) in [
            ("61 * * * *", "\"61\" is no minute"),
            ("0 24 * * *", "\"24\" is no hour"),
            ("0 0 0 * *", "\"0\" is no day of the month"),
            ("0 0 1 13 *", "\"13\" is no month"),
            ("0 0 * * FOO", "\"FOO\" is no day of the week"),
        ] {
            let error = Schedule::parse(expression).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let few = Schedule::parse("* * * *").unwrap_err();
        assert!(!few.contains("is no minute"), "{few}");
    }

    #[test]
    fn event_is_the_post_request_that_netlify_sends() {
        let next_run = "2026-11-27T13:00:00Z".parse().unwrap();
        let event = scheduled_event("clean", "localhost:8888", "01J", Some(next_run)).unwrap();
        let event: Value = serde_json::from_slice(&event).unwrap();
        assert_eq!(event["httpMethod"], "POST");
        assert_eq!(event["path"], "/.netlify/functions/clean");
        assert_eq!(event["headers"]["user-agent"], "Netlify Clockwork");
        assert_eq!(event["headers"]["x-nf-event"], "schedule");
        assert_eq!(event["multiValueHeaders"]["x-nf-event"][0], "schedule");
        assert_eq!(event["body"], r#"{"next_run":"2026-11-27T13:00:00.000Z"}"#);
        assert_eq!(event["isBase64Encoded"], false);
    }
}
