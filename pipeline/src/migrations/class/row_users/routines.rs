//! The functions of a database: what their signatures and bodies do with the rows of a table.

use crate::migrations::class::body_text::BodyText;
use crate::migrations::class::seen_by::RoutineFacts;
use crate::migrations::statement::ObjectName;

/// A statement whose text is not known.
pub(super) const DYNAMIC: &str = "EXECUTE of a text";

/// Types of arguments for which any row is one.
const POLYMORPHIC: [&str; 6] = [
    "\"any\"",
    "anycompatible",
    "anycompatiblenonarray",
    "anyelement",
    "anynonarray",
    "record",
];

pub(super) fn is_readable(routine: &RoutineFacts) -> bool {
    matches!(routine.language.as_str(), "sql" | "plpgsql")
}

pub(super) fn routine_words(routine: &RoutineFacts) -> String {
    format!("the function {}()", routine.name)
}

/// Returns whether a function may read the column: its body names one of the tables, and the column.
pub(super) fn routine_reads(routine: &RoutineFacts, tables: &[ObjectName], column: &str) -> bool {
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
pub(super) fn routine_uses_rows(
    routine: &RoutineFacts,
    tables: &[ObjectName],
    column: &str,
) -> Option<String> {
    let words = routine_words(routine);
    let of_tables = || {
        let rows = routine.rows.iter();
        rows.filter(|one| tables.contains(&one.relation))
    };
    let result = of_tables().find(|one| one.argument.is_none());
    let returns = result.map(|row| format!("{words}, which returns rows of {}", row.relation));
    if result.is_some_and(|row| row.is_out) {
        return returns;
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
    let Some(text) = routine.body.as_deref() else {
        return returns;
    };
    if !is_readable(routine) {
        let is_of_rows = returns.is_some() || !arguments.is_empty() || may_name(text, tables);
        return is_of_rows.then(|| format!("{words} in {}", routine.language));
    }
    let is_about = returns.is_some() || !arguments.is_empty() || may_name(text, tables);
    if !is_about && !may_be_dynamic(text) {
        return None;
    }
    let body = BodyText::parse(text);
    if body.is_dynamic() && body.reads_catalog() {
        return Some(format!(
            "{words}, which builds a statement of the catalog's columns"
        ));
    }
    let result = result.map(|row| &row.relation);
    let own = body.own_rows(tables, result, routine.language == "sql");
    if returns.is_some() && !own.returns_own {
        return returns;
    }
    let body = own.rest;
    let rows: Vec<String> = arguments.into_iter().chain(own.rows).collect();
    let part = body.use_of_tables(tables, &rows).or_else(|| {
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
pub(super) fn may_name(text: &str, tables: &[ObjectName]) -> bool {
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
