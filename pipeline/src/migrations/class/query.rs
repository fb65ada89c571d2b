//! The tables and functions that a query uses.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::draft::Draft;
use super::lock::LockMode;
use super::scope::Scope;
use super::syntax::{child, find, names_under, object_name};
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
