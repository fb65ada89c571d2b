//! The changes of a database between a plan and its run that a judgement may depend on.

use std::collections::BTreeSet;

use crate::migrations::class::{RelationFacts, SMALL_TABLE_BYTES, TargetFacts};
use crate::migrations::statement::ObjectName;

/// The size that the facts have for a table whose size cannot be asked.
const LOCKED: u64 = 1_000_000_000_000;

/// Returns what has changed about these objects, each as the end of a sentence after "since".
pub(super) fn changes(
    before: &TargetFacts,
    now: &TargetFacts,
    objects: &BTreeSet<ObjectName>,
) -> Vec<String> {
    let mut changes = Vec::new();
    if before.search_path != now.search_path {
        changes.push(format!(
            "the search path of role {} is {}",
            now.role,
            now.search_path.join(", ")
        ));
    }
    for name in objects {
        match (before.relations.get(name), now.relations.get(name)) {
            (Some(before), Some(now)) => add_changes(&mut changes, name, before, now),
            (None, Some(_)) => changes.push(format!("{name} was created")),
            (Some(_), None) => changes.push(format!("{name} was dropped")),
            (None, None) => {}
        }
        if before.routines.contains(name) != now.routines.contains(name) {
            changes.push(match now.routines.contains(name) {
                true => format!("the function {name} was created"),
                false => format!("the function {name} was dropped"),
            });
        }
        let referencing = before.referencing(name);
        for other in now.referencing(name) {
            if !referencing.contains(&other) {
                changes.push(format!("{other} references {name}"));
            }
        }
        let is_constrained = |facts: &TargetFacts| {
            let domain = facts.domains.get(name);
            domain.is_some_and(|domain| domain.has_constraints)
        };
        if is_constrained(now) && !is_constrained(before) {
            changes.push(format!("the domain {name} has a constraint"));
        }
    }
    changes
}

/// Returns whether one of these tables is locked by another session, so that its size is not known.
pub(super) fn is_locked(
    before: &TargetFacts,
    now: &TargetFacts,
    objects: &BTreeSet<ObjectName>,
) -> bool {
    let bytes = |facts: &TargetFacts, name| facts.relations.get(name).map(|one| one.bytes);
    objects.iter().any(|name| {
        let was_known = bytes(before, name).is_some_and(|bytes| bytes < LOCKED);
        was_known && bytes(now, name).is_some_and(|bytes| bytes >= LOCKED)
    })
}

/// Returns the relations that were created, but for those of the runner.
pub(super) fn created<'a>(before: &TargetFacts, now: &'a TargetFacts) -> Vec<&'a ObjectName> {
    let new = now.relations.keys();
    new.filter(|name| !before.relations.contains_key(name))
        .collect()
}

fn add_changes(
    changes: &mut Vec<String>,
    name: &ObjectName,
    before: &RelationFacts,
    now: &RelationFacts,
) {
    let is_small = |bytes: u64| bytes <= SMALL_TABLE_BYTES;
    if is_small(before.bytes) != is_small(now.bytes) {
        changes.push(match now.bytes {
            LOCKED.. => format!("{name} is locked by another session, so its size is not known"),
            bytes => {
                let rows = match now.rows.filter(|rows| Some(*rows) != before.rows) {
                    Some(rows) => format!("about {rows} rows in "),
                    None => String::new(),
                };
                format!(
                    "{name} has {rows}{}, {} before",
                    size(bytes),
                    size(before.bytes)
                )
            }
        });
    }
    let is_source_small = |one: &RelationFacts| one.source_bytes.is_some_and(is_small);
    if is_source_small(before) && !is_source_small(now) {
        changes.push(format!("the tables that {name} reads have grown"));
    }
    if now.has_triggers && !before.has_triggers {
        changes.push(format!("{name} has a trigger"));
    }
    for (now, before, when) in [
        (&now.code.reads, &before.code.reads, "read"),
        (&now.code.writes, &before.code.writes, "written"),
        (&now.code.refresh, &before.code.refresh, "refreshed"),
        (&now.code.analysis, &before.code.analysis, "analyzed"),
        (&now.code.key, &before.code.key, "partitioned"),
        (
            &now.code.policies,
            &before.code.policies,
            "read under its policies",
        ),
    ] {
        if let (Some(code), None) = (now, before) {
            changes.push(format!("{code} runs as {name} is {when}"));
        }
    }
    if now.has_default_partition && !before.has_default_partition {
        changes.push(format!("{name} has a default partition"));
    }
    let constraints = |one: &RelationFacts| -> BTreeSet<(String, String)> {
        let all = one.constraints.iter();
        all.map(|one| {
            (
                one.name.clone(),
                format!("{} {}", one.definition, one.is_validated),
            )
        })
        .collect()
    };
    add_differences(
        changes,
        name,
        "constraint",
        &constraints(before),
        &constraints(now),
    );
    let indexes = |one: &RelationFacts| -> BTreeSet<(String, String)> {
        let all = one.indexes.iter();
        all.map(|one| {
            (
                one.name.clone(),
                format!("{} {} {:?}", one.is_unique, one.is_valid, one.columns),
            )
        })
        .collect()
    };
    add_differences(changes, name, "index", &indexes(before), &indexes(now));
    let columns = |one: &RelationFacts| -> BTreeSet<(String, String)> {
        let all = one.columns.iter();
        all.map(|(name, one)| {
            let (null, default) = (one.is_not_null, one.has_default);
            (name.clone(), format!("{} {null} {default}", one.type_name))
        })
        .collect()
    };
    add_differences(changes, name, "column", &columns(before), &columns(now));
}

