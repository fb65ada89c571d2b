//! Tests of both sides of the protocol together.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::*;
use crate::error::{ErrorKind, Phase};
use crate::stage::Stage;

const PATH: &str = "/.netlify/functions/guestbook";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn key() -> SelfCheckKey {
    SelfCheckKey::parse(&"07".repeat(32)).unwrap()
}

fn request() -> SelfCheckRequest {
    SelfCheckRequest::new(
        "6748d2",
        "guestbook",
        "n0nce",
        now() + Duration::from_secs(60),
    )
}

fn accept(header: &str) -> Option<SelfCheckRequest> {
    SelfCheckRequest::accept(header, &key(), PATH, now())
}

/// The form of the header and its signature are what functions of other versions know.
#[test]
fn header_is_that_of_version_1() {
    assert_eq!(
        request().header(&key()),
        "v1.6748d2.guestbook.n0nce.1800000060.\
         f27b8fb2541f027ecf53e1bbfa401b6dec02bb1c3c36326da923e6c9e5650921"
    );
}

#[test]
fn request_is_accepted_by_its_function_whatever_its_texts_hold() {
    let end = now() + Duration::from_secs(60);
    for (deploy, nonce) in [
        ("6748d2", "1"),
        ("", ""),
        ("a.b.c", "..."),
        ("é\r\nx: 1", "%2e"),
    ] {
        let request = SelfCheckRequest::new(deploy, "guestbook", nonce, end);
        let header = request.header(&key());
        assert!(http::HeaderValue::from_str(&header).is_ok(), "{header}");
        assert_eq!(accept(&header), Some(request));
    }
}

#[test]
fn request_that_was_changed_in_one_part_is_not_accepted() {
    let header = request().header(&key());
    assert_eq!(accept(&header), Some(request()));
    for at in 0..header.len() {
        let mut changed = header.clone().into_bytes();
        changed[at] ^= 1;
        if let Ok(changed) = String::from_utf8(changed) {
            assert_eq!(accept(&changed), None, "{changed}");
        }
        assert_eq!(accept(&header[..at]), None);
    }
    let parts: Vec<&str> = header.split('.').collect();
    for index in 0..parts.len() {
        for part in ["", "x", "v2", "1800000061", "production"] {
            let mut parts = parts.clone();
            parts[index] = part;
            assert_eq!(accept(&parts.join(".")), None);
        }
    }
    assert_eq!(accept(&format!("{header}{}", " ".repeat(4096))), None);
}

#[test]
fn request_is_accepted_with_its_own_key_path_and_time_alone() {
    let header = request().header(&key());
    let other = SelfCheckKey::generate().unwrap();
    assert_eq!(SelfCheckRequest::accept(&header, &other, PATH, now()), None);
    for path in [
        "/.netlify/functions/other",
        "/.netlify/functions/guestbook/",
        "/.netlify/functions/guestbook/x",
        "/.netlify/functions/",
        "/guestbook",
        "/",
        "",
    ] {
        let accepted = SelfCheckRequest::accept(&header, &key(), path, now());
        assert_eq!(accepted, None, "{path}");
    }
    for (seconds, is_in_time) in [
        (0_i64, true),
        (-5, true),
        (-6, false),
        (65, true),
        (66, false),
        (1_000_000, false),
    ] {
        let offset = Duration::from_secs(seconds.unsigned_abs());
        let at = match seconds < 0 {
            true => now() - offset,
            false => now() + offset,
        };
        let accepted = SelfCheckRequest::accept(&header, &key(), PATH, at);
        assert_eq!(accepted.is_some(), is_in_time, "{seconds}");
    }
    let never = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(SelfCheckRequest::accept(&header, &key(), PATH, never), None);
}

#[test]
fn signed_text_of_another_form_is_not_accepted() {
    let signed = |text: &str| {
        let signature = key().sign("stagelink self-check request", text.as_bytes());
        accept(&format!("{text}.{signature}"))
    };
    assert!(signed("v1.6748d2.guestbook.n0nce.1800000060").is_some());
    for text in [
        "",
        "v1",
        "v2.6748d2.guestbook.n0nce.1800000060",
        "v1.6748d2.guestbook.n0nce",
        "v1.6748d2.guestbook.n0nce.",
        "v1.6748d2.guestbook.n0nce.soon",
        "v1.6748d2.guestbook.n0nce.-1",
        "v1.6748d2.guestbook.n0nce.18000000600000000000000",
        "v1.6748d2.guestbook.n0nce.1800000060.more",
        "v1.%ff.guestbook.n0nce.1800000060",
    ] {
        assert_eq!(signed(text), None, "{text}");
    }
}

fn report() -> SelfCheckReport {
    let mut report = SelfCheckReport::answering(&request());
    report.stage = Some(Stage::PRODUCTION);
    report.mark = Some("staging/qa".parse().unwrap());
    report.program = Some("ab".repeat(32));
    report.server_version = Some(170_004);
    report.migrations = Some(json!([{"version": 1, "name": "create_guestbook"}]));
    report.set_database_ok();
    report
}

#[test]
fn report_has_the_form_of_version_1() {
    let (body, header) = report().sign(&key());
    let value: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        value,
        json!({
            "format": 1, "deploy": "6748d2", "function": "guestbook", "nonce": "n0nce",
            "stage": "production", "program": "ab".repeat(32), "mark": "staging/qa",
            "server_version": 170_004, "database": "ok", "is_retryable": false,
            "migrations": [{"version": 1, "name": "create_guestbook"}],
        })
    );
    let verified = SelfCheckReport::verify(body.as_bytes(), Some(&header), &key(), &request());
    assert_eq!(verified, Ok(report()));
    assert!(report().is_database_ok());
}

