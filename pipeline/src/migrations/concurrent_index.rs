//! `CREATE INDEX CONCURRENTLY`: what an earlier run has left of it, and whether it is done.

use std::time::Duration;

use stagelink::tokio_postgres::types::{ToSql, Type};
use stagelink::tokio_postgres::{Client, Error as DriverError};

use crate::migrations::event::OtherSession;
use crate::migrations::observer::other_session;
use crate::migrations::server_words::{ends_session, sqlstate};
use crate::migrations::session::milliseconds;
use crate::migrations::statement::{ConcurrentIndex, ObjectName, Statement};

/// The index of a statement, as it is in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IndexState {
    /// There is none of this name in the table's schema.
    Absent,
    /// It is of another table.
    Taken {
        /// The other table.
        table: String,
    },
    /// A table, a view or a sequence has the name.
    NoIndex,
    /// It is invalid, and a session is building it.
    BeingBuilt(OtherSession),
    /// It is invalid: a build failed, or was interrupted.
    Invalid,
    /// It is valid.
    Valid {
        /// Its definition.
        definition: String,
    },
}

/// Looks up the index of a statement. The table is looked up as the statement does.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn look_up(
    client: &Client,
    statement: &ConcurrentIndex,
) -> Result<IndexState, DriverError> {
    let table = statement.table.to_string();
    let parameters = [
        (&table as &(dyn ToSql + Sync), Type::TEXT),
        (&statement.index, Type::TEXT),
    ];
    let rows = client.query_typed(LOOK_UP, &parameters).await?;
    let Some(row) = rows.first() else {
        return Ok(IndexState::Absent);
    };
    let oid: u32 = row.get(0);
    if row.get::<_, Option<bool>>(1).is_none() {
        return Ok(IndexState::NoIndex);
    }
    if !row.get::<_, bool>(1) {
        return Ok(IndexState::Taken { table: row.get(2) });
    }
    if row.get(3) {
        return Ok(IndexState::Valid {
            definition: row.get(4),
        });
    }
    let builders = client.query_typed(BUILDERS, &[(&oid, Type::OID)]).await?;
    Ok(match builders.first() {
        Some(builder) => IndexState::BeingBuilt(other_session(builder)),
        None => IndexState::Invalid,
    })
}

/// Returns the name of the statement's index with its schema, as SQL: the schema is the table's.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn qualified_name(
    client: &Client,
    statement: &ConcurrentIndex,
) -> Result<String, DriverError> {
    let name = "SELECT pg_catalog.format('%I.%I', n.nspname, $2::pg_catalog.text) \
                FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                WHERE c.oid = pg_catalog.to_regclass($1)";
    let table = statement.table.to_string();
    let index = &statement.index;
    let parameters = [
        (&table as &(dyn ToSql + Sync), Type::TEXT),
        (index, Type::TEXT),
    ];
    let rows = client.query_typed(name, &parameters).await?;
    Ok(rows.first().map_or_else(|| index.clone(), |row| row.get(0)))
}

/// An index that is there, beside that of a statement.
#[derive(Debug)]
pub(super) enum Comparison {
    /// It has the definition that the statement would give it.
    Same,
    /// It has another definition.
    Other,
    /// The server could not make the index again.
    Failed(DriverError),
}

/// Compares the definition of an index with the one that the statement would give it.
///
/// The server makes the statement's index on an empty temporary table with the same columns, in a
/// transaction that is rolled back. It refuses that to a role that may create no temporary table, or
/// for a function of the table's row type.
///
/// # Errors
///
/// Those of the driver, where the session is over or the table is locked.
pub(super) async fn compare(
    client: &Client,
    statement: &Statement,
    definition: &str,
    lock_timeout: Duration,
) -> Result<Comparison, DriverError> {
    let Some(probe) = Probe::of(statement) else {
        return Ok(Comparison::Other);
    };
    client.batch_execute("BEGIN").await?;
    let made = probe.make(client, lock_timeout).await;
    client.batch_execute("ROLLBACK").await?;
    match made {
        Ok(made) if shape(&made) == shape(definition) => Ok(Comparison::Same),
        Ok(_) => Ok(Comparison::Other),
        Err(error) if ends_session(&error) || sqlstate(&error) == Some("55P03") => Err(error),
        Err(error) => Ok(Comparison::Failed(error)),
    }
}

/// The statements that make the same index on another, empty table.
struct Probe {
    create_table: String,
    create_index: String,
}

impl Probe {
    fn of(statement: &Statement) -> Option<Self> {
        let on = (0..statement.tokens.len()).find(|at| statement.is_word(*at, "ON"))?;
        let start = match statement.is_word(on + 1, "ONLY") {
            true => on + 2,
            false => on + 1,
        };
        let (name, end) = statement.name_at(start)?;
        let last = statement.tokens.get(end.checked_sub(1)?)?.range.clone();
        let table = statement.tokens.get(start)?.range.start..last.end;
        let table_name = statement.text.get(table.clone())?;
        let rest = without_schema(statement, &name, end);
        let own_name = statement.text.get(last)?;
        let unique = match statement.is_word(1, "UNIQUE") {
            true => "UNIQUE ",
            false => "",
        };
        Some(Self {
            // Its expressions may name the table.
            create_table: format!("CREATE TEMPORARY TABLE {own_name} (LIKE {table_name})"),
            create_index: format!("CREATE {unique}INDEX {PROBE} ON pg_temp.{own_name}{rest}"),
        })
    }

