//! The differences of two schemas.

use std::fmt;

use serde::Serialize;
use stagelink::one_line;

use crate::migrations::drift::snapshot::{SchemaObject, SchemaSnapshot};

/// A difference between the schema that was expected and the one that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SchemaDifference {
    /// The kind of the object, such as `table` or `index`.
    pub kind: String,
    /// The qualified name of the object.
    pub name: String,
    /// The difference.
    #[serde(flatten)]
    pub change: SchemaChange,
}

/// The way in which an object differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum SchemaChange {
    /// It is there and was not expected.
    Unexpected {
        /// The definition that was found.
        found: String,
    },
    /// It was expected and is not there.
    Missing {
        /// The definition that was expected.
        expected: String,
    },
    /// It is there with another definition.
    Changed {
        /// The definition that was expected.
        expected: String,
        /// The definition that was found.
        found: String,
    },
}

impl SchemaSnapshot {
    /// Returns the differences of `found` from this schema, in the order of kind and name. Of a table
    /// that is missing, or unexpected, its columns and the like are left out.
    pub fn differences(&self, found: &Self) -> Vec<SchemaDifference> {
        let (expected, found) = (self.by_key(), found.by_key());
        let mut keys: Vec<_> = expected.keys().chain(found.keys()).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        let is_whole = |objects: &Objects<'_>, owner: &str| {
            objects
                .keys()
                .any(|(kind, name)| *name == owner && OWNERS.contains(kind))
        };
        let goes_with_owner = |object: &SchemaObject, other: &Objects<'_>| {
            !object.owner.is_empty() && !is_whole(other, &object.owner)
        };
        let differences = keys.into_iter().filter_map(|key| {
            let change = match (expected.get(&key), found.get(&key)) {
                (Some(old), Some(new)) if old.definition != new.definition => {
                    SchemaChange::Changed {
                        expected: old.definition.clone(),
                        found: new.definition.clone(),
                    }
                }
                (Some(old), None) if !goes_with_owner(old, &found) => SchemaChange::Missing {
                    expected: old.definition.clone(),
                },
                (None, Some(new)) if !goes_with_owner(new, &expected) => SchemaChange::Unexpected {
                    found: new.definition.clone(),
                },
                _ => return None,
            };
            Some(SchemaDifference {
                kind: key.0.to_owned(),
                name: key.1.to_owned(),
                change,
            })
        });
        differences.collect()
    }
}

type Objects<'a> = std::collections::BTreeMap<(&'a str, &'a str), &'a SchemaObject>;

/// The kinds that own others.
const OWNERS: [&str; 5] = [
    "table",
    "foreign table",
    "view",
    "materialized view",
    "type",
];

impl fmt::Display for SchemaDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = (&self.kind, one_line(&self.name));
        match &self.change {
            SchemaChange::Unexpected { found } => {
                write!(f, "{kind} {name} is unexpected")?;
                definition(f, found)
            }
            SchemaChange::Missing { expected } => {
                write!(f, "{kind} {name} is missing")?;
                definition(f, expected)
            }
            SchemaChange::Changed { expected, found } => {
                let [expected, found] = [on_one_line(expected), on_one_line(found)];
                let shared = shared_start(&expected, &found);
                write!(
                    f,
                    "{kind} {name} is {}, expected {}",
                    shortened(&found, shared),
                    shortened(&expected, shared)
                )
            }
        }
    }
}

fn definition(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    match text {
        "" => Ok(()),
        text => write!(f, " ({})", shortened(&on_one_line(text), 0)),
    }
}

fn on_one_line(text: &str) -> String {
    one_line(if text.is_empty() { "plain" } else { text }).to_string()
}

/// Returns a part of a definition: the start, or what begins shortly before the place in
/// which it differs from the other.
fn shortened(text: &str, shared: usize) -> String {
    let skipped = match text.chars().count() > LONGEST && shared > LONGEST / 2 {
        true => shared - SHOWN_BEFORE,
        false => 0,
    };
    let part: String = text.chars().skip(skipped).take(LONGEST).collect();
    let before = if skipped > 0 { "… " } else { "" };
    let after = if text.chars().count() > skipped + LONGEST {
        " …"
    } else {
        ""
    };
    format!("{before}{part}{after}")
}

/// Returns the number of characters with which both texts begin.
fn shared_start(one: &str, other: &str) -> usize {
    let pairs = one.chars().zip(other.chars());
    pairs.take_while(|(one, other)| one == other).count()
}

/// The longest part of a definition in a message, in characters.
const LONGEST: usize = 160;

/// The characters before a difference.
const SHOWN_BEFORE: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::drift::snapshot::tests::snapshot;

    #[test]
    fn differences_are_named_once_with_both_definitions() {
        let expected = snapshot(&[
            ("table", "public.a", "", ""),
            ("column", "public.a.x", "public.a", "integer"),
            ("column", "public.a.y", "public.a", "integer"),
            ("table", "public.b", "", ""),
            ("column", "public.b.x", "public.b", "text"),
            ("view", "public.v", "", "SELECT 1 ;"),
        ]);
        let found = snapshot(&[
            ("table", "public.a", "", ""),
            ("column", "public.a.x", "public.a", "bigint"),
            ("index", "public.by_hand", "public.a", "CREATE INDEX …"),
            ("table", "public.c", "", ""),
            ("column", "public.c.x", "public.c", "text"),
            ("index", "public.c_x", "public.c", "…"),
            ("view", "public.v", "", "SELECT 1 ;"),
        ]);
        let texts: Vec<_> = expected
            .differences(&found)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            texts,
            [
                "column public.a.x is bigint, expected integer",
                "column public.a.y is missing (integer)",
                "index public.by_hand is unexpected (CREATE INDEX …)",
                "table public.b is missing",
                "table public.c is unexpected",
            ]
        );
        assert!(found.differences(&found).is_empty());
        assert_eq!(found.differences(&expected).len(), 5);
        let json = serde_json::to_value(&expected.differences(&found)[0]).unwrap();
        assert_eq!(json["change"], "changed");
        assert_eq!(json["found"], "bigint");
    }

    #[test]
    fn long_and_hostile_definitions_are_short_lines() {
        let long = "x\n".repeat(1_000);
        let difference = SchemaDifference {
            kind: "function".to_owned(),
            name: "public.\"f\n\"".to_owned(),
            change: SchemaChange::Unexpected { found: long },
        };
        let text = difference.to_string();
        assert!(text.len() < 250 && !text.contains('\n'), "{text}");
    }

    #[test]
    fn difference_far_inside_of_a_definition_is_shown() {
        let definition = |schema: &str| {
            let start = "SELECT aaaa, bbbb, cccc".repeat(20);
            format!(
                "{start} FROM {schema}.orders WHERE x{}",
                " AND y".repeat(50)
            )
        };
        let difference = SchemaDifference {
            kind: "view".to_owned(),
            name: "public.v".to_owned(),
            change: SchemaChange::Changed {
                expected: definition("public"),
                found: definition("app"),
            },
        };
        let text = difference.to_string();
        assert!(text.starts_with("view public.v is … "), "{text}");
        for part in ["FROM app.orders", ", expected … ", "FROM public.orders"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
