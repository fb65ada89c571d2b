//! Indexes whose entries have a largest size, so that the write of a longer value fails.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::column_type::ColumnType;
use super::facts::{ColumnFacts, ConstraintKind, RelationFacts};
use super::query;
use super::scope::Scope;
use super::syntax::{child, child_name, name_under, names_under, symbols};
use crate::migrations::statement::ObjectName;

/// Functions whose result is as long as what they are called with.
const KEEPS_LENGTH: [&str; 9] = [
    "btrim", "coalesce", "initcap", "lower", "ltrim", "reverse", "rtrim", "trim", "upper",
];

/// Most bytes of a character.
const CHARACTER_BYTES: i64 = 4;

/// Returns what a reader of the plan should know about an index on values without a limit: with such
/// an index the code that runs now can write no value that is longer. That is no class of its own: most
/// columns of text have no such value, and nothing shows whether one has.
pub(super) fn remark(scope: &Scope<'_>, node: &SyntaxNode, table: &ObjectName) -> Option<String> {
    use SyntaxKind as K;
    let (method, most_bytes) = limit(node)?;
    let facts = scope.relation(table)?;
    // Those of INCLUDE, too.
    let items = node
        .descendants()
        .filter(|one| one.kind() == K::PARTITION_ITEM);
    let columns = items.flat_map(|item| columns_of(&item));
    let mut long: Vec<String> = Vec::new();
    for column in columns {
        let is_long = match facts.columns.get(&column) {
            Some(one) => may_be_longer(one, method, most_bytes),
            None => column.contains(">>") && method != "gin",
        };
        if is_long && !has_length_check(facts, &column) && !long.contains(&column) {
            long.push(column);
        }
    }
    if long.is_empty() {
        return None;
    }
    let names = long.join(", ");
    Some(format!(
        "an index of the method {method} takes no value of more than {most_bytes} bytes (compressed): where {names} \
         of {} may be longer, its write fails from then on. A CHECK of the length NOT VALID, or an index on \
         md5() of it, shows or avoids that",
        scope.resolve(table)
    ))
}

/// Returns the method of an index, and the size of its largest entry.
fn limit(node: &SyntaxNode) -> Option<(&'static str, i64)> {
    let method = name_under(node, SyntaxKind::ACCESS_METHOD_REF).map(|one| one.name);
    match method.as_deref().unwrap_or("btree") {
        "btree" => Some(("btree", 2704)),
        "gin" => Some(("gin", 2712)),
        "gist" => Some(("gist", 8152)),
        "brin" => Some(("brin", 8152)),
        // A hash has one size, and SP-GiST splits long values.
        _ => None,
    }
}

/// Returns the columns of a part of an index whose values are stored as long as they are.
fn columns_of(item: &SyntaxNode) -> Vec<String> {
    use SyntaxKind as K;
    if let Some(column) = child_name(item, K::NAME_REF) {
        return vec![column.name];
    }
    let expression = child(item, K::PAREN_EXPR).unwrap_or_else(|| item.clone());
    // A text of a document: data ->> 'k'.
    let text = child(&expression, K::BIN_EXPR)
        .filter(|one| matches!(symbols(one).as_str(), "->>" | "#>>"));
    if let Some(text) = text {
        return vec![text.text().to_string()];
    }
    let call = child(&expression, K::CALL_EXPR);
    let keeps = call.filter(|call| {
        let name = query::function_name(call);
        name.is_some_and(|name| KEEPS_LENGTH.contains(&name.as_str()))
    });
    let names = keeps.and_then(|call| child(&call, K::ARG_LIST));
    let names = names.map(|list| names_under(&list, &[K::NAME_REF]));
    names
        .unwrap_or_default()
        .into_iter()
        .map(|one| one.name)
        .collect()
}

fn may_be_longer(column: &ColumnFacts, method: &str, most_bytes: i64) -> bool {
    let spelled = column.type_name.as_str();
    // The values of an array are entries of their own.
    let (spelled, is_array) = match spelled.strip_suffix("[]") {
        Some(element) => (element, true),
        None => (spelled, false),
    };
    let parsed = ColumnType::parse(spelled);
    let has_limit = parsed
        .first_modifier()
        .is_some_and(|length| length.saturating_mul(CHARACTER_BYTES) <= most_bytes);
    let is_text = matches!(
        parsed.name.as_str(),
        "text" | "character varying" | "character" | "citext" | "bytea"
    );
    match method {
        // Of JSON and documents it has hashes and words.
        "gin" => is_array && is_text && !has_limit,
        "btree" => (is_text && !has_limit) || is_array || parsed.name == "jsonb",
        _ => is_text && !has_limit,
    }
}

/// Returns whether a constraint limits the length.
fn has_length_check(facts: &RelationFacts, column: &str) -> bool {
    facts.constraints.iter().any(|one| {
        one.kind == ConstraintKind::Check
            && one.columns.iter().any(|name| name == column)
            && one.definition.contains("length(")
    })
}
