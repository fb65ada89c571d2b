//! The rows that a statement locks to the end of its file: another session that writes one of them waits so long.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::data;
use super::query;
use super::scope::Scope;
use super::syntax::{child_name, find};
use crate::migrations::statement::ObjectName;

/// Returns whether a statement locks rows, or keys, of tables that the code that runs now writes.
pub(super) fn are_held(scope: &Scope<'_>, node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let is_used = |table: &ObjectName| !scope.is_new(table) && !scope.is_of_run(table);
    data::parts_that_run(node)
        .iter()
        .any(|part| match part.kind() {
            K::INSERT => child_name(part, K::RELATION_NAME_REF)
                .is_some_and(|table| data::holds_rows_of_insert(scope, &table, part)),
            K::UPDATE | K::DELETE => find(part, K::RELATION_NAME)
                .and_then(|one| super::syntax::name_under(&one, K::RELATION_NAME_REF))
                .is_none_or(|table| is_used(&table)),
            K::MERGE => {
                child_name(part, K::TABLE_RELATION_NAME).is_none_or(|table| is_used(&table))
            }
            K::LOCKING_CLAUSE => true,
            _ => false,
        })
}

/// Returns whether a statement goes through many rows, or computes for a time that is not known.
pub(super) fn is_slow(scope: &Scope<'_>, node: &SyntaxNode, is_long: bool) -> bool {
    use SyntaxKind as K;
    let is_of_query = data::is_query(node.kind())
        || matches!(
            node.kind(),
            K::CREATE_TABLE_AS | K::SELECT_INTO | K::CREATE_MATERIALIZED_VIEW
        );
    match is_of_query {
        true => is_long && query::takes_time(scope, node),
        false => is_long,
    }
}
