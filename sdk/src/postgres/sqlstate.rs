//! What a failure means: for whoever reads it, and for the credentials. One table.

use std::error::Error as _;

use tokio_postgres::Error as DriverError;

use crate::credentials::DatabaseUrl;
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::protocol::ErrorResponse;

/// What a failure says of the credentials in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Staleness {
    /// Others may be right by now: ask the provider.
    Stale,
    /// The server went away, and another may have taken its place. A restart
    /// looks the same, so the next connection has to tell.
    Suspect,
    /// Nothing.
    Unaffected,
}

/// When the server said it: a code may mean another thing in an answer to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Start,
    Query,
}

/// What the server said, if that is about the connection and not about a
/// query: the one table, by SQLSTATE and, where that is not enough, by text.
///
/// The codes are Postgres's (<https://www.postgresql.org/docs/18/errcodes-appendix.html>).
/// The texts are those of PgBouncer 1.18, which gives `08P01` whatever the reason
/// (each was provoked on 2026-11-23), and of Postgres in English; in another
/// language the first meaning of a code holds.
fn meaning(when: When, code: &str, text: &str) -> Option<(ErrorKind, Staleness)> {
    use ErrorKind as Kind;
    use Staleness::{Stale, Suspect, Unaffected};

    let says = |part: &str| text.contains(part);
    Some(match (code, when) {
        // invalid_password
        ("28P01", _) => (Kind::DatabaseRefused, Stale),
        // invalid_authorization_specification: how the connection was made …
        ("28000", _) if says("no encryption") || says("SSL off") => {
            (Kind::ServerNotAuthenticated, Unaffected)
        }
        ("28000", _) if says("client certificate") => (Kind::DatabaseRefused, Unaffected),
        // … or who made it: a role that is gone or may not log in any more.
        ("28000", _) => (Kind::DatabaseRefused, Stale),
        // invalid_catalog_name
        ("3D000", When::Start) => (Kind::DatabaseMissing, Stale),
        // insufficient_privilege: at the start it can only be that to CONNECT
        ("42501", When::Start) => (Kind::DatabaseRefused, Stale),
        // undefined_object, invalid_parameter_value, cant_change_runtime_param
        ("42704" | "22023" | "55P02", When::Start) => (Kind::DatabaseUrl, Unaffected),
        // object_not_in_prerequisite_state: the database takes no connections
        ("55000", When::Start) => (Kind::DatabaseUnreachable, Suspect),
        // read_only_sql_transaction: another server may be the primary by now
        ("25006", _) => (Kind::DatabaseReadOnly, Stale),
        // too_many_connections
        ("53300", _) => (Kind::TooManyConnections, Unaffected),
        // cannot_connect_now, idle_session_timeout, idle_in_transaction_session_timeout
        ("57P03" | "57P05" | "25P03", _) => (Kind::DatabaseUnreachable, Unaffected),
        // admin_shutdown, crash_shutdown, database_dropped
        ("57P01" | "57P02" | "57P04", _) => (Kind::DatabaseUnreachable, Suspect),
        ("08P01", When::Start) => pooler_meaning(text),
        (code, _) if code.starts_with("08") => (Kind::DatabaseUnreachable, Suspect),
        (_, When::Start) => (Kind::DatabaseUnreachable, Unaffected),
        (_, When::Query) => return None,
    })
}

/// What a pooler says instead of starting a session.
fn pooler_meaning(text: &str) -> (ErrorKind, Staleness) {
    POOLER_TEXTS
        .iter()
        .find(|(part, ..)| text.contains(part))
        .map_or(
            (ErrorKind::DatabaseUnreachable, Staleness::Unaffected),
            |(_, kind, says)| (*kind, *says),
        )
}

/// A pooler's texts. Where it passes on what the server told it, the server's
/// words are part of its own.
const POOLER_TEXTS: [(&str, ErrorKind, Staleness); 8] = [
    (
        "authentication failed",
        ErrorKind::DatabaseRefused,
        Staleness::Stale,
    ),
    ("no such user", ErrorKind::DatabaseRefused, Staleness::Stale),
    (
        "is not permitted to log in",
        ErrorKind::DatabaseRefused,
        Staleness::Stale,
    ),
    (
        "no such database",
        ErrorKind::DatabaseMissing,
        Staleness::Stale,
    ),
    (
        "does not exist",
        ErrorKind::DatabaseMissing,
        Staleness::Stale,
    ),
    (
        "no more connections allowed",
        ErrorKind::TooManyConnections,
        Staleness::Unaffected,
    ),
    (
        "too many connections",
        ErrorKind::TooManyConnections,
        Staleness::Unaffected,
    ),
    (
        "query_wait_timeout",
        ErrorKind::TooManyConnections,
        Staleness::Unaffected,
    ),
];

