//! The meaning of a server's errors, for the operator and for the credentials: one table, by
//! SQLSTATE and text.

use std::error::Error as _;

use tokio_postgres::Error as DriverError;

use crate::credentials::DatabaseUrl;
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::protocol::ErrorResponse;
use crate::staleness::Staleness;

/// The meaning of a server's error for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) kind: ErrorKind,
    pub(crate) staleness: Staleness,
}

/// The phase in which the server sent the error: a code may mean another thing in answer to a
/// query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Start,
    Query,
}

/// A row of the table: it matches by code and phase and, where that is not enough, by text.
struct Row {
    codes: Codes,
    /// `None` for both.
    when: Option<When>,
    /// A part of the message; empty for any.
    text: &'static str,
    meaning: Meaning,
}

enum Codes {
    Any,
    /// Codes that begin with these two characters.
    Class(&'static str),
    Of(&'static [&'static str]),
}

impl Row {
    const fn new(
        codes: Codes,
        when: Option<When>,
        text: &'static str,
        kind: ErrorKind,
        staleness: Staleness,
    ) -> Self {
        Self {
            codes,
            when,
            text,
            meaning: Meaning { kind, staleness },
        }
    }

    fn matches(&self, when: When, code: &str, text: &str) -> bool {
        let has_code = match self.codes {
            Codes::Any => true,
            Codes::Class(class) => code.starts_with(class),
            Codes::Of(codes) => codes.contains(&code),
        };
        has_code && self.when.is_none_or(|own| own == when) && text.contains(self.text)
    }
}

/// The one table. The first row that matches counts; an error that none matches is the query's
/// own.
///
/// The codes are Postgres's (<https://www.postgresql.org/docs/18/errcodes-appendix.html>).
/// The texts are those of PgBouncer 1.18, which gives `08P01` whatever the reason
/// (each was provoked on 2026-11-23), and of Postgres in English; in another
/// language the row without a text holds.
const TABLE: &[Row] = &{
    use Codes::{Any, Class, Of};
    use ErrorKind as Kind;
    use Staleness::{Stale, Suspect, Unaffected};

    const START: Option<When> = Some(When::Start);
    const POOLER: Codes = Of(&["08P01"]);

    [
        // invalid_password
        Row::new(Of(&["28P01"]), None, "", Kind::DatabaseRefused, Stale),
        // invalid_authorization_specification, for the way in which the connection was made …
        Row::new(
            Of(&["28000"]),
            None,
            "no encryption",
            Kind::ServerNotAuthenticated,
            Unaffected,
        ),
        Row::new(
            Of(&["28000"]),
            None,
            "SSL off",
            Kind::ServerNotAuthenticated,
            Unaffected,
        ),
        Row::new(
            Of(&["28000"]),
            None,
            "client certificate",
            Kind::DatabaseRefused,
            Unaffected,
        ),
        // … or for the role, which is gone or may not log in any more.
        Row::new(Of(&["28000"]), None, "", Kind::DatabaseRefused, Stale),
        // invalid_catalog_name
        Row::new(Of(&["3D000"]), START, "", Kind::DatabaseMissing, Stale),
        // insufficient_privilege: at the start it can only be that to CONNECT
        Row::new(Of(&["42501"]), START, "", Kind::DatabaseRefused, Stale),
        // undefined_object, invalid_parameter_value, cant_change_runtime_param
        Row::new(
            Of(&["42704", "22023", "55P02"]),
            START,
            "",
            Kind::DatabaseUrl,
            Unaffected,
        ),
        // object_not_in_prerequisite_state: the database takes no connections
        Row::new(
            Of(&["55000"]),
            START,
            "",
            Kind::DatabaseUnreachable,
            Suspect,
        ),
        // read_only_sql_transaction: another server may be the primary by now
        Row::new(Of(&["25006"]), None, "", Kind::DatabaseReadOnly, Stale),
        // too_many_connections
        Row::new(
            Of(&["53300"]),
            None,
            "",
            Kind::TooManyConnections,
            Unaffected,
        ),
        // cannot_connect_now, idle_session_timeout, idle_in_transaction_session_timeout
        Row::new(
            Of(&["57P03", "57P05", "25P03"]),
            None,
            "",
            Kind::DatabaseUnreachable,
            Unaffected,
        ),
        // admin_shutdown, crash_shutdown, database_dropped
        Row::new(
            Of(&["57P01", "57P02", "57P04"]),
            None,
            "",
            Kind::DatabaseUnreachable,
            Suspect,
        ),
        // protocol_violation, from a pooler. Where it passes on the server's error, the server's
        // words are part of its own.
        Row::new(
            POOLER,
            START,
            "authentication failed",
            Kind::DatabaseRefused,
            Stale,
        ),
        Row::new(POOLER, START, "no such user", Kind::DatabaseRefused, Stale),
        Row::new(
            POOLER,
            START,
            "is not permitted to log in",
            Kind::DatabaseRefused,
            Stale,
        ),
        Row::new(
            POOLER,
            START,
            "no such database",
            Kind::DatabaseMissing,
            Stale,
        ),
        Row::new(
            POOLER,
            START,
            "does not exist",
            Kind::DatabaseMissing,
            Stale,
        ),
        Row::new(
            POOLER,
            START,
            "no more connections allowed",
            Kind::TooManyConnections,
            Unaffected,
        ),
        Row::new(
            POOLER,
            START,
            "too many connections",
            Kind::TooManyConnections,
            Unaffected,
        ),
        Row::new(
            POOLER,
            START,
            "query_wait_timeout",
            Kind::TooManyConnections,
            Unaffected,
        ),
        Row::new(POOLER, START, "", Kind::DatabaseUnreachable, Unaffected),
        // connection_exception
        Row::new(Class("08"), None, "", Kind::DatabaseUnreachable, Suspect),
        Row::new(Any, START, "", Kind::DatabaseUnreachable, Unaffected),
    ]
};

