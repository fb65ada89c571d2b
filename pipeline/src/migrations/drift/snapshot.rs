//! A schema at one time: its objects, normalised, and their digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use stagelink::tokio_postgres::{Client, Error as DriverError};

use crate::migrations::drift::catalog::schema_objects;
use crate::migrations::drift::deparsed_sql::normalize;
use crate::migrations::drift::view_query::normalize_view;

/// The schema of a database: what `pg_dump --schema-only` would print of it, in a form that does not
/// depend on the version of Postgres.
///
/// It has no OIDs, numbers of columns, owners, privileges or comments, no values of options of foreign
/// servers, and nothing of extensions, of the provider, or of the tables in which migrations are recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaSnapshot {
    pub(super) objects: Vec<SchemaObject>,
}

/// An object of a schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SchemaObject {
    /// The kind, such as `table` or `index`.
    pub kind: String,
    /// The qualified name, quoted where it has to be; that of a column follows the table's.
    pub name: String,
    /// The table, view or domain that it belongs to; empty for an object of its own.
    pub owner: String,
    /// The definition, in words and SQL. What differs between versions of Postgres is made the same.
    pub definition: String,
}

impl SchemaSnapshot {
    /// Reads the schema; `None` where it changes all the while.
    ///
    /// The catalog's rows are those of one snapshot, but its functions print an object as it is when they
    /// are called. So the schema is read again: what is the same twice was so in between.
    ///
    /// # Errors
    ///
    /// Those of the driver: among them that a view's table is locked for more than two seconds.
    pub(super) async fn read(client: &Client) -> Result<Option<Self>, DriverError> {
        let query = schema_objects();
        let mut before = read_rows(client, &query).await?;
        for _ in 1..MOST_READS {
            let rows = read_rows(client, &query).await?;
            if rows == before {
                return Ok(Some(
                    rows.into_iter().map(CatalogRow::into_object).collect(),
                ));
            }
            before = rows;
        }
        Ok(None)
    }

    /// Returns the objects, in the order of kind and name.
    pub fn objects(&self) -> &[SchemaObject] {
        &self.objects
    }

