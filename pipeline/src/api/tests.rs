//! Addresses that may have a token, refusals in words, and the clocks of services.

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::*;

fn api(url: &str) -> Result<Api, Error> {
    Api::new(&SERVICE, &ApiAccess::new(url, "c4n4ry".into(), "THE_TOKEN"))
}

/// The text of an error with its causes.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[test]
fn token_is_sent_unencrypted_to_loopback_addresses_only() {
    for url in [
        "https://api.netlify.com",
        "http://127.0.0.1:1",
        "http://[::1]:1/",
    ] {
        let api = api(url).unwrap();
        assert_eq!(api.base.path(), "/api/v1");
        assert!(!format!("{api:?}").contains("c4n4ry"));
    }
    for url in [
        "http://api.netlify.com",
        "http://127.0.0.1.example.com",
        "https://c4n4ry@api.netlify.com",
        "ftp://localhost",
        "c4n4ry",
    ] {
        let error = api(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        let text = chain(&error);
        assert!(text.contains("THE_URL"), "{text}");
        assert!(!text.contains("c4n4ry"));
    }
}

#[test]
fn each_refusal_says_what_was_tried_and_what_to_do() {
    let api = api("https://h").unwrap();
    for (status, words, is_retryable) in [
        (401, "wrong, expired or revoked", false),
        (403, "needs access", false),
        (404, "check the name", false),
        (422, "refused it (422: no [token] )", false),
        (429, "try again in 7 s", true),
        (500, "try again in 7 s", true),
    ] {
        let response = Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]),
            body: br#"{"code":1,"message":"no c4n4ry\n"}"#.to_vec(),
            attempts: 1,
        };
        let error = api.refusal(&response, "set A");
        assert_eq!(error.is_retryable(), is_retryable, "{status}");
        let text = chain(&error);
        assert!(
            text.contains("could not set A") && text.contains(words),
            "{text}"
        );
        assert!(!text.contains("c4n4ry"));
    }
}

#[test]
fn clock_is_read_within_the_time_of_the_answer() {
    let asked = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    for (date, expected) in [(1_000, 0.0), (900, -100.0), (1_100, 100.0)] {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(date);
        let read = ClockReading::new(date, asked, Duration::from_secs(1));
        assert_eq!(read.ahead_secs, expected);
        assert_eq!(read.unknown, Duration::from_secs(2));
    }
}

#[test]
fn time_to_come_back_is_seconds_or_a_date() {
    let wait = |text: &str| {
        let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:00 GMT");
        let text = HeaderValue::from_str(text).unwrap();
        let response = Response {
            status: StatusCode::TOO_MANY_REQUESTS,
            headers: HeaderMap::from_iter([(RETRY_AFTER, text), (DATE, date)]),
            body: Vec::new(),
            attempts: 1,
        };
        response.retry_after()
    };
    assert_eq!(wait(" 7"), Some(Duration::from_secs(7)));
    let date = "Sun, 06 Nov 1994 08:49:07 GMT";
    assert_eq!(wait(date), Some(Duration::from_secs(7)));
    assert_eq!(wait("99999999999999999999999"), Some(Duration::MAX));
    for text in ["-1", "1.5", "soon", ""] {
        assert_eq!(wait(text), None, "{text:?}");
    }
}

const SERVICE: Service = Service {
    name: "Netlify",
    url_variable: "THE_URL",
    path: "/api/v1",
    accept: "application/json",
};
