//! The origin of a lease's row: the server, its timeline, the database and the table in which it was written.
//!
//! A row that came with a backup, a fork or a copy says nothing of deploys and locks as they are now.

use stagelink::tokio_postgres::Client;
use stagelink::tokio_postgres::types::Type;

/// Returns the origin of a row that is written into a table now; `None` where the server does not tell it.
/// A table that is restored is another one, and a follower that is promoted begins another timeline.
pub(super) async fn origin(client: &Client, table: &str) -> Option<String> {
    let ask = "SELECT pg_catalog.concat_ws('.', \
               (SELECT system_identifier FROM pg_catalog.pg_control_system()), \
               CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'recovery' ELSE \
               pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END, \
               (SELECT oid FROM pg_catalog.pg_database \
               WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()), \
               pg_catalog.to_regclass($1)::pg_catalog.oid)";
    // A provider may keep the functions from its customers: then nothing is compared.
    let rows = client
        .query_typed(ask, &[(&table, Type::TEXT)])
        .await
        .ok()?;
    rows.first()?.try_get(0).ok()
}

/// Returns a text that no other command has, with the origin of its row.
pub(super) fn new_token(origin: Option<&str>) -> String {
    let random = format!("{:032x}", fastrand::u128(..));
    match origin {
        Some(origin) => format!("{random}@{origin}"),
        None => random,
    }
}

/// Returns whether a token was written elsewhere than here. One without an origin was not.
pub(super) fn is_foreign(token: &str, here: Option<&str>) -> bool {
    match (token.split_once('@'), here) {
        (Some((_, origin)), Some(here)) => origin != here,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_of_another_origin_is_foreign_and_one_without_any_is_not() {
        let token = new_token(Some("7.00000001.5.16390"));
        assert_ne!(token, new_token(Some("7.00000001.5.16390")));
        assert!(!is_foreign(&token, Some("7.00000001.5.16390")));
        assert!(is_foreign(&token, Some("7.00000002.5.16390")));
        assert!(!is_foreign(&token, None));
        assert!(!is_foreign(&new_token(None), Some("7.00000001.5.16390")));
    }
}