/// Adds the parts of a table that were created, dropped or changed, each as its name and its facts.
fn add_differences(
    changes: &mut Vec<String>,
    table: &ObjectName,
    kind: &str,
    before: &BTreeSet<(String, String)>,
    now: &BTreeSet<(String, String)>,
) {
    let has = |all: &BTreeSet<(String, String)>, name: &str| all.iter().any(|one| one.0 == name);
    for (part, _) in now.difference(before) {
        let verb = match has(before, part) {
            true => "was changed",
            false => "was created",
        };
        changes.push(format!("the {kind} {part} of {table} {verb}"));
    }
    for (part, _) in before.difference(now).filter(|(part, _)| !has(now, part)) {
        changes.push(format!("the {kind} {part} of {table} was dropped"));
    }
}

fn size(bytes: u64) -> String {
    match bytes.div_ceil(1024) {
        kilobytes @ ..1024 => format!("{kilobytes} kB"),
        kilobytes => format!("{} MB", kilobytes.div_ceil(1024)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::class::{ColumnFacts, IndexFacts};

    fn facts(relations: &[(&str, RelationFacts)]) -> TargetFacts {
        let relations = relations.iter();
        TargetFacts {
            relations: relations
                .map(|(name, one)| (ObjectName::in_schema("public", *name), one.clone()))
                .collect(),
            ..TargetFacts::default()
        }
    }

    fn of_size(bytes: u64, rows: Option<u64>) -> RelationFacts {
        RelationFacts {
            bytes,
            rows,
            ..RelationFacts::default()
        }
    }

    #[test]
    fn changes_are_told_with_the_figures_that_a_rule_asks_for() {
        let small = of_size(8192, Some(2));
        let mut other = small.clone();
        other.has_triggers = true;
        other.columns.insert("a".to_owned(), ColumnFacts::default());
        other.indexes.push(IndexFacts {
            name: "i".to_owned(),
            is_unique: true,
            is_valid: true,
            columns: Vec::new(),
            computed_from: Vec::new(),
            definition: None,
            code: None,
        });
        for (before, now, expected) in [
            (Some(&small), Some(&small), &[][..]),
            (Some(&small), Some(&of_size(9000, Some(3))), &[]),
            (
                Some(&small),
                Some(&of_size(50 << 20, Some(1_200_000))),
                &["public.t has about 1200000 rows in 50 MB, 8 kB before"],
            ),
            // The planner's number is as old as the last ANALYZE.
            (
                Some(&small),
                Some(&of_size(50 << 20, Some(2))),
                &["public.t has 50 MB, 8 kB before"],
            ),
            (
                Some(&small),
                Some(&of_size(LOCKED + 5, Some(2))),
                &["public.t is locked by another session, so its size is not known"],
            ),
            (None, Some(&small), &["public.t was created"]),
            (Some(&small), None, &["public.t was dropped"]),
            (
                Some(&small),
                Some(&other),
                &[
                    "public.t has a trigger",
                    "the index i of public.t was created",
                    "the column a of public.t was created",
                ],
            ),
            (
                Some(&other),
                Some(&small),
                &[
                    "the index i of public.t was dropped",
                    "the column a of public.t was dropped",
                ],
            ),
        ] {
            let of = |one: Option<&RelationFacts>| match one {
                Some(one) => facts(&[("t", one.clone())]),
                None => facts(&[]),
            };
            let name = [ObjectName::in_schema("public", "t")].into();
            assert_eq!(changes(&of(before), &of(now), &name), expected);
            let none = BTreeSet::new();
            assert!(changes(&of(before), &of(now), &none).is_empty());
        }
    }
}
