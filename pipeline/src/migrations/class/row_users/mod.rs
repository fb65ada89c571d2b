//! The answer to one question: what in the database sees the rows of a table, and may fail for another column or
//! for another value of one?
//!
//! What the server has bound to columns names them in the catalog. What it reads as it runs, the bodies of
//! functions, is read here. What cannot be read counts as what fails.

mod routines;
mod shown;
mod triggers;

use squawk_syntax::SourceFile;

use self::routines::{may_name, routine_reads, routine_uses_rows, routine_words};
use self::triggers::{trigger_sees, trigger_uses_rows};
use super::body_text::BodyText;
use super::column_type::ColumnType;
use super::default_value;
use super::facts::{ConstraintFacts, ConstraintKind, IndexFacts, RelationFacts, RelationKind};
use super::failing;
use super::scope::Scope;
use super::seen_by::RoutineFacts;
use crate::migrations::statement::{ObjectName, fold_name};

/// The number of views on views that are followed.
const VIEWS: u8 = 4;

/// Returns what may fail, or do otherwise, once the table has one more column: what uses its rows as wholes.
pub(super) fn of_new_column(
    scope: &Scope<'_>,
    table: &ObjectName,
    column: &str,
    spelled_type: &str,
) -> Option<String> {
    let full = scope.resolve(table);
    if let Some(code) = scope.code_that_the_run_ties_to(&full) {
        return Some(code);
    }
    // The tables below get the column, too.
    let tables: Vec<ObjectName> = scope.tree(&full).into_iter().collect();
    let has_equality = has_equality(scope, spelled_type);
    for name in &tables {
        let Some(relation) = scope.relation(name) else {
            continue;
        };
        let words = whole_row(relation, *name == full).or_else(|| relation.seen_by.shape.clone());
        if words.is_some() {
            return words;
        }
        let mut triggers = relation.seen_by.triggers.iter();
        let used = triggers.find_map(|one| trigger_uses_rows(scope, one, &tables, has_equality));
        if used.is_some() {
            return used;
        }
    }
    let mut routines = scope.facts.bodies.values();
    routines.find_map(|routine| routine_uses_rows(routine, &tables, column))
}

/// Returns what looks at the values of a column as rows are written, and may refuse one or fail for it.
pub(super) fn of_values(scope: &Scope<'_>, table: &ObjectName, column: &str) -> Option<String> {
    of_values_within(scope, table, column, VIEWS)
}

/// Returns the same, through views of which as many as this may follow.
fn of_values_within(
    scope: &Scope<'_>,
    table: &ObjectName,
    column: &str,
    views: u8,
) -> Option<String> {
    let full = scope.resolve(table);
    if let Some(code) = scope.code_that_the_run_ties_to(&full) {
        return Some(code);
    }
    for name in scope.tree(&full) {
        let Some(relation) = scope.relation(&name) else {
            continue;
        };
        let seen = &relation.seen_by;
        let mut triggers = seen.triggers.iter();
        let words = (seen.columns.get(column).cloned())
            .or_else(|| whole_row(relation, name == full))
            .or_else(|| constraint_or_index(scope, &name, relation, column))
            .or_else(|| is_key(relation, column).then(|| format!("the partition key of {name}")))
            .or_else(|| triggers.find_map(|one| trigger_sees(scope, one, column)))
            .or_else(|| view_sees(scope, relation, column, views));
        if words.is_some() {
            return words;
        }
    }
    let tables: Vec<ObjectName> = scope.tree(&full).into_iter().collect();
    let mut routines = scope.facts.bodies.values();
    let reader = routines.find(|one| routine_reads(one, &tables, column));
    if let Some(routine) = reader {
        return Some(routine_words(routine));
    }
    // A row of a partition has to be in the bounds of all tables above.
    let mut above = scope.ancestors(&full).into_iter();
    let has_key = |name: &ObjectName| scope.relation(name).is_some_and(|one| is_key(one, column));
    above
        .find(has_key)
        .map(|name| format!("the partition key of {name}"))
}

/// Returns the view that looks at a column, or what looks at it through a view that only shows it.
fn view_sees(
    scope: &Scope<'_>,
    relation: &RelationFacts,
    column: &str,
    views: u8,
) -> Option<String> {
    let seen = relation.seen_by.views.get(column).into_iter().flatten();
    seen.into_iter().find_map(|view| {
        let shown = views
            .checked_sub(1)
            .zip(shown::by_view(scope, view, column));
        match shown {
            Some((views, name)) => of_values_within(scope, view, &name, views),
            None => Some(format!("the view {view}")),
        }
    })
}

