//! Expressions that may fail for a row which the code that runs now writes.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::column_type::ColumnType;
use super::own_code;
use super::query;
use super::scope::Scope;
use super::syntax::{names_under, symbols};
use crate::migrations::statement::ObjectName;

/// Operators that fail for no value, but for one of an extreme size.
const NEVER_FAIL_OPERATORS: [&str; 39] = [
    "!=", "!~", "!~*", "!~~", "!~~*", "#>", "#>>", "&&", "->", "->>", "-|-", "<", "<<", "<=", "<>",
    "<@", "=", ">", ">=", ">>", "?", "?&", "?|", "@>", "@?", "@@", "@@@", "^@", "||", "~", "~*",
    "~<=~", "~<~", "~>=~", "~>~", "~~", "~~*", "&<", "&>",
];

/// Operators whose right side is a pattern, which a value of a column may be no valid one of.
const PATTERN_OPERATORS: [&str; 8] = ["!~", "!~*", "!~~", "!~~*", "~", "~*", "~~", "~~*"];

/// Immutable functions of Postgres that fail for no value, of those that indexes call.
const NEVER_FAIL: [&str; 25] = [
    "btrim",
    "char_length",
    "coalesce",
    "date_trunc",
    "greatest",
    "initcap",
    "jsonb_typeof",
    "least",
    "left",
    "length",
    "lower",
    "ltrim",
    "md5",
    "nullif",
    "num_nonnulls",
    "num_nulls",
    "octet_length",
    "reverse",
    "right",
    "rtrim",
    "setweight",
    "strpos",
    "to_tsvector",
    "trim",
    "upper",
];

/// Types to which each value has a form.
const TEXT_TYPES: [&str; 2] = ["text", "character varying"];

/// Returns the part of an index's expressions, of its `WHERE` or of its operator classes that may fail for
/// a row which the code that runs now writes.
pub(super) fn part_of_index(
    scope: &Scope<'_>,
    node: &SyntaxNode,
    table: &ObjectName,
) -> Option<String> {
    let classes = names_under(node, &[SyntaxKind::OP_CLASS_REF]).into_iter();
    let facts = scope.facts;
    let mut own = classes.filter(|name| facts.operator_classes.contains(&name.name));
    let of_class = own.next().map(|name| format!("the operator class {name}"));
    of_class.or_else(|| part(scope, node, table))
}

/// Returns the part of an expression that may fail for a row which the code that runs now writes. A column
/// that the run adds is NULL in such a row, and no operator of Postgres fails for it.
pub(super) fn part(scope: &Scope<'_>, node: &SyntaxNode, table: &ObjectName) -> Option<String> {
    if let Some(code) = own_code::in_expressions(scope, node) {
        return Some(code);
    }
    let is_new = |name: &ObjectName| scope.added_column(table, &name.name) == Some(false);
    let mut parts = node.descendants().filter(|part| fails(scope, part, table));
    let part = parts.find(|part| {
        let names = names_under(part, &[SyntaxKind::NAME_REF]);
        part.kind() == SyntaxKind::CALL_EXPR || !names.iter().all(is_new)
    })?;
    Some(part.text().to_string().trim().to_owned())
}

fn fails(scope: &Scope<'_>, part: &SyntaxNode, table: &ObjectName) -> bool {
    use SyntaxKind as K;
    match part.kind() {
        K::CAST_EXPR => {
            let to = part.children().last();
            let to = to.map(|to| ColumnType::parse(&to.text().to_string()).name);
            let is_text = to.is_some_and(|name| TEXT_TYPES.contains(&name.as_str()));
            !is_text || scope.code_of_reads(table).is_some()
        }
        K::BIN_EXPR | K::PREFIX_EXPR => {
            let symbols = symbols(part);
            let is_sign = part.kind() == K::PREFIX_EXPR && matches!(symbols.as_str(), "+" | "-");
            let is_pattern =
                PATTERN_OPERATORS.contains(&symbols.as_str()) || has_pattern_word(part);
            let right = part.children().last();
            let is_constant = right.is_some_and(|right| right.kind() == K::LITERAL);
            (is_pattern && !is_constant)
                || (!symbols.is_empty()
                    && !is_sign
                    && !NEVER_FAIL_OPERATORS.contains(&symbols.as_str()))
        }
        K::CALL_EXPR => query::function_name(part).is_some_and(|name| {
            let name = name.strip_prefix("pg_catalog.").unwrap_or(&name).to_owned();
            !NEVER_FAIL.contains(&name.as_str()) || scope.has_routine_named(&name)
        }),
        _ => false,
    }
}

/// Returns whether an expression compares with a pattern by a word: `a LIKE b`.
fn has_pattern_word(part: &SyntaxNode) -> bool {
    part.children_with_tokens().any(|one| {
        let text = match (one.as_node(), one.as_token()) {
            (Some(node), _) if node.kind() == SyntaxKind::OP => node.text().to_string(),
            (_, Some(token)) => token.text().to_owned(),
            _ => return false,
        };
        let words = text.to_lowercase();
        let mut words = words.split_whitespace();
        words.any(|word| matches!(word, "like" | "ilike" | "similar"))
    })
}
