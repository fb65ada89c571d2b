//! A schema at one time: its objects, normalised, and their digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use stagelink::tokio_postgres::{Client, Error as DriverError};

use crate::migrations::drift::catalog::SCHEMA_OBJECTS;
use crate::migrations::drift::query_text::without_qualifiers;

/// The schema of a database: its tables, columns, constraints, indexes, views, functions, triggers,
/// policies, types and sequences, in a form that does not depend on the version of Postgres.
///
/// It has no OIDs, numbers of columns, owners or privileges, and nothing of extensions, of the
/// provider, or of the tables in which migrations are recorded.
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
    /// The definition. The text of a query has no qualifiers.
    pub definition: String,
}

impl SchemaSnapshot {
    /// Reads the schema in a read-only transaction of its own.
    ///
    /// # Errors
    ///
    /// Those of the driver: among them that a view's table is locked for more than two seconds.
    pub(super) async fn read(client: &Client) -> Result<Self, DriverError> {
        client.batch_execute(BEGIN).await?;
        let rows = client.query_typed(SCHEMA_OBJECTS, &[]).await;
        let ended = client.batch_execute("ROLLBACK").await;
        let rows = rows?;
        ended?;
        let mut objects = Vec::new();
        for row in rows {
            // The functions that print an object return NULL where another session has dropped it.
            let text = |column: &str| row.try_get::<_, Option<String>>(column);
            let (Some(kind), Some(name)) = (text("kind")?, text("name")?) else {
                continue;
            };
            let mut definition = text("definition")?.unwrap_or_default();
            if let Some(query) = text("query")? {
                definition = format!("{definition} {}", without_qualifiers(&query));
            }
            objects.push(SchemaObject {
                kind,
                name,
                owner: text("owner")?.unwrap_or_default(),
                definition: definition.trim().to_owned(),
            });
        }
        Ok(objects.into_iter().collect())
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

/// Names are printed with their schema, but for those of the catalog, and values in one form, whatever
/// the role or database sets. A table that is locked for longer is not waited for, since others would
/// wait behind.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = '2s'; \
     SET LOCAL statement_timeout = '20s'; SET LOCAL TimeZone = 'UTC'; \
     SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; \
     SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; \
     SET LOCAL quote_all_identifiers = off; SET LOCAL standard_conforming_strings = on; \
     SET LOCAL lc_monetary = 'C'; SET LOCAL xmloption = 'content'";

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
