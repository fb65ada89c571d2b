//! `REINDEX CONCURRENTLY`: the invalid indexes that an interrupted one has left.

use stagelink::tokio_postgres::types::Type;
use stagelink::tokio_postgres::{Client, Error as DriverError};

use crate::migrations::statement::Statement;

/// Returns the names of the invalid indexes, as SQL, that a `REINDEX CONCURRENTLY` of the statement's
/// index or table may have left, and that no session is building. Other statements leave none.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn leftovers(
    client: &Client,
    statement: &Statement,
) -> Result<Vec<String>, DriverError> {
    let Some(target) = target(statement) else {
        return Ok(Vec::new());
    };
    let rows = client
        .query_typed(LEFTOVERS, &[(&target, Type::TEXT)])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Returns the index, or the table, of a `REINDEX CONCURRENTLY`. One of a schema or a database names
/// neither.
fn target(statement: &Statement) -> Option<String> {
    if statement.needs_no_transaction() != Some("REINDEX CONCURRENTLY") {
        return None;
    }
    let mut places = 0..statement.tokens.len();
    let kind =
        places.find(|at| statement.is_word(*at, "INDEX") || statement.is_word(*at, "TABLE"))?;
    let name = match statement.is_word(kind + 1, "CONCURRENTLY") {
        true => kind + 2,
        false => kind + 1,
    };
    Some(statement.name_at(name)?.0.to_string())
}

/// The new index is called `…_ccnew` until it takes the place of the old one, which is `…_ccold` then.
/// That of the table's long values (TOAST) is left out, since only a superuser may drop it.
const LEFTOVERS: &str = "\
WITH named AS (SELECT pg_catalog.to_regclass($1)::pg_catalog.oid AS oid),
target AS (
    SELECT COALESCE((SELECT i.indrelid FROM pg_catalog.pg_index i WHERE i.indexrelid = n.oid), n.oid)
        AS oid FROM named n)
SELECT pg_catalog.format('%I.%I', n.nspname, x.relname)
FROM target t
    JOIN pg_catalog.pg_class c ON c.oid = t.oid
    JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
    JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace
WHERE NOT i.indisvalid AND x.relname ~ '_cc(new|old)[0-9]*$'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p
        WHERE p.datname = pg_catalog.current_database()
            AND COALESCE(p.relid, i.indrelid) = i.indrelid)
ORDER BY 1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::statement::split_statements;

    #[test]
    fn target_is_the_index_or_the_table() {
        for (sql, expected) in [
            ("REINDEX INDEX CONCURRENTLY a_b", Some("a_b")),
            (
                "reindex (concurrently, verbose) table s.\"A\"",
                Some("s.\"A\""),
            ),
            ("REINDEX TABLE CONCURRENTLY a", Some("a")),
            ("REINDEX TABLE a", None),
            ("REINDEX SCHEMA CONCURRENTLY public", None),
            ("VACUUM a", None),
        ] {
            let statements = split_statements(sql).expect("a statement");
            assert_eq!(target(&statements[0]).as_deref(), expected, "{sql}");
        }
    }
}