#[test]
fn report_that_proves_nothing_is_refused_with_the_reason() {
    let (body, header) = report().sign(&key());
    let verify = |body: &str, header: Option<&str>, request: &SelfCheckRequest| {
        SelfCheckReport::verify(body.as_bytes(), header, &key(), request).unwrap_err()
    };
    let unsigned = verify(&body, None, &request());
    assert_eq!(unsigned, SelfCheckError::Unsigned);
    for at in 0..body.len() {
        let mut changed = body.clone().into_bytes();
        changed[at] ^= 1;
        let refused = SelfCheckReport::verify(&changed, Some(&header), &key(), &request());
        assert_eq!(refused, Err(SelfCheckError::WrongSignature));
    }
    // The signature of the request is none of a report.
    let of_request = request().header(&key());
    let of_request = of_request.rsplit_once('.').map(|(_, signature)| signature);
    let wrong = verify(&body, of_request, &request());
    assert_eq!(wrong, SelfCheckError::WrongSignature);
    let end = now() + Duration::from_secs(60);
    for other in [
        SelfCheckRequest::new("other", "guestbook", "n0nce", end),
        SelfCheckRequest::new("6748d2", "other", "n0nce", end),
        SelfCheckRequest::new("6748d2", "guestbook", "other", end),
    ] {
        let refused = verify(&body, Some(&header), &other);
        assert_eq!(refused, SelfCheckError::OtherRequest);
    }
    let signed = |body: &str| {
        let signature = key().sign("stagelink self-check report", body.as_bytes());
        verify(body, Some(&signature), &request())
    };
    assert_eq!(signed("hello"), SelfCheckError::Unreadable);
    assert_eq!(signed("{}"), SelfCheckError::Unreadable);
    assert_eq!(signed(r#"{"format":1}"#), SelfCheckError::Unreadable);
    assert_eq!(signed(r#"{"format":2}"#), SelfCheckError::UnknownFormat);
    let odd = body.replace(r#""stage":"production""#, r#""stage":"prod""#);
    assert_eq!(signed(&odd), SelfCheckError::Unreadable);
}

#[test]
fn failure_of_the_database_is_reported_by_its_kind() {
    let mut report = report();
    for (kind, name) in [
        (ErrorKind::App, "app"),
        (ErrorKind::DatabaseUrl, "database-url"),
        (ErrorKind::WrongDatabase, "wrong-database"),
        (ErrorKind::Timeout(Phase::Connect), "timeout-connect"),
    ] {
        for is_retryable in [false, true] {
            report.set_database_failure(kind, is_retryable);
            assert_eq!(
                (&*report.database, report.is_retryable),
                (name, is_retryable)
            );
            assert!(!report.is_database_ok());
        }
    }
    report.set_database_ok();
    assert!(report.is_database_ok() && !report.is_retryable);
    assert!(!SelfCheckReport::answering(&request()).is_database_ok());
}

#[test]
fn direct_invoke_is_asked_by_its_client_context() {
    let invocation = SelfCheckInvocation::new("staging/qa".parse().unwrap(), "n0nce");
    let context: Value = serde_json::from_str(&invocation.client_context()).unwrap();
    let member = &context["custom"][SelfCheckInvocation::MEMBER];
    assert_eq!(*member, json!({"stage": "staging/qa", "nonce": "n0nce"}));
    let parsed = SelfCheckInvocation::parse(&member.to_string());
    assert_eq!(parsed.as_ref(), Some(&invocation));
    for member in [
        "",
        "null",
        "true",
        "{}",
        r#"{"stage":"production"}"#,
        r#"{"nonce":"1"}"#,
        r#"{"stage":"prod","nonce":"1"}"#,
        r#"{"stage":"production","nonce":1}"#,
    ] {
        assert_eq!(SelfCheckInvocation::parse(member), None, "{member}");
    }
    let report = SelfCheckReport::answering_invocation(&invocation, "guestbook");
    let body = report.to_json();
    let read = SelfCheckReport::of_invocation(body.as_bytes(), &invocation);
    assert_eq!(read, Ok(report));
    let other = SelfCheckInvocation::new(Stage::STAGING, "other");
    let read = SelfCheckReport::of_invocation(body.as_bytes(), &other);
    assert_eq!(read, Err(SelfCheckError::OtherRequest));
    // A signed report is none of a direct Invoke.
    let body = self::report().to_json();
    let read = SelfCheckReport::of_invocation(body.as_bytes(), &invocation);
    assert_eq!(read, Err(SelfCheckError::OtherRequest));
}

#[test]
fn nothing_that_is_sent_or_shown_holds_the_key() {
    let text = key().to_text();
    let text = text.expose_secret();
    let (body, header) = report().sign(&key());
    let error = SelfCheckReport::verify(b"", Some(""), &key(), &request()).unwrap_err();
    for shown in [
        request().header(&key()),
        body,
        header,
        format!("{:?} {:?} {:?}", key(), request(), report()),
        format!("{error} {error:?}"),
    ] {
        assert!(!shown.contains(text), "{shown}");
    }
}
