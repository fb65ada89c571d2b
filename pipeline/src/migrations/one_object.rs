//! The statements without a transaction that create, drop or detach one object: by a look at it the
//! runner knows whether such a statement is done.

use stagelink::tokio_postgres::types::{ToSql, Type};
use stagelink::tokio_postgres::{Client, Error as DriverError};

use crate::migrations::statement::{ObjectName, Statement};

/// The one object of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OneObject {
    /// An object of the server or of the database that has a catalog of its own.
    Catalogued {
        kind: CatalogKind,
        name: String,
        /// True if the statement creates it, false if it drops it.
        is_created: bool,
    },
    /// The index of `DROP INDEX CONCURRENTLY`.
    Index(ObjectName),
    /// The partition of `DETACH PARTITION CONCURRENTLY`.
    Partition {
        parent: ObjectName,
        partition: ObjectName,
    },
}

/// The kinds of objects that are created and dropped outside of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CatalogKind {
    Database,
    Tablespace,
    Subscription,
}

/// The state of an object, seen from its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectState {
    /// The statement has all its work before it.
    ToDo,
    /// A partition is half detached.
    Pending,
    /// The statement has nothing left to do.
    Done,
}

impl OneObject {
    /// Returns the object of a statement that is known to have one alone.
    pub(super) fn of(statement: &Statement) -> Option<Self> {
        let command = statement.needs_no_transaction()?;
        let created = |kind| Self::catalogued(statement, kind, true);
        let dropped = |kind| Self::catalogued(statement, kind, false);
        match command {
            "CREATE DATABASE" => created(CatalogKind::Database),
            "CREATE TABLESPACE" => created(CatalogKind::Tablespace),
            "CREATE SUBSCRIPTION" => created(CatalogKind::Subscription),
            "DROP DATABASE" => dropped(CatalogKind::Database),
            "DROP TABLESPACE" => dropped(CatalogKind::Tablespace),
            "DROP SUBSCRIPTION" => dropped(CatalogKind::Subscription),
            "DROP INDEX CONCURRENTLY" => {
                let (index, end) = statement.name_at(after_if_exists(statement, 3))?;
                has_no_other(statement, end).then_some(Self::Index(index))
            }
            "DETACH PARTITION CONCURRENTLY" => {
                let mut places = 0..statement.tokens.len();
                let detach = places.find(|at| {
                    statement.is_word(*at, "DETACH") && statement.is_word(at + 1, "PARTITION")
                })?;
                Some(Self::Partition {
                    parent: statement.altered_table()?,
                    partition: statement.name_at(detach + 2)?.0,
                })
            }
            _ => None,
        }
    }

    fn catalogued(statement: &Statement, kind: CatalogKind, is_created: bool) -> Option<Self> {
        let at = match is_created {
            true => 2,
            false => after_if_exists(statement, 2),
        };
        let (name, end) = statement.name_at(at)?;
        (is_created || has_no_other(statement, end)).then_some(Self::Catalogued {
            kind,
            name: name.name,
            is_created,
        })
    }

    /// Looks at the object.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub(super) async fn state(&self, client: &Client) -> Result<ObjectState, DriverError> {
        let (look, names) = match self {
            Self::Catalogued { kind, name, .. } => (kind.look(), vec![name.clone()]),
            Self::Index(index) => (INDEX, vec![index.to_string()]),
            Self::Partition { parent, partition } => {
                (PARTITION, vec![partition.to_string(), parent.to_string()])
            }
        };
        let parameters: Vec<_> = names
            .iter()
            .map(|name| (name as &(dyn ToSql + Sync), Type::TEXT))
            .collect();
        let rows = client.query_typed(look, &parameters).await?;
        let is_there = !rows.is_empty();
        let is_pending = rows.first().is_some_and(|row| row.get(0));
        Ok(match self {
            Self::Catalogued { is_created, .. } if *is_created == is_there => ObjectState::Done,
            Self::Index(_) | Self::Partition { .. } if !is_there => ObjectState::Done,
            _ if is_pending => ObjectState::Pending,
            _ => ObjectState::ToDo,
        })
    }
}

impl CatalogKind {
    fn look(self) -> &'static str {
        match self {
            Self::Database => {
                "SELECT false FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) $1"
            }
            Self::Tablespace => {
                "SELECT false FROM pg_catalog.pg_tablespace WHERE spcname OPERATOR(pg_catalog.=) $1"
            }
            Self::Subscription => {
                "SELECT false FROM pg_catalog.pg_subscription WHERE subname OPERATOR(pg_catalog.=) $1 \
                 AND subdbid OPERATOR(pg_catalog.=) (SELECT oid FROM pg_catalog.pg_database \
                 WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())"
            }
        }
    }
}

/// Returns the place after the words `IF EXISTS`, if they are at `at`.
fn after_if_exists(statement: &Statement, at: usize) -> usize {
    match statement.is_word(at, "IF") && statement.is_word(at + 1, "EXISTS") {
        true => at + 2,
        false => at,
    }
}

/// Returns whether no further name follows.
fn has_no_other(statement: &Statement, end: usize) -> bool {
    let rest = statement.tokens.iter().skip(end);
    !rest
        .map(|token| &statement.text[token.range.clone()])
        .any(|text| text == ",")
}

const INDEX: &str = "SELECT false WHERE pg_catalog.to_regclass($1) IS NOT NULL";

/// Before Postgres 14 no partition is half detached.
const PARTITION: &str = "SELECT coalesce((pg_catalog.to_jsonb(i) OPERATOR(pg_catalog.->>) \
     'inhdetachpending')::pg_catalog.bool, false) FROM pg_catalog.pg_inherits i \
     WHERE i.inhrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1) \
     AND i.inhparent OPERATOR(pg_catalog.=) pg_catalog.to_regclass($2)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::statement::split_statements;

    #[test]
    fn only_statements_with_one_object_have_one() {
        let database = |name: &str, is_created| OneObject::Catalogued {
            kind: CatalogKind::Database,
            name: name.to_owned(),
            is_created,
        };
        for (sql, expected) in [
            ("CREATE DATABASE A OWNER b", Some(database("a", true))),
            (
                "drop database if exists \"A\" (force)",
                Some(database("A", false)),
            ),
            (
                "DROP INDEX CONCURRENTLY IF EXISTS s.i RESTRICT",
                Some(OneObject::Index(ObjectName::in_schema("s", "i"))),
            ),
            (
                "ALTER TABLE IF EXISTS ONLY p DETACH PARTITION s.q CONCURRENTLY",
                Some(OneObject::Partition {
                    parent: ObjectName::new("p"),
                    partition: ObjectName::in_schema("s", "q"),
                }),
            ),
            ("DROP INDEX CONCURRENTLY i, j", None),
            ("DROP INDEX i", None),
            ("DROP TABLE c, cc", None),
            ("CREATE UNIQUE INDEX i ON b (i)", None),
            ("REINDEX TABLE CONCURRENTLY a", None),
        ] {
            let statements = split_statements(sql).expect("a statement");
            assert_eq!(OneObject::of(&statements[0]), expected, "{sql}");
        }
    }
}
