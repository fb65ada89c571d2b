//! The answer to one question: what in the database sees the rows of a table, and may fail for another column or
//! for another value of one?
//!
//! What the server has bound to columns names them in the catalog. What it reads as it runs, the bodies of
//! functions, is read here. What cannot be read counts as what fails.

use std::collections::BTreeSet;

use squawk_syntax::SourceFile;

use super::body_text::{BodyText, RowUse};
use super::column_type::ColumnType;
use super::default_value;
use super::facts::{ConstraintFacts, ConstraintKind, IndexFacts, RelationFacts, RelationKind};
use super::failing;
use super::scope::Scope;
use super::seen_by::{RoutineFacts, TriggerFacts};
use crate::migrations::statement::{ObjectName, fold_name};

/// Trigger functions of Postgres and of its usual extensions, which use the columns that their arguments name.
const NAME_THEIR_COLUMNS: [&str; 9] = [
    "autoinc",
    "check_foreign_key",
    "check_primary_key",
    "insert_username",
    "lo_manage",
    "moddatetime",
    "suppress_redundant_updates_trigger",
    "tsvector_update_trigger",
    "tsvector_update_trigger_column",
];

/// Types of arguments for which any row is one.
const POLYMORPHIC: [&str; 6] = [
    "\"any\"",
    "anycompatible",
    "anycompatiblenonarray",
    "anyelement",
    "anynonarray",
    "record",
];

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
            .or_else(|| triggers.find_map(|one| trigger_sees(scope, one, column)));
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

/// Returns a trigger in words, with the part of its function that matters.
fn trigger_words(trigger: &TriggerFacts, part: &str) -> String {
    format!(
        "the trigger {} ({}() has {part})",
        trigger.name, trigger.function_name
    )
}

/// Returns the trigger if it uses rows as wholes, or may.
fn trigger_uses_rows(
    scope: &Scope<'_>,
    trigger: &TriggerFacts,
    tables: &[ObjectName],
    has_equality: bool,
) -> Option<String> {
    let matters = |found: RowUse| match found {
        RowUse::Whole(part) => Some(part),
        RowUse::Compared if has_equality => None,
        RowUse::Compared => Some("a comparison of whole rows".to_owned()),
    };
    let condition = BodyText::of_condition(&trigger.definition).use_of_trigger_rows();
    let part = condition.and_then(matters).or_else(|| {
        let body = match body_of(scope, trigger) {
            Readable::Body(body) => body,
            Readable::NamesColumns => return None,
            Readable::Unknown(why) => return Some(why),
        };
        let mut seen = tables.to_vec();
        seen.extend(BodyText::transition_tables(&trigger.definition));
        let of_rows = body.use_of_trigger_rows().and_then(matters);
        of_rows.or_else(|| body.use_of_tables(&seen, &[]))
    });
    part.map(|part| trigger_words(trigger, &part))
}

/// Returns the trigger if it looks at a column, or may. Its condition is in the catalog.
fn trigger_sees(scope: &Scope<'_>, trigger: &TriggerFacts, column: &str) -> Option<String> {
    let part = match body_of(scope, trigger) {
        Readable::Body(body) => {
            let mut read = BTreeSet::from([trigger.function]);
            let whole = match body.use_of_trigger_rows() {
                Some(RowUse::Whole(part)) => Some(part),
                Some(RowUse::Compared) | None => None,
            };
            whole.or_else(|| names_column(scope, &body, column, &mut read))
        }
        Readable::NamesColumns => {
            let definition = BodyText::parse(&trigger.definition);
            let is_named = definition.has_text(column);
            is_named.then(|| format!("the argument {column}"))
        }
        Readable::Unknown(why) => Some(why),
    };
    part.map(|part| trigger_words(trigger, &part))
}

/// Returns the part by which a body, or that of a function which it calls, may look at a column.
fn names_column(
    scope: &Scope<'_>,
    body: &BodyText,
    column: &str,
    read: &mut BTreeSet<u32>,
) -> Option<String> {
    if body.is_dynamic() {
        return Some(DYNAMIC.to_owned());
    }
    if body.has_name(column) {
        return Some(format!("the name {column}"));
    }
    for (key, routine) in &scope.facts.bodies {
        if !body.calls(&routine.name.name) || !read.insert(*key) {
            continue;
        }
        let Some(text) = &routine.body else {
            continue;
        };
        if !is_readable(routine) {
            return Some(format!(
                "a call of {}(), in {}",
                routine.name, routine.language
            ));
        }
        let part = names_column(scope, &BodyText::parse(text), column, read);
        if let Some(part) = part {
            return Some(format!("a call of {}(), which has {part}", routine.name));
        }
    }
    None
}

const DYNAMIC: &str = "EXECUTE of a text";