    /// Returns the SHA-256 of the objects, in hexadecimal: the same for schemas without a difference.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for object in &self.objects {
            for part in [
                &object.kind,
                &object.name,
                &object.owner,
                &object.definition,
            ] {
                hasher.update((part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        hex::encode(hasher.finalize())
    }

    /// Returns this snapshot with what changed from `before` to `after`. Other differences from them
    /// stay.
    pub(super) fn advanced(&self, before: &Self, after: &Self) -> Self {
        let (before, after) = (before.by_key(), after.by_key());
        let mut objects = self.by_key();
        for key in before.keys().chain(after.keys()) {
            match (before.get(key), after.get(key)) {
                (old, new) if old == new => {}
                (_, Some(new)) => drop(objects.insert(*key, new)),
                (_, None) => drop(objects.remove(key)),
            }
        }
        objects.into_values().cloned().collect()
    }

    /// Returns the objects by kind and name.
    pub(super) fn by_key(&self) -> BTreeMap<(&str, &str), &SchemaObject> {
        let keyed = self
            .objects
            .iter()
            .map(|object| ((&*object.kind, &*object.name), object));
        keyed.collect()
    }
}

impl FromIterator<SchemaObject> for SchemaSnapshot {
    fn from_iter<I: IntoIterator<Item = SchemaObject>>(objects: I) -> Self {
        let mut objects: Vec<_> = objects.into_iter().collect();
        objects.sort();
        Self { objects }
    }
}

/// A row of the catalog's query.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct CatalogRow {
    kind: String,
    name: String,
    owner: String,
    definition: Option<String>,
    query: Option<String>,
    body: Option<String>,
}

impl CatalogRow {
    fn into_object(self) -> SchemaObject {
        let mut definition = normalize(&self.definition.unwrap_or_default());
        for text in [self.query.as_deref().map(normalize_view), self.body]
            .into_iter()
            .flatten()
        {
            if !definition.is_empty() {
                definition.push(' ');
            }
            definition.push_str(&text);
        }
        SchemaObject {
            kind: self.kind,
            name: normalize(&self.name),
            owner: normalize(&self.owner),
            definition,
        }
    }
}

/// Reads the rows in a read-only transaction of its own, in an order.
async fn read_rows(client: &Client, query: &str) -> Result<Vec<CatalogRow>, DriverError> {
    client.batch_execute(BEGIN).await?;
    let rows = client.query_typed(query, &[]).await;
    let ended = client.batch_execute("ROLLBACK").await;
    let rows = rows?;
    ended?;
    let mut read = Vec::with_capacity(rows.len());
    for row in rows {
        let text = |column: &str| row.try_get::<_, Option<String>>(column);
        // The functions that print an object return NULL where another session has dropped it.
        let (Some(kind), Some(name)) = (text("kind")?, text("name")?) else {
            continue;
        };
        read.push(CatalogRow {
            kind,
            name,
            owner: text("owner")?.unwrap_or_default(),
            definition: text("definition")?,
            query: text("query")?,
            body: text("body")?,
        });
    }
    read.sort_unstable();
    Ok(read)
}

/// The message where a schema cannot be read for its changes.
pub(super) const SCHEMA_CHANGES: &str =
    "the schema changes while it is read, as by a migration of another session: try again later";

/// The largest number of times that a schema is read.
const MOST_READS: usize = 4;

/// Names are printed with their schema, but for those of the catalog, and values in one form, whatever
/// the role or database sets. A table that is locked for longer is not waited for, since others would
/// wait behind. Without `jit = off` the server compiles the query, which took 30 s where it reads for 1 s.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = '2s'; \
     SET LOCAL statement_timeout = '20s'; SET LOCAL TimeZone = 'UTC'; \
     SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; \
     SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; \
     SET LOCAL quote_all_identifiers = off; SET LOCAL standard_conforming_strings = on; \
     SET LOCAL lc_monetary = 'C'; SET LOCAL xmloption = 'content'; \
     SET LOCAL jit = off";

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn object(kind: &str, name: &str, owner: &str, definition: &str) -> SchemaObject {
        SchemaObject {
            kind: kind.to_owned(),
            name: name.to_owned(),
            owner: owner.to_owned(),
            definition: definition.to_owned(),
        }
    }

    pub(crate) fn snapshot(objects: &[(&str, &str, &str, &str)]) -> SchemaSnapshot {
        let objects = objects.iter();
        objects
            .map(|(kind, name, owner, text)| object(kind, name, owner, text))
            .collect()
    }

    #[test]
    fn digest_depends_on_the_content_and_not_on_the_order() {
        let one = snapshot(&[("table", "a", "", ""), ("column", "a.b", "a", "integer")]);
        let same = snapshot(&[("column", "a.b", "a", "integer"), ("table", "a", "", "")]);
        let other = snapshot(&[("column", "a.b", "a", "text"), ("table", "a", "", "")]);
        assert_eq!(one.digest(), same.digest());
        assert_ne!(one.digest(), other.digest());
        assert_ne!(one.digest(), SchemaSnapshot::default().digest());
    }

    #[test]
    fn drift_of_before_a_run_stays_after_it() {
        let kept = snapshot(&[("table", "a", "", ""), ("index", "i", "a", "(x)")]);
        // By hand: an index more, and another definition.
        let before = snapshot(&[
            ("table", "a", "", ""),
            ("index", "i", "a", "(y)"),
            ("index", "hand", "a", ""),
        ]);
        // The run adds a table, and replaces what a hand has changed.
        let after = snapshot(&[
            ("table", "a", "", ""),
            ("table", "b", "", ""),
            ("index", "i", "a", "(z)"),
            ("index", "hand", "a", ""),
        ]);
        let expected = snapshot(&[
            ("table", "a", "", ""),
            ("table", "b", "", ""),
            ("index", "i", "a", "(z)"),
        ]);
        assert_eq!(kept.advanced(&before, &after), expected);
        assert_eq!(kept.advanced(&before, &before), kept);
        let dropped = snapshot(&[("table", "a", "", "")]);
        assert_eq!(kept.advanced(&before, &dropped), dropped);
    }
}