fn is_key(relation: &RelationFacts, column: &str) -> bool {
    relation.seen_by.key.iter().any(|key| key == column)
}

/// Returns what may fail, or do otherwise, once a column has another type that takes all of its values. Of a type
/// of the same name only the length differs, and only rows of a declared type have one.
pub(super) fn of_type(
    scope: &Scope<'_>,
    table: &ObjectName,
    column: &str,
    from: &ColumnType,
    to: &ColumnType,
) -> Option<String> {
    let full = scope.resolve(table);
    let tables: Vec<ObjectName> = scope.tree(&full).into_iter().collect();
    let names_tables = |routine: &RoutineFacts| {
        let mut rows = routine.rows.iter();
        let body = routine.body.as_deref();
        rows.any(|one| tables.contains(&one.relation))
            || body.is_some_and(|body| {
                may_name(body, &tables) && {
                    let body = BodyText::parse(body);
                    body.is_dynamic() || tables.iter().any(|table| body.has_table(table))
                }
            })
    };
    let routine = |uses: &dyn Fn(&RoutineFacts) -> bool| {
        let mut routines = scope.facts.bodies.values();
        routines.find(|one| uses(one)).map(routine_words)
    };
    if from.name == to.name {
        return routine(&|one| !one.rows.is_empty() && names_tables(one));
    }
    for relation in tables.iter().filter_map(|name| scope.relation(name)) {
        let mut triggers = relation.seen_by.triggers.iter();
        let words = triggers.find_map(|one| trigger_sees(scope, one, column));
        if words.is_some() {
            return words;
        }
    }
    routine(&|one| one.types.contains(&from.name) || names_tables(one))
}

/// Returns the expression that looks at whole rows as they are written, or the foreign table below another table.
fn whole_row(relation: &RelationFacts, is_altered_itself: bool) -> Option<String> {
    let is_foreign = relation.kind == RelationKind::Other && !is_altered_itself;
    let foreign = || is_foreign.then(|| "a foreign table".to_owned());
    relation.seen_by.whole.clone().or_else(foreign)
}

/// Returns the constraint or the index that may refuse a value of the column, or fail for it.
fn constraint_or_index(
    scope: &Scope<'_>,
    table: &ObjectName,
    relation: &RelationFacts,
    column: &str,
) -> Option<String> {
    let is_column = |name: &String| name == column;
    let refuses = |one: &&ConstraintFacts| {
        one.columns.iter().any(is_column)
            && one.kind != ConstraintKind::NotNull
            && !(one.definition.trim_end_matches(" NOT VALID")).ends_with(" IS NOT NULL))")
    };
    let constraint = relation.constraints.iter().find(refuses);
    let constraint = constraint.map(|one| format!("the constraint {}", one.name));
    constraint.or_else(|| {
        let mut indexes = relation.indexes.iter();
        let index = indexes.find(|one| {
            let is_computed = one.computed_from.iter().any(is_column);
            let excludes = |constraint: &ConstraintFacts| {
                constraint.kind == ConstraintKind::Other && constraint.name == one.name
            };
            let refuses = one.is_unique || relation.constraints.iter().any(excludes);
            let is_key = refuses && (is_computed || one.columns.iter().any(is_column));
            is_key || (is_computed && may_fail(scope, table, one))
        });
        index.map(|one| format!("the index {}", one.name))
    })
}

/// Returns whether an index with expressions or a `WHERE` may fail for a value.
fn may_fail(scope: &Scope<'_>, table: &ObjectName, index: &IndexFacts) -> bool {
    index.definition.as_deref().is_none_or(|definition| {
        let parsed = SourceFile::parse(definition);
        let node = parsed.syntax_node().children().next();
        !parsed.errors().is_empty()
            || node.is_none_or(|node| failing::part_of_index(scope, &node, table).is_some())
    })
}

/// Returns whether values of a type are known to be comparable, so that rows with such a column are.
fn has_equality(scope: &Scope<'_>, spelled: &str) -> bool {
    let base = spelled.split('[').next().unwrap_or(spelled).trim();
    let column_type = ColumnType::parse(base);
    if default_value::is_built_in(&column_type.name) {
        return !matches!(column_type.name.as_str(), "json" | "xml");
    }
    let parts = base.split('(').next().unwrap_or(base).split('.');
    let parts: Vec<String> = parts.map(|part| fold_name(part.trim())).collect();
    let name = ObjectName::from_parts(parts);
    column_type.is_serial()
        || name.is_some_and(|name| scope.is_enum(&name) || scope.is_comparable(&name))
}