/// A trigger's function, as far as it can be read.
enum Readable {
    Body(BodyText),
    /// It uses the columns that the trigger's arguments name.
    NamesColumns,
    /// It cannot be read, for this reason.
    Unknown(String),
}

fn body_of(scope: &Scope<'_>, trigger: &TriggerFacts) -> Readable {
    if trigger.is_provided {
        return match NAME_THEIR_COLUMNS.contains(&trigger.function_name.as_str()) {
            true => Readable::NamesColumns,
            false => Readable::Unknown("code that cannot be read".to_owned()),
        };
    }
    let Some(routine) = scope.facts.bodies.get(&trigger.function) else {
        return Readable::Unknown("a body that is not known".to_owned());
    };
    match &routine.body {
        Some(_) if !is_readable(routine) => {
            Readable::Unknown(format!("a body in {}", routine.language))
        }
        Some(text) => {
            let body = BodyText::parse(text);
            match body.is_dynamic() {
                true => Readable::Unknown(DYNAMIC.to_owned()),
                false => Readable::Body(body),
            }
        }
        None => Readable::Unknown("a body that is not known".to_owned()),
    }
}

fn is_readable(routine: &RoutineFacts) -> bool {
    matches!(routine.language.as_str(), "sql" | "plpgsql")
}

fn routine_words(routine: &RoutineFacts) -> String {
    format!("the function {}()", routine.name)
}

/// Returns whether a function may read the column: its body names one of the tables, and the column.
fn routine_reads(routine: &RoutineFacts, tables: &[ObjectName], column: &str) -> bool {
    let Some(text) = routine.body.as_deref() else {
        return false;
    };
    if !may_name(text, tables) {
        return false;
    }
    if !is_readable(routine) {
        return true;
    }
    let body = BodyText::parse(text);
    let is_named = tables.iter().any(|table| body.has_table(table));
    let is_whole = || body.use_of_tables(tables, &[]).is_some();
    (is_named && (body.has_name(column) || is_whole()))
        || (body.is_dynamic() && in_texts(&body, tables).is_some())
}

/// Returns a function that has rows of one of the tables as wholes, or a name that the new column would take.
fn routine_uses_rows(
    routine: &RoutineFacts,
    tables: &[ObjectName],
    column: &str,
) -> Option<String> {
    let words = routine_words(routine);
    let of_tables = || {
        let rows = routine.rows.iter();
        rows.filter(|one| tables.contains(&one.relation))
    };
    if let Some(row) = of_tables().find(|one| one.argument.is_none()) {
        return Some(format!("{words}, which returns rows of {}", row.relation));
    }
    let arguments: Vec<String> = of_tables()
        .filter_map(|one| one.argument.as_ref())
        .flat_map(|(number, name)| [format!("${number}"), name.clone()])
        .filter(|name| !name.is_empty())
        .collect();
    let is_polymorphic = || POLYMORPHIC.iter().any(|one| routine.types.contains(*one));
    if routine.name.name == column && (!arguments.is_empty() || is_polymorphic()) {
        return Some(format!("{words}, which is called as row.{column}"));
    }
    let text = routine.body.as_deref()?;
    if !is_readable(routine) {
        let is_of_rows = !arguments.is_empty() || may_name(text, tables);
        return is_of_rows.then(|| format!("{words} in {}", routine.language));
    }
    if arguments.is_empty() && !may_name(text, tables) && !may_be_dynamic(text) {
        return None;
    }
    let body = BodyText::parse(text);
    let part = body.use_of_tables(tables, &arguments).or_else(|| {
        let is_taken = body.has_bare_name_beside(tables, column);
        is_taken.then(|| format!("the name {column} beside the table"))
    });
    let part = part.or_else(|| body.is_dynamic().then(|| in_texts(&body, tables))?);
    part.map(|part| format!("{words}, which has {part}"))
}

/// Returns the part of a text that a body runs as a statement, if it is about the tables, or may be: about all
/// columns of a table that the text does not name.
fn in_texts(body: &BodyText, tables: &[ObjectName]) -> Option<String> {
    let mut texts = body.texts();
    texts.find_map(|text| {
        let is_named = tables.iter().any(|table| text.has_table(table));
        let part = text.use_of_any();
        let named = || is_named.then(|| DYNAMIC.to_owned());
        part.map(|part| format!("the text {part}")).or_else(named)
    })
}

/// Returns whether a text may have the name of one of the tables. Whether it has is seen by its words.
fn may_name(text: &str, tables: &[ObjectName]) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_in = |name: &str| lower.contains(&name.to_ascii_lowercase());
    tables.iter().any(|table| is_in(&table.name))
}

fn may_be_dynamic(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["execute", "dblink", "_to_xml", "ts_stat"]
        .iter()
        .any(|word| lower.contains(word))
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
    column_type.is_serial() || name.is_some_and(|name| scope.is_enum(&name))
}
