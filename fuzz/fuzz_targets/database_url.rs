//! Arbitrary text as a database URL: it is parsed or refused, and its password is never shown.
//!
//! The first `*` of an input stands for the password, so that the fuzzer can put it anywhere.

#![no_main]

use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use stagelink::DatabaseUrl;
use stagelink_fuzz::{CANARY, is_password, with_canary};

fuzz_target!(|text: &str| {
    let Some(url) = with_canary(text) else {
        return;
    };
    let parsed = DatabaseUrl::parse(&url, ORIGIN);
    if is_password(&url) {
        let shown = match &parsed {
            Ok(parsed) => format!("{parsed:?}"),
            Err(error) => format!("{error} {error:?} {}", error.public_message()),
        };
        assert!(!shown.contains(CANARY), "a password is shown: {shown}");
    }
    if let Ok(parsed) = parsed {
        let again = DatabaseUrl::parse(&format!(" {url}\n"), ORIGIN);
        let again = again.expect("what was understood is understood again");
        assert_eq!(format!("{parsed:?}"), format!("{again:?}"));
        let written = written(&parsed);
        let read = DatabaseUrl::parse(&written, ORIGIN).expect("what was read can be written");
        assert_eq!(parts(&parsed), parts(&read), "{written}");
        assert_eq!(parsed.port(), read.port(), "{written}");
    }
});

/// A URL of the same parts, with a password of its own.
fn written(url: &DatabaseUrl) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    format!(
        "postgres://{}:x@{}:{}/{}",
        encoded(url.user()),
        encoded(url.host()),
        url.port(),
        encoded(url.database())
    )
}

fn parts(url: &DatabaseUrl) -> [&str; 3] {
    [url.user(), url.host(), url.database()]
}

const ORIGIN: &str = "the input";
