//! Statements that set a session's parameters, and the queries for the stage mark and for free
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
    let columns = idle_timeout.map(idle_limit);
    statements(columns.into_iter().collect(), name)
}

/// Builds the statements that go out before the server is ready: those of [`at_start`], and the
/// query for the [settings that hold the stage mark](stage_mark::SETTINGS). These are the first
/// column of the response, which is called [`AT_START`].
pub(in crate::postgres) fn with_stage_mark(
    idle_timeout: Option<Duration>,
    name: Option<&str>,
) -> String {
    let mark = format!("({}) AS \"{AT_START}\"", stage_mark::SETTINGS);
    let columns = [mark].into_iter().chain(idle_timeout.map(idle_limit));
    statements(columns.collect(), name)
}

fn statements(columns: Vec<String>, name: Option<&str>) -> String {
    let select = (!columns.is_empty()).then(|| format!("SELECT {}", columns.join(", ")));
    let name = name.map(|name| format!("SET application_name TO {}", quoted(name)));
    let statements: Vec<String> = select.into_iter().chain(name).collect();
    statements.join("; ")
}

fn idle_limit(idle_timeout: Duration) -> String {
    set_if_unlimited("idle_session_timeout", milliseconds(idle_timeout))
}

/// Builds the statement for a session's first invocation: limits statements and idle
/// transactions to the longest time that an invocation may take.
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
/// counted per database: on a PaaS a role has one.
pub(in crate::postgres) fn connection_headroom() -> String {
    format!(
        "SELECT '{NEAR_LIMIT}' \
         FROM pg_catalog.pg_database d, pg_catalog.pg_roles r, \
         LATERAL (SELECT least(nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1), \
         current_setting('max_connections')::int \
         - current_setting('superuser_reserved_connections')::int)) AS connections (most) \
         WHERE d.datname = current_database() AND r.rolname = current_user \
         AND pg_catalog.pg_stat_get_db_numbackends(d.oid) > most - greatest(2, most / 10)"
    )
}

/// Column name that identifies the response to the statements of [`with_stage_mark`].
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
    fn limit_is_never_zero_which_means_no_limit() {
        assert!(for_transaction(Duration::ZERO).contains("statement_timeout TO 1;"));
        assert!(for_invocations(Duration::MAX).contains("'2147483647'"));
    }
}
