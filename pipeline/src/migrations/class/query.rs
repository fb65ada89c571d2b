//! The tables and functions that a query uses.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::builtin::is_harmless_function;
use super::draft::Draft;
use super::lock::LockMode;
use super::scope::Scope;
use super::syntax::{child, find, holds, names_under, object_name, symbols};
use crate::migrations::statement::ObjectName;

/// Returns the tables that the query reads, without the names of its `WITH`.
pub(super) fn relations(node: &SyntaxNode) -> Vec<ObjectName> {
    let own = names_under(node, &[SyntaxKind::CTE_NAME]);
    let names = names_read(node).into_iter();
    names.filter(|name| !own.contains(name)).collect()
}

/// Returns the names that the query reads from, also those of its `WITH`: outside of its scope such a name
/// may be a table's.
pub(super) fn names_read(node: &SyntaxNode) -> Vec<ObjectName> {
    use SyntaxKind as K;
    let items = node
        .descendants()
        .filter(|one| matches!(one.kind(), K::RELATION_FROM_ITEM | K::TABLE));
    let names = items.filter_map(|item| {
        child(&item, K::RELATION_NAME_REF)
            .or_else(|| find(&item, K::RELATION_NAME_REF))
            .or_else(|| find(&item, K::RELATION_NAME))
            .as_ref()
            .and_then(object_name)
    });
    names.collect()
}

/// Functions of one value each, which take no time that depends on it but for its length.
const QUICK: [&str; 45] = [
    "btrim",
    "char_length",
    "clock_timestamp",
    "coalesce",
    "concat",
    "concat_ws",
    "currval",
    "current_setting",
    "date_trunc",
    "decode",
    "encode",
    "format",
    "gen_random_uuid",
    "greatest",
    "initcap",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "lastval",
    "least",
    "left",
    "length",
    "lower",
    "ltrim",
    "make_date",
    "make_interval",
    "make_timestamp",
    "make_timestamptz",
    "md5",
    "nextval",
    "now",
    "nullif",
    "octet_length",
    "pg_get_serial_sequence",
    "right",
    "rtrim",
    "set_config",
    "setval",
    "statement_timestamp",
    "to_date",
    "to_regclass",
    "to_timestamp",
    "transaction_timestamp",
    "upper",
];

/// Operators that take no time that depends on a value but for its length.
const QUICK_OPERATORS: [&str; 12] = [
    "+", "-", "*", "/", "||", "=", "<>", "!=", "<", "<=", ">", ">=",
];

/// Returns whether the rows of a query may be many: it reads a table that is not small, or makes rows.
pub(super) fn reads_many_rows(scope: &Scope<'_>, node: &SyntaxNode) -> bool {
    let mut tables = relations(node).into_iter();
    tables.any(|table| !scope.size(&table).is_small()) || may_compute_long(node)
}

/// Returns whether a query may take its time: it reads a table, or computes what is not known to be short.
pub(super) fn may_take_long(node: &SyntaxNode) -> bool {
    !relations(node).is_empty() || may_compute_long(node)
}

/// Returns whether a query may take its time without a table: it has functions in its `FROM`, a recursion,
/// a join, or a function or an operator that is not known to be quick.
fn may_compute_long(node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let is_item =
        |kind: K| matches!(kind, K::JSON_TABLE) || format!("{kind:?}").ends_with("_FROM_ITEM");
    let is_of_table = |kind: K| kind == K::RELATION_FROM_ITEM;
    let mut items: Vec<K> = node.descendants().map(|one| one.kind()).collect();
    items.retain(|kind| is_item(*kind));
    let joins = items.len() > 1 && !items.iter().all(|kind| is_of_table(*kind));
    let makes_rows = !items
        .iter()
        .all(|kind| is_of_table(*kind) || *kind == K::PAREN_FROM_ITEM);
    let is_slow = |one: SyntaxNode| match one.kind() {
        K::CALL_EXPR => function_name(&one).is_some_and(|name| {
            let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
            !QUICK.contains(&name)
        }),
        K::BIN_EXPR | K::PREFIX_EXPR => {
            let symbols = symbols(&one);
            !symbols.is_empty() && !QUICK_OPERATORS.contains(&symbols.as_str())
        }
        _ => false,
    };
    joins || makes_rows || holds(node, K::RECURSIVE_KW) || node.descendants().any(is_slow)
}

/// Returns whether a query goes through many rows, or computes for a time that is not known: it reads a table that is
/// not small, makes rows, or calls what does more than to compute.
pub(super) fn takes_time(scope: &Scope<'_>, node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let mut tables = relations(node).into_iter();
    let makes_rows = |kind: K| {
        let is_item = matches!(kind, K::JSON_TABLE) || format!("{kind:?}").ends_with("_FROM_ITEM");
        is_item && !matches!(kind, K::RELATION_FROM_ITEM | K::PAREN_FROM_ITEM)
    };
    let quick = |name: &String| {
        QUICK.contains(&name.as_str()) || (is_harmless_function(name) && name != "generate_series")
    };
    tables.any(|table| !scope.size(&table).is_small())
        || node.descendants().any(|one| makes_rows(one.kind()))
        || holds(node, K::RECURSIVE_KW)
        || !called(node).iter().all(quick)
}

/// Returns the columns that an `INSERT` lists; `None` where it lists none.
pub(super) fn written_columns(part: &SyntaxNode) -> Option<Vec<String>> {
    let list = child(part, SyntaxKind::COLUMN_TARGET_LIST)?;
    let kinds = [
        SyntaxKind::COLUMN_NAME_REF,
        SyntaxKind::COLUMN_NAME,
        SyntaxKind::NAME_REF,
    ];
    let names = names_under(&list, &kinds).into_iter();
    Some(names.map(|name| name.name).collect())
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

/// Returns the arguments of a call, without their names.
pub(super) fn arguments(call: &SyntaxNode) -> Vec<SyntaxNode> {
    let list = call
        .children()
        .filter(|one| one.kind() == SyntaxKind::ARG_LIST);
    let arguments = list.flat_map(|list| list.children().collect::<Vec<_>>());
    let arguments = arguments.map(|one| match one.kind() {
        SyntaxKind::ARG => one.children().last().unwrap_or(one),
        _ => one,
    });
    arguments.collect()
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
