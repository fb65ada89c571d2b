//! Tests of the errors that a handler gets for a statement.

use tokio_postgres::types::Type;

use super::*;
use crate::error::Phase;
use crate::postgres::query_server::{Reply, connect};

const IN_DOUBT: &str = "so it is not known whether that took effect";

/// Returns the error of a query to which the server responds with this code.
async fn error_of(code: &'static str) -> Error {
    let (client, _) = connect(move |_| Reply::Refused(code)).await;
    Error::from(client.simple_query("SELECT 1").await.unwrap_err())
}

#[tokio::test]
async fn error_of_a_statement_says_what_it_means_and_what_helps() {
    const LIMIT: ErrorKind = ErrorKind::Timeout(Phase::Query);
    for (code, kind, meaning, words) in [
        (
            "23505",
            ErrorKind::Query,
            Meaning::Final,
            "answered a query with an error",
        ),
        (
            "26000",
            ErrorKind::Query,
            Meaning::Final,
            "no such prepared statement",
        ),
        (
            "42P05",
            ErrorKind::Query,
            Meaning::Final,
            "a prepared statement of that name",
        ),
        ("34000", ErrorKind::Query, Meaning::Final, "no such cursor"),
        (
            "40001",
            ErrorKind::Query,
            Meaning::LostRace,
            "answered a query with an error",
        ),
        (
            "25006",
            ErrorKind::DatabaseReadOnly,
            Meaning::ReadOnly,
            "it is read-only",
        ),
        (
            "57014",
            LIMIT,
            Meaning::Limited,
            "longer than statement_timeout",
        ),
        (
            "25P03",
            LIMIT,
            Meaning::Limited,
            "idle_in_transaction_session_timeout: do less",
        ),
        (
            "57P01",
            ErrorKind::DatabaseUnreachable,
            Meaning::Suspect,
            "ended the session",
        ),
    ] {
        let error = error_of(code).await;
        assert_eq!((error.kind(), error.meaning()), (kind, meaning), "{code}");
        assert!(error.to_string().contains(words), "{code}: {error}");
    }
}

#[tokio::test]
async fn connection_that_breaks_during_a_query_leaves_it_in_doubt() {
    let (client, _) = connect(|_| Reply::HangUp).await;
    for _ in 0..2 {
        let error = Error::from(client.simple_query("SELECT 1").await.unwrap_err());
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
        assert!(error.to_string().contains(IN_DOUBT), "{error}");
    }
}

#[tokio::test]
async fn parameter_of_another_type_is_an_error_of_the_query_and_leaves_nothing_in_doubt() {
    let (client, _) = connect(|_| Reply::HangUp).await;
    let error = client
        .query_typed("SELECT $1", &[(&1_i64, Type::TEXT)])
        .await;
    let error = Error::from(error.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Query);
    assert!(error.to_string().contains("could not be sent"), "{error}");
}

#[test]
fn session_that_ended_during_work_names_the_limit_that_it_reached() {
    let of = |code: &str| ErrorResponse {
        code: code.to_owned(),
        message: String::new(),
        severity: Severity::Fatal,
        origin: Origin::Postgres,
    };
    for (code, setting, advice) in [
        (
            "25P03",
            "idle_in_transaction_session_timeout",
            "do less between",
        ),
        (
            "25P04",
            "transaction_timeout",
            "make the transaction shorter",
        ),
        ("57P05", "idle_session_timeout", "take the connection later"),
        ("57014", "statement_timeout", "make the statement faster"),
    ] {
        let error = ended(Some(&of(code)));
        assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Query));
        assert_eq!(error.meaning(), Meaning::Limited);
        let text = error.to_string();
        assert!(
            text.contains(&format!("({code}): it reached {setting}: {advice}")),
            "{text}"
        );
        let cause = cause_in_session(&of(code)).unwrap();
        assert!(text.ends_with(&cause.advice().unwrap()), "{text}");
    }
    assert_eq!(Cause::ShutDown.advice(), None);
}

#[test]
fn session_that_ended_during_work_for_another_reason_is_unreachable() {
    let of = |code: Option<&str>| {
        let response = code.map(|code| ErrorResponse {
            code: code.to_owned(),
            message: String::new(),
            severity: Severity::Fatal,
            origin: Origin::Postgres,
        });
        ended(response.as_ref())
    };
    for (code, text) in [
        (None, "the connection to the database ended during a query"),
        (
            Some("57P01"),
            "the connection to the database ended during a query (57P01)",
        ),
        // Of the statement's own, and of one that lost against another.
        (
            Some("23505"),
            "the connection to the database ended during a query (23505)",
        ),
        (
            Some("40001"),
            "the connection to the database ended during a query (40001)",
        ),
    ] {
        let error = of(code);
        assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable);
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(of(Some("57P01")).meaning(), Meaning::Suspect);
}