/// What it means that the server said this instead of starting a session. `server` is
/// `host:port`.
pub(super) fn refused(said: ErrorResponse, server: &str, url: &DatabaseUrl) -> Error {
    // The server's own check of the binding (auth-scram.c): its code alone would say
    // that the role is refused.
    let (kind, says, message) = if said.message.contains("channel binding") {
        (
            ErrorKind::ServerNotAuthenticated,
            Staleness::Unaffected,
            format!(
                "{server} saw another connection than this one: somebody between here and the \
                 server opened the encryption"
            ),
        )
    } else {
        let (kind, says) = meaning(When::Start, &said.code, &said.message)
            .unwrap_or((ErrorKind::DatabaseUnreachable, Staleness::Unaffected));
        let message = refusal(kind, says, server, &url.user, &url.database);
        (kind, says, message)
    };
    let error = Error::with_source(kind, message, said).with_staleness(says);
    match kind {
        ErrorKind::TooManyConnections => error.for_a_while(),
        _ => error,
    }
}

/// What it means that the server failed to prove that it knows the password.
pub(super) fn unauthenticated(error: std::io::Error, server: &str) -> Error {
    Error::with_source(
        ErrorKind::ServerNotAuthenticated,
        format!("{server} could not be authenticated, so the connection was given up"),
        error,
    )
}

/// What the server said instead of starting a session, and what to do about it.
fn refusal(kind: ErrorKind, says: Staleness, server: &str, user: &str, db: &str) -> String {
    match (kind, says) {
        (ErrorKind::DatabaseRefused, Staleness::Stale) => format!(
            "{server} refused role {user} for database {db}: the password was changed or the role \
             revoked since the URL was read"
        ),
        (ErrorKind::DatabaseRefused, _) => format!(
            "{server} wants a client certificate of role {user}, which is not supported: take a \
             database that is reachable without one"
        ),
        (ErrorKind::ServerNotAuthenticated, _) => format!(
            "{server} saw no encryption on this connection, so something between here and the \
             server ends it: connect to the server itself"
        ),
        (ErrorKind::TooManyConnections, _) => {
            format!("{server} has no connection left for role {user}: the plan's limit is used up")
        }
        (ErrorKind::DatabaseMissing, _) => format!("{server} has no database {db}"),
        (ErrorKind::DatabaseUrl, _) => {
            format!("{server} does not take a setting in the URL's options for database {db}")
        }
        _ => format!("{server} did not start a session for database {db}"),
    }
}

/// What an SQLSTATE that came in answer to a query means for the connection;
/// `None` for an error of the query itself.
pub(crate) fn of_query(code: &str) -> Option<(ErrorKind, Staleness)> {
    meaning(When::Query, code, "")
}

/// What a failure of a query means: so that `?` is all that a handler needs.
impl From<DriverError> for Error {
    fn from(error: DriverError) -> Self {
        let (kind, message) = match error.as_db_error() {
            Some(answer) => match of_query(answer.code().code()) {
                Some((kind @ ErrorKind::DatabaseReadOnly, _)) => {
                    (kind, "the database takes no writes: it is read-only")
                }
                Some((kind, _)) => (kind, "the server ended the session"),
                // query_canceled
                None if answer.code().code() == "57014" => (
                    ErrorKind::Timeout(Phase::Query),
                    "the server stopped a query: it took longer than statement_timeout, or somebody \
                     cancelled it",
                ),
                None => (
                    ErrorKind::Query,
                    "the database answered a query with an error",
                ),
            },
            None if is_broken(&error) => (
                ErrorKind::OutcomeUnknown,
                "the connection to the database broke during a query, so nobody knows whether \
                 that took effect",
            ),
            None => (
                ErrorKind::Query,
                "a query could not be sent or its answer not be read",
            ),
        };
        Self::with_source(kind, message, error)
    }
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

