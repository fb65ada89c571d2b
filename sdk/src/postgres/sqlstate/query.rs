//! The errors of a statement, and of a session that ended during work.

#[cfg(test)]
mod tests;

use std::error::Error as _;

use tokio_postgres::Error as DriverError;
use tokio_postgres::error::{DbError, Severity as DriverSeverity};

use super::cause::{Cause, Limit};
use super::cause_in_session;
use crate::error::{Error, ErrorKind};
use crate::meaning::Meaning;
use crate::postgres::protocol::{ErrorResponse, Origin, Severity};

/// The error of a session that ended during work, with the last error that the server sent.
pub(crate) fn ended(response: Option<&ErrorResponse>) -> Error {
    let code = response.map_or_else(String::new, |response| format!(" ({})", response.code));
    match response.and_then(cause_in_session) {
        Some(cause @ Cause::Limit(limit)) => Error::new(
            cause.kind(),
            format!(
                "the server ended the session during this work{code}: it reached {}",
                advice(limit)
            ),
        )
        .with_meaning(cause.meaning()),
        Some(cause) => {
            // The session ended, whatever the statement lost besides.
            let kind = match cause.kind() {
                ErrorKind::Query => ErrorKind::DatabaseUnreachable,
                kind => kind,
            };
            Error::new(kind, during_a_query(&code)).with_meaning(cause.meaning())
        }
        None => Error::new(ErrorKind::DatabaseUnreachable, during_a_query(&code)),
    }
}

fn during_a_query(code: &str) -> String {
    format!("the connection to the database ended during a query{code}")
}

impl Cause {
    /// Returns the time limit of this cause, with what to do about it.
    pub(in crate::postgres) fn advice(self) -> Option<String> {
        match self {
            Self::Limit(limit) => Some(advice(limit)),
            _ => None,
        }
    }
}

/// The name of a time limit, and what to do about it.
fn advice(limit: Limit) -> String {
    let name = limit.setting();
    let advice = match limit {
        Limit::IdleInTransaction => {
            "do less between the statements of a transaction, or raise it for the role or database"
        }
        Limit::Transaction => "make the transaction shorter, or raise it for the role or database",
        Limit::Idle => {
            "take the connection later or give it back earlier, or raise it for the role or \
             database"
        }
        Limit::Statement => {
            "make the statement faster, or raise it for the role or database; or an operator \
             cancelled the statement"
        }
    };
    format!("{name}: {advice}")
}

/// Classifies a failure of a query, so that `?` is all that a handler needs.
impl From<DriverError> for Error {
    fn from(error: DriverError) -> Self {
        if let Some(answer) = error.as_db_error() {
            let cause = cause_in_session(&response_of(answer));
            let (kind, message) = of_answer(answer.code().code(), cause);
            let meaning = cause.map_or(Meaning::Final, Cause::meaning);
            return Self::with_source(kind, message, error).with_meaning(meaning);
        }
        let (kind, message) = if is_broken(&error) {
            (
                ErrorKind::OutcomeUnknown,
                "the connection to the database broke during a query, so it is not known whether \
                 that took effect",
            )
        } else {
            (
                ErrorKind::Query,
                "a query could not be sent or its answer not be read",
            )
        };
        Self::with_source(kind, message, error)
    }
}

fn of_answer(code: &str, cause: Option<Cause>) -> (ErrorKind, String) {
    match cause {
        Some(cause @ Cause::ReadOnly) => (
            cause.kind(),
            "the database takes no writes: it is read-only".to_owned(),
        ),
        Some(cause @ Cause::Limit(Limit::Statement)) => (
            cause.kind(),
            "the server stopped a query: it took longer than statement_timeout, or was cancelled"
                .to_owned(),
        ),
        Some(cause @ Cause::Limit(limit)) => (
            cause.kind(),
            format!("the server ended the session: it reached {}", advice(limit)),
        ),
        Some(Cause::LostRace) | None => (ErrorKind::Query, failed_query(code).to_owned()),
        Some(cause) => (cause.kind(), "the server ended the session".to_owned()),
    }
}

/// The parts of an error that the driver has read.
pub(in crate::postgres) fn response_of(error: &DbError) -> ErrorResponse {
    let severity = match error.parsed_severity() {
        Some(DriverSeverity::Fatal) => Severity::Fatal,
        Some(DriverSeverity::Panic) => Severity::Panic,
        Some(_) => Severity::Error,
        None => Severity::of(error.severity().as_bytes()),
    };
    let routine = error.routine().map(str::as_bytes);
    ErrorResponse {
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        severity,
        origin: routine.map_or(Origin::Pooler, Origin::of_routine),
    }
}

/// Returns the message for a query's own error. Some are most often due to a transaction pooler,
/// of whose sessions each transaction gets another.
fn failed_query(code: &str) -> &'static str {
    match code {
        // invalid_sql_statement_name
        "26000" => {
            "the session has no such prepared statement: DEALLOCATE or DISCARD removed it, or a \
             transaction pooler ran PREPARE on another session; use the driver's prepare or \
             prepare_cached, or set STAGELINK_POOLER=never"
        }
        // duplicate_prepared_statement
        "42P05" => {
            "the session has a prepared statement of that name: behind a transaction pooler it may \
             be another client's; use the driver's prepare or prepare_cached, or set \
             STAGELINK_POOLER=never"
        }
        // invalid_cursor_name
        "34000" => {
            "the session has no such cursor: a cursor ends with its transaction, and behind a \
             transaction pooler WITH HOLD does not change that; use it in the transaction that \
             declares it, or set STAGELINK_POOLER=never"
        }
        _ => "the database answered a query with an error",
    }
}

fn is_broken(error: &DriverError) -> bool {
    error.is_closed()
        || error
            .source()
            .is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}