    async fn make(&self, client: &Client, lock_timeout: Duration) -> Result<String, DriverError> {
        let timeout = milliseconds(lock_timeout);
        let limit = format!("SET LOCAL lock_timeout = {timeout}; {}", self.create_table);
        client.batch_execute(&limit).await?;
        client.batch_execute(&self.create_index).await?;
        let definition =
            format!("SELECT pg_catalog.pg_get_indexdef('pg_temp.{PROBE}'::pg_catalog.regclass)");
        let rows = client.query_typed(&definition, &[]).await?;
        Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
    }
}

/// Returns the statement after the table's name, where the names of columns that begin with the table's
/// schema are without it.
fn without_schema(statement: &Statement, table: &ObjectName, end: usize) -> String {
    let mut rest = String::new();
    let mut at = match end
        .checked_sub(1)
        .and_then(|last| statement.tokens.get(last))
    {
        Some(last) => last.range.end,
        None => return rest,
    };
    let mut number = end;
    while let Some(token) = statement.tokens.get(number) {
        let of_table = statement.name_at(number).filter(|(name, after)| {
            // Schema, table and column, with the points between them.
            after - number == 5 && name.schema.as_ref() == Some(&table.name)
        });
        if let Some((_, after)) = of_table
            && let Some(table_token) = statement.tokens.get(number + 2)
            && let Some(last) = statement.tokens.get(after - 1)
        {
            rest.push_str(&statement.text[at..token.range.start]);
            rest.push_str(&statement.text[table_token.range.start..last.range.end]);
            (at, number) = (last.range.end, after);
        } else {
            number += 1;
        }
    }
    rest.push_str(&statement.text[at..]);
    rest
}

/// Returns what an index is, without its own name and that of its table.
fn shape(definition: &str) -> (bool, &str) {
    let is_unique = definition.starts_with("CREATE UNIQUE ");
    let method = definition.split_once(" USING ");
    (is_unique, method.map_or("", |(_, method)| method))
}

const PROBE: &str = "stagelink_index_probe";

const LOOK_UP: &str = "SELECT c.oid, i.indrelid = t.oid, i.indrelid::pg_catalog.regclass\
     ::pg_catalog.text, i.indisvalid AND i.indisready, pg_catalog.pg_get_indexdef(c.oid) \
     FROM pg_catalog.pg_class t \
     JOIN pg_catalog.pg_class c ON c.relnamespace = t.relnamespace AND c.relname = $2 \
     LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid \
     WHERE t.oid = pg_catalog.to_regclass($1)";

/// Sessions that build an index. Of another role's session the index is hidden, so that it may be
/// this one.
const BUILDERS: &str = "SELECT p.pid, coalesce(a.application_name, ''), coalesce(a.state, ''), \
     (extract(epoch FROM pg_catalog.now() - coalesce(a.xact_start, a.backend_start)))\
     ::pg_catalog.int8 \
     FROM pg_catalog.pg_stat_progress_create_index p \
     LEFT JOIN pg_catalog.pg_stat_activity a USING (pid) \
     WHERE p.datname = pg_catalog.current_database() AND coalesce(p.index_relid, $1) = $1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::statement::split_statements;

    #[test]
    fn probe_is_the_same_index_on_another_table() {
        for (sql, table, index) in [
            (
                "CREATE INDEX CONCURRENTLY a ON b (c)",
                "(LIKE b)",
                "CREATE INDEX stagelink_index_probe ON pg_temp.b (c)",
            ),
            (
                "CREATE INDEX CONCURRENTLY a ON b (lower(b.c), (public.b.d + 1)) WHERE s.b.c > ''",
                "(LIKE b)",
                "CREATE INDEX stagelink_index_probe ON pg_temp.b (lower(b.c), (b.d + 1)) WHERE b.c > ''",
            ),
            (
                "create unique index concurrently if not exists \"on\" on only S.\"B c\" \
                 using btree (lower(x)) where y = ' on '",
                "(LIKE S.\"B c\")",
                "CREATE UNIQUE INDEX stagelink_index_probe ON pg_temp.\"B c\" using btree (lower(x)) where y = ' on '",
            ),
        ] {
            let statements = split_statements(sql).expect("a statement");
            let probe = Probe::of(&statements[0]).expect("a probe");
            assert!(
                probe.create_table.ends_with(table),
                "{}",
                probe.create_table
            );
            assert_eq!(probe.create_index, index);
        }
    }

    #[test]
    fn shape_is_without_names() {
        let a = "CREATE INDEX a ON public.b USING btree (c) WHERE d";
        let b = "CREATE INDEX x ON pg_temp_3.y USING btree (c) WHERE d";
        let unique = "CREATE UNIQUE INDEX a ON public.b USING btree (c) WHERE d";
        assert_eq!(shape(a), shape(b));
        assert_ne!(shape(a), shape(unique));
    }
}
