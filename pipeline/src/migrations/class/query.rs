//! The tables and functions that a query uses.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::draft::Draft;
use super::lock::LockMode;
use super::rules::RUNS_CODE;
use super::scope::Scope;
use super::syntax::{child, names_under, object_name};
use crate::migrations::statement::ObjectName;

/// Functions of Postgres that change nothing, of those that migrations call often.
const HARMLESS: [&str; 67] = [
    "abs",
    "array_agg",
    "array_length",
    "array_to_string",
    "avg",
    "bool_and",
    "bool_or",
    "btrim",
    "cardinality",
    "ceil",
    "clock_timestamp",
    "coalesce",
    "concat",
    "concat_ws",
    "count",
    "currval",
    "date_trunc",
    "decode",
    "dense_rank",
    "encode",
    "exists",
    "floor",
    "format",
    "gen_random_uuid",
    "generate_series",
    "greatest",
    "json_agg",
    "json_build_object",
    "jsonb_agg",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_set",
    "lag",
    "lead",
    "least",
    "left",
    "length",
    "lower",
    "ltrim",
    "make_date",
    "max",
    "md5",
    "min",
    "nextval",
    "now",
    "nullif",
    "random",
    "rank",
    "regexp_replace",
    "replace",
    "right",
    "round",
    "row_number",
    "rtrim",
    "split_part",
    "string_agg",
    "string_to_array",
    "substr",
    "substring",
    "sum",
    "to_char",
    "to_date",
    "to_jsonb",
    "to_timestamp",
    "trim",
    "unnest",
    "upper",
];

/// Returns the tables that the query reads, without the names of its `WITH`.
pub(super) fn relations(node: &SyntaxNode) -> Vec<ObjectName> {
    let own = names_under(node, &[SyntaxKind::CTE_NAME]);
    let items = node
        .descendants()
        .filter(|one| one.kind() == SyntaxKind::RELATION_FROM_ITEM);
    let names = items.filter_map(|item| {
        child(&item, SyntaxKind::RELATION_NAME_REF)
            .or_else(|| super::syntax::find(&item, SyntaxKind::RELATION_NAME_REF))
            .as_ref()
            .and_then(object_name)
    });
    names.filter(|name| !own.contains(name)).collect()
}

/// Returns whether the rows of a query may be many: it reads a table that is not small, or counts.
pub(super) fn reads_many_rows(scope: &Scope<'_>, node: &SyntaxNode) -> bool {
    let mut tables = relations(node).into_iter();
    tables.any(|table| !scope.size(&table).is_small())
        || called(node).iter().any(|name| name == "generate_series")
}

/// Records the locks of a reader.
pub(super) fn lock_relations(draft: &mut Draft<'_>, node: &SyntaxNode) {
    for name in relations(node) {
        draft.lock(&name, LockMode::AccessShare, false);
    }
}

/// Returns the called functions, in lower case and without `pg_catalog`. Forms with keywords, such as
/// `EXISTS` and `EXTRACT`, are left out.
pub(super) fn called(node: &SyntaxNode) -> Vec<String> {
    let calls = node
        .descendants()
        .filter(|one| one.kind() == SyntaxKind::CALL_EXPR);
    let names = calls.filter_map(|call| function_name(&call));
    let last = names.map(|name| match name.rsplit_once('.') {
        Some((_, last)) => last.trim().trim_matches('"').to_owned(),
        None => name,
    });
    last.collect()
}

/// Returns the name of a called function as it is spelled, in lower case.
pub(super) fn function_name(call: &SyntaxNode) -> Option<String> {
    let function = call.children().next()?;
    let is_name = matches!(
        function.kind(),
        SyntaxKind::NAME_REF | SyntaxKind::FIELD_EXPR
    );
    let name = function.text().to_string().to_ascii_lowercase();
    is_name.then(|| name.trim().to_owned())
}

/// Returns whether a function of Postgres of this name changes nothing.
pub(super) fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(&name)
}

/// Adds a finding where the query calls a function that may do anything: one that is not known, or that
/// has the name of one of the database's own.
pub(super) fn judge_calls(draft: &mut Draft<'_>, node: &SyntaxNode) {
    if let Some(function) = unknown_function(draft.scope, node) {
        add_code(draft, node, &function);
    }
}

/// Adds the finding of code that cannot be read, under its name: `the function sync()`.
pub(super) fn add_code(draft: &mut Draft<'_>, node: &SyntaxNode, code: &str) {
    draft.add(RUNS_CODE, node);
    let advice = format!("plain statements; or read {code}, then override the rule");
    draft.advise(RUNS_CODE, node, Some(advice));
}

/// Returns the first function that may do anything, as `the function sync()`.
pub(super) fn unknown_function(scope: &Scope<'_>, node: &SyntaxNode) -> Option<String> {
    let mut calls = node
        .descendants()
        .filter(|one| one.kind() == SyntaxKind::CALL_EXPR);
    calls.find_map(|call| {
        let Some(function) = call.children().next() else {
            return Some("the function".to_owned());
        };
        let called = function.text().to_string();
        let is_unknown = match function.kind() {
            SyntaxKind::NAME_REF | SyntaxKind::FIELD_EXPR => {
                let name = called.to_ascii_lowercase();
                match name.strip_prefix("pg_catalog.") {
                    Some(name) => !HARMLESS.contains(&name.trim()),
                    None => {
                        let name = name.trim();
                        !HARMLESS.contains(&name) || scope.has_routine_named(name)
                    }
                }
            }
            // Forms with keywords: EXISTS, EXTRACT, SUBSTRING.
            _ => false,
        };
        is_unknown.then(|| format!("the function {}()", called.trim()))
    })
}