    /// What these codes and texts mean at the start of a session.
    fn at_the_start(kind: ErrorKind, says: Staleness, said: &[(&str, &str)]) {
        for (code, text) in said {
            let found = meaning(When::Start, code, text);
            assert_eq!(found, Some((kind, says)), "{code} {text}");
        }
    }

    #[test]
    fn refused_role_or_password_is_stale() {
        at_the_start(
            ErrorKind::DatabaseRefused,
            Staleness::Stale,
            &[
                ("28P01", r#"password authentication failed for user "u""#),
                ("28000", r#"role "u" is not permitted to log in"#),
                (
                    "28000",
                    r#"no pg_hba.conf entry for user "u", SSL encryption"#,
                ),
                ("28000", "la connexion est refusée"),
                ("42501", r#"permission denied for database "d""#),
                ("08P01", "SASL authentication failed"),
                ("08P01", r#"password authentication failed for user "u""#),
                ("08P01", r#"role "u" is not permitted to log in"#),
                ("08P01", "no such user: u"),
            ],
        );
    }

    #[test]
    fn missing_database_is_stale() {
        at_the_start(
            ErrorKind::DatabaseMissing,
            Staleness::Stale,
            &[
                ("3D000", r#"database "d" does not exist"#),
                ("08P01", r#"database "d" does not exist"#),
                ("08P01", "no such database: d"),
            ],
        );
    }

    #[test]
    fn way_of_connecting_says_nothing_of_the_credentials() {
        at_the_start(
            ErrorKind::ServerNotAuthenticated,
            Staleness::Unaffected,
            &[
                (
                    "28000",
                    r#"no pg_hba.conf entry for user "u", no encryption"#,
                ),
                ("28000", r#"no pg_hba.conf entry for user "u", SSL off"#),
            ],
        );
        at_the_start(
            ErrorKind::DatabaseRefused,
            Staleness::Unaffected,
            &[("28000", "connection requires a valid client certificate")],
        );
        at_the_start(
            ErrorKind::DatabaseUrl,
            Staleness::Unaffected,
            &[("42704", "unrecognized configuration parameter")],
        );
    }

    #[test]
    fn full_server_says_nothing_of_the_credentials() {
        at_the_start(
            ErrorKind::TooManyConnections,
            Staleness::Unaffected,
            &[
                ("53300", r#"too many connections for role "u""#),
                ("53300", "remaining connection slots are reserved"),
                ("08P01", r#"too many connections for role "u""#),
                ("08P01", "no more connections allowed (max_client_conn)"),
                ("08P01", "query_wait_timeout"),
            ],
        );
    }

    #[test]
    fn server_that_starts_or_stops_may_have_moved_or_not() {
        at_the_start(
            ErrorKind::DatabaseUnreachable,
            Staleness::Unaffected,
            &[
                ("57P03", "the database system is starting up"),
                ("08P01", "client_login_timeout"),
                ("XX000", "something else"),
            ],
        );
        at_the_start(
            ErrorKind::DatabaseUnreachable,
            Staleness::Suspect,
            &[
                (
                    "57P01",
                    "terminating connection due to administrator command",
                ),
                (
                    "55000",
                    r#"database "d" is not currently accepting connections"#,
                ),
            ],
        );
    }

    #[test]
    fn table_in_answer_to_a_query() {
        use ErrorKind as Kind;
        use Staleness::{Stale, Suspect, Unaffected};
        for (code, expected) in [
            ("57P01", Some((Kind::DatabaseUnreachable, Suspect))),
            ("57P02", Some((Kind::DatabaseUnreachable, Suspect))),
            ("57P04", Some((Kind::DatabaseUnreachable, Suspect))),
            ("57P05", Some((Kind::DatabaseUnreachable, Unaffected))),
            ("25P03", Some((Kind::DatabaseUnreachable, Unaffected))),
            ("08P01", Some((Kind::DatabaseUnreachable, Suspect))),
            ("08006", Some((Kind::DatabaseUnreachable, Suspect))),
            ("25006", Some((Kind::DatabaseReadOnly, Stale))),
            ("53300", Some((Kind::TooManyConnections, Unaffected))),
            // What follows is the caller's own: a constraint, a right, a table, a
            // cancelled statement, a lost race, a name in a statement.
            ("23505", None),
            ("42501", None),
            ("42P01", None),
            ("57014", None),
            ("40001", None),
            ("3D000", None),
            ("55000", None),
        ] {
            assert_eq!(of_query(code), expected, "{code}");
        }
    }
}
