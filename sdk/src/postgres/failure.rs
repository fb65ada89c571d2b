//! From a driver's error to what it means, in one table.

use std::error::Error as _;

use tokio_postgres::Error as DriverError;
use tokio_postgres::error::DbError;

use crate::error::{Error, ErrorKind};

/// What a failure at the session's start means. `server` is `host:port`.
pub(super) fn connect_failed(error: DriverError, server: &str, user: &str, db: &str) -> Error {
    let (kind, message) = match error.as_db_error() {
        Some(answer) => refusal(answer, server, user, db),
        None if is_authentication(&error) => (
            ErrorKind::Insecure,
            format!("{server} could not be authenticated, so the connection was given up"),
        ),
        None => (
            ErrorKind::DatabaseUnreachable,
            format!("the connection to {server} broke while the session started"),
        ),
    };
    let failure = Error::because(kind, message, error);
    match kind {
        // Another password, or another database, may be right by now.
        ErrorKind::DatabaseRefused | ErrorKind::DatabaseMissing => failure.of_stale_credentials(),
        _ => failure,
    }
}

/// Whether the server was left because it cannot do channel binding. The driver
/// has no kind for it, so this reads its words; a test holds them in place.
pub(super) fn lacks_channel_binding(error: &DriverError) -> bool {
    is_authentication(error)
        && error
            .source()
            .is_some_and(|cause| cause.to_string() == "server did not use channel binding")
}

/// What a failure of a query means: so that `?` is all that a handler needs.
impl From<DriverError> for Error {
    fn from(error: DriverError) -> Self {
        let (kind, message) = match error.as_db_error() {
            Some(answer) => match connection_kind(answer.code().code()) {
                Some(kind) => (kind, "the server ended the session"),
                None => (
                    ErrorKind::Query,
                    "the database answered a query with an error",
                ),
            },
            None if is_broken(&error) => (
                ErrorKind::DatabaseUnreachable,
                "the connection to the database broke during a query",
            ),
            None => (
                ErrorKind::Query,
                "a query could not be sent or its answer not be read",
            ),
        };
        Self::because(kind, message, error)
    }
}

/// What the server said instead of starting a session, and what to do about it.
fn refusal(answer: &DbError, server: &str, user: &str, db: &str) -> (ErrorKind, String) {
    let code = answer.code().code();
    // The server's own check of the binding (auth-scram.c): its code alone
    // would say that the role is refused.
    if answer.message().contains("channel binding") {
        let message = format!(
            "{server} saw another connection than this one: somebody between here and the server \
             opened the encryption"
        );
        return (ErrorKind::Insecure, message);
    }
    let kind = match code {
        // insufficient_privilege: here it can only be that to CONNECT
        "42501" => ErrorKind::DatabaseRefused,
        // undefined_object, invalid_parameter_value, cant_change_runtime_param
        "42704" | "22023" | "55P02" => ErrorKind::DatabaseUrl,
        code => connection_kind(code).unwrap_or(ErrorKind::DatabaseUnreachable),
    };
    let message = match kind {
        ErrorKind::DatabaseRefused => format!(
            "{server} refused role {user} for database {db}: the password was changed or the role \
             revoked since the URL was read"
        ),
        ErrorKind::DatabaseFull => {
            format!("{server} has no connection left for role {user}: the plan's limit is used up")
        }
        ErrorKind::DatabaseMissing => format!("{server} has no database {db}"),
        ErrorKind::DatabaseUrl => {
            format!("{server} does not take a setting in the URL's options for database {db}")
        }
        _ => format!("{server} did not start a session for database {db}"),
    };
    (kind, message)
}

/// SQLSTATE classes that are about the connection and not about a query
/// (postgresql.org/docs/18/errcodes-appendix.html).
fn connection_kind(code: &str) -> Option<ErrorKind> {
    Some(match code {
        // invalid_password, invalid_authorization_specification
        "28P01" | "28000" => ErrorKind::DatabaseRefused,
        // too_many_connections
        "53300" => ErrorKind::DatabaseFull,
        // invalid_catalog_name
        "3D000" => ErrorKind::DatabaseMissing,
        // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped
        "57P01" | "57P02" | "57P03" | "57P04" => ErrorKind::DatabaseUnreachable,
        code if code.starts_with("08") => ErrorKind::DatabaseUnreachable,
        _ => return None,
    })
}

fn is_authentication(error: &DriverError) -> bool {
    error.to_string() == "authentication error"
}

fn is_broken(error: &DriverError) -> bool {
    error.is_closed()
        || error
            .source()
            .is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_of_the_connection_are_told_from_those_of_a_query() {
        for (code, kind) in [
            ("28P01", Some(ErrorKind::DatabaseRefused)),
            ("28000", Some(ErrorKind::DatabaseRefused)),
            ("53300", Some(ErrorKind::DatabaseFull)),
            ("3D000", Some(ErrorKind::DatabaseMissing)),
            ("57P01", Some(ErrorKind::DatabaseUnreachable)),
            ("57P03", Some(ErrorKind::DatabaseUnreachable)),
            ("08006", Some(ErrorKind::DatabaseUnreachable)),
            ("08P01", Some(ErrorKind::DatabaseUnreachable)),
            ("23505", None),
            ("42501", None),
            ("42P01", None),
            ("57014", None),
        ] {
            assert_eq!(connection_kind(code), kind, "{code}");
        }
    }
}
