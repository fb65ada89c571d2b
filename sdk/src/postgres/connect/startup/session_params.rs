//! Statements that set a session's parameters, and the queries for its start and for free
//! connections.
//!
//! They are statements and not start-up options: a pooler refuses a session with options that it
//! does not know, and whether the server is a pooler shows only when the session starts. They go
//! ahead of the driver's first statement, in the same flight, so they cost no round trip.

use std::time::Duration;

use crate::postgres::stage_mark;

/// Builds the statements for the start of a session: `idle_session_timeout` (Postgres 14 and
/// newer) and `application_name`.
pub(in crate::postgres) fn at_start(idle_timeout: Option<Duration>, name: Option<&str>) -> String {
    let limit = idle_timeout.map(milliseconds);
    let limit =
        limit.map(|limit| format!("SELECT {}", set_if_unlimited("idle_session_timeout", limit)));
    let name = name.map(|name| format!("SET application_name TO {}", quoted(name)));
    let statements: Vec<String> = limit.into_iter().chain(name).collect();
    statements.join("; ")
}

/// Builds the query that goes out before the server is ready. It sets nothing, since the session
/// may be a pooler's. The first column of the response is called [`AT_START`] and holds the
/// [settings with the stage mark](stage_mark::SETTINGS); the second is the number of the process
/// that ran the query.
pub(in crate::postgres) fn early_query() -> String {
    format!(
        "SELECT ({}) AS \"{AT_START}\", pg_catalog.pg_backend_pid()",
        stage_mark::SETTINGS
    )
}

/// The statements that take [those limits](for_invocations) back to what the operator sets.
pub(in crate::postgres) const WITHOUT_INVOCATION: &str =
    "RESET statement_timeout; RESET idle_in_transaction_session_timeout";

/// Builds the statement for a session's invocations: limits statements and idle transactions to
/// the longest time that an invocation may take.
pub(in crate::postgres) fn for_invocations(longest: Duration) -> String {
    let longest = milliseconds(longest);
    let limits = INVOCATION_LIMITS.map(|setting| set_if_unlimited(setting, longest));
    format!("SELECT {}", limits.join(", "))
}

/// Builds the statements for one transaction behind a pooler, whose sessions keep no settings:
/// the same limits, for the rest of the invocation.
pub(crate) fn for_transaction(left: Duration) -> String {
    INVOCATION_LIMITS
        .map(|setting| format!("SET LOCAL {setting} TO {}", milliseconds(left)))
        .join("; ")
}

/// Builds the query for free connections. It returns a row with [`NEAR_LIMIT`] when at most two
/// connections, or a tenth, are left; otherwise no row.
///
/// The limit is the lowest of the role's, the database's and the server's. Connections are
/// counted per database: on a PaaS a role has one. All names and operators are qualified, since
/// others may come first on the session's search path.
pub(in crate::postgres) fn connection_headroom() -> String {
    // NULLIF would look its operator up on the search path.
    let limit_of =
        |column| format!("CASE WHEN {column} OPERATOR(pg_catalog.>=) 0 THEN {column} END");
    let setting = |name| format!("pg_catalog.current_setting('{name}')::pg_catalog.int4");
    format!(
        "SELECT '{NEAR_LIMIT}' \
         FROM pg_catalog.pg_database d, pg_catalog.pg_roles r, \
         LATERAL (SELECT least({}, {}, {} OPERATOR(pg_catalog.-) {})) AS connections (most) \
         WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() \
         AND r.rolname OPERATOR(pg_catalog.=) current_user \
         AND pg_catalog.pg_stat_get_db_numbackends(d.oid) OPERATOR(pg_catalog.>) \
         (most OPERATOR(pg_catalog.-) greatest(2, most OPERATOR(pg_catalog./) 10))",
        limit_of("r.rolconnlimit"),
        limit_of("d.datconnlimit"),
        setting("max_connections"),
        setting("superuser_reserved_connections"),
    )
}

/// Column name that identifies the response to the [`early_query`].
pub(in crate::postgres) const AT_START: &str = "stagelink:start";

/// Value that reports a database near its connection limit.
pub(in crate::postgres) const NEAR_LIMIT: &str = "stagelink:near_limit";

/// Builds an expression that sets a limit where the database, role and URL set none: their own
/// limit is a choice of the operator's. A server without the setting ignores the expression.
pub(super) fn set_if_unlimited(setting: &str, milliseconds: u128) -> String {
    format!(
        "CASE WHEN pg_catalog.current_setting('{setting}', true) OPERATOR(pg_catalog.=) '0' \
         THEN pg_catalog.set_config('{setting}', '{milliseconds}', false) END"
    )
}

/// Converts to milliseconds: at least 1, since 0 means no limit, and at most what Postgres takes.
pub(super) fn milliseconds(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, i32::MAX as u128)
}

/// Quotes a name so that it means the same whatever the session's encoding and its rules for
/// backslashes are. The server takes only ASCII for `application_name`.
pub(super) fn quoted(name: &str) -> String {
    let name: String = name
        .chars()
        .filter(|c| !c.is_control() && *c != '\\')
        .map(|c| if c.is_ascii() { c } else { '?' })
        .collect();
    format!("'{}'", name.replace('\'', "''"))
}

pub(super) const INVOCATION_LIMITS: [&str; 2] =
    ["statement_timeout", "idle_in_transaction_session_timeout"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_quoted() {
        assert_eq!(
            at_start(None, Some("it's\0 mine\\")),
            "SET application_name TO 'it''s mine'"
        );
        assert_eq!(at_start(None, None), "");
    }

    #[test]
    fn each_limit_of_an_invocation_is_taken_back() {
        let resets = INVOCATION_LIMITS.map(|setting| format!("RESET {setting}"));
        assert_eq!(WITHOUT_INVOCATION, resets.join("; "));
    }

    #[test]
    fn limit_is_never_zero_which_means_no_limit() {
        assert!(for_transaction(Duration::ZERO).contains("statement_timeout TO 1;"));
        assert!(for_invocations(Duration::MAX).contains("'2147483647'"));
    }
}
