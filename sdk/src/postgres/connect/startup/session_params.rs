//! What a session of ours is set to and asked, beside the driver's statements: its name, when
//! the server ends what nobody waits for, and whether there is room for others.
//!
//! These are statements and no start-up options: a pooler refuses a session with options that
//! it does not know, and what a server is shows only in its answer to the start. Ahead of the
//! first statement, in the same flight, they cost no round trip either.

use std::time::Duration;

/// For the start of a session: after how long a time without any statement the server ends it
/// (Postgres 14 and newer), and its name, if it gets one. The answer begins with a column that
/// is called [`AT_START`], if the first of these is there.
pub(in crate::postgres) fn at_start(idle: Option<Duration>, name: Option<&str>) -> String {
    let idle = idle.map(|idle| {
        let limit = unless_set("idle_session_timeout", idle);
        format!("SELECT {limit} AS \"{AT_START}\"")
    });
    let name = name.map(|name| format!("SET application_name TO {}", quoted(name)));
    let statements: Vec<String> = idle.into_iter().chain(name).collect();
    statements.join("; ")
}

/// For the first invocation that a session is lent to: nothing in it goes on for longer than
/// an invocation may last.
pub(in crate::postgres) fn of_invocations(last: Duration) -> String {
    let limits = IN_INVOCATIONS.map(|setting| unless_set(setting, last));
    format!("SELECT {}", limits.join(", "))
}

/// For one transaction, which a pooler gives to any of its sessions: the same, for what is
/// left of the invocation.
pub(crate) fn of_transaction(left: Duration) -> String {
    IN_INVOCATIONS
        .map(|setting| format!("SET LOCAL {setting} TO {}", milliseconds(left)))
        .join("; ")
}

/// A row with the word [`NEAR_LIMIT`] where the last two places of the database are taken, or
/// the last tenth of them; no row where there is room. Places are what the role, the database
/// and the server let in; taken are those of the database, which is what a role on a PaaS has.
pub(in crate::postgres) fn connection_headroom() -> String {
    format!(
        "SELECT '{NEAR_LIMIT}' \
         FROM pg_catalog.pg_database d, pg_catalog.pg_roles r, \
         LATERAL (SELECT least(nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1), \
         current_setting('max_connections')::int \
         - current_setting('superuser_reserved_connections')::int)) AS places (most) \
         WHERE d.datname = current_database() AND r.rolname = current_user \
         AND pg_catalog.pg_stat_get_db_numbackends(d.oid) > most - greatest(2, most / 10)"
    )
}

/// What the answer to the terms of a session's start is known by.
pub(in crate::postgres) const AT_START: &str = "stagelink:start";

/// The word for a database that has no room to spare.
pub(in crate::postgres) const NEAR_LIMIT: &str = "stagelink:crowded";

/// Sets what the database, the role or the URL leave without a limit. Their own may be
/// shorter, and is somebody's choice. A server that does not know the setting passes over it.
fn unless_set(setting: &str, limit: Duration) -> String {
    format!(
        "CASE current_setting('{setting}', true) WHEN '0' \
         THEN set_config('{setting}', '{}', false) END",
        milliseconds(limit)
    )
}

/// At least 1, since 0 stands for no limit; at most what Postgres takes.
fn milliseconds(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, i32::MAX as u128)
}

fn quoted(name: &str) -> String {
    let name: String = name
        .chars()
        .filter(|c| !c.is_control() && *c != '\\')
        .collect();
    format!("'{}'", name.replace('\'', "''"))
}

const IN_INVOCATIONS: [&str; 2] = ["statement_timeout", "idle_in_transaction_session_timeout"];

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
    fn limit_is_never_the_one_that_stands_for_none() {
        assert!(of_transaction(Duration::ZERO).contains("statement_timeout TO 1;"));
        assert!(of_invocations(Duration::MAX).contains("'2147483647'"));
    }
}