/// Looks an error up in the table.
fn meaning(when: When, code: &str, text: &str) -> Option<Meaning> {
    TABLE
        .iter()
        .find(|row| row.matches(when, code, text))
        .map(|row| row.meaning)
}

/// The error of a server that answered this instead of starting a session. `server` is
/// `host:port`.
pub(super) fn refused(said: ErrorResponse, server: &str, url: &DatabaseUrl) -> Error {
    // The server's own check of the binding (auth-scram.c): its code alone would say
    // that the role is refused.
    let (kind, staleness, message) = if said.message.contains("channel binding") {
        (
            ErrorKind::ServerNotAuthenticated,
            Staleness::Unaffected,
            format!(
                "{server} saw another TLS connection than this one, so channel binding failed: \
                 possible man-in-the-middle"
            ),
        )
    } else {
        let Meaning { kind, staleness } = meaning(When::Start, &said.code, &said.message)
            .unwrap_or(Meaning {
                kind: ErrorKind::DatabaseUnreachable,
                staleness: Staleness::Unaffected,
            });
        let message = refusal(kind, staleness, server, &url.user, &url.database);
        (kind, staleness, message)
    };
    let error = Error::with_source(kind, message, said).with_staleness(staleness);
    match kind {
        ErrorKind::TooManyConnections => error.for_a_while(),
        _ => error,
    }
}

/// The error of a server that failed to prove that it knows the password.
pub(super) fn unauthenticated(error: std::io::Error, server: &str) -> Error {
    Error::with_source(
        ErrorKind::ServerNotAuthenticated,
        format!("{server} could not be authenticated, so the connection was given up"),
        error,
    )
}

/// The message for a session that did not start, with advice.
fn refusal(kind: ErrorKind, staleness: Staleness, server: &str, user: &str, db: &str) -> String {
    match (kind, staleness) {
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

/// Returns the meaning of an SQLSTATE in answer to a query, or `None` for an error of the query
/// itself.
pub(crate) fn of_query(code: &str) -> Option<Meaning> {
    meaning(When::Query, code, "")
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

/// Classifies a failure of a query, so that `?` is all that a handler needs.
impl From<DriverError> for Error {
    fn from(error: DriverError) -> Self {
        let (kind, message) = match error.as_db_error() {
            Some(answer) => match of_query(answer.code().code()).map(|meaning| meaning.kind) {
                Some(kind @ ErrorKind::DatabaseReadOnly) => {
                    (kind, "the database takes no writes: it is read-only")
                }
                Some(kind) => (kind, "the server ended the session"),
                // query_canceled
                None if answer.code().code() == "57014" => (
                    ErrorKind::Timeout(Phase::Query),
                    "the server stopped a query: it took longer than statement_timeout, or was \
                     cancelled",
                ),
                None => (ErrorKind::Query, failed_query(answer.code().code())),
            },
            None if is_broken(&error) => (
                ErrorKind::OutcomeUnknown,
                "the connection to the database broke during a query, so it is not known whether \
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

    /// Asserts the meaning of these codes and texts at the start of a session.
    fn at_the_start(kind: ErrorKind, staleness: Staleness, errors: &[(&str, &str)]) {
        let expected = Some(Meaning { kind, staleness });
        for (code, text) in errors {
            let found = meaning(When::Start, code, text);
            assert_eq!(found, expected, "{code} {text}");
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
            let expected = expected.map(|(kind, staleness)| Meaning { kind, staleness });
            assert_eq!(of_query(code), expected, "{code}");
        }
    }
}
