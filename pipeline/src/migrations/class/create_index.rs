//! `CREATE INDEX`: what writers of the table wait for, and whether a later write may fail by it.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::default_value;
use super::draft::Draft;
use super::facts::IndexFacts;
use super::failing;
use super::lock::LockMode;
use super::long_values;
use super::own_code;
use super::rules::{BAN_NEW_WRITE_RESTRICTION, CONCURRENT_INDEX, UNKNOWN_STATEMENT};
use super::safe_form;
use super::scope::Scope;
use super::syntax::{child, child_name, has_token, holds};
use crate::migrations::statement::ObjectName;

/// Judges the statement.
pub(super) fn judge(draft: &mut Draft<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    let Some(table) = child_name(node, K::TABLE_RELATION_NAME) else {
        draft.add(UNKNOWN_STATEMENT, node);
        return;
    };
    if draft.scope.is_new(&table) {
        draft.accept_as_new();
        draft.is_long = draft.scope.is_filled(&table);
        if draft.scope.was_written(&table) {
            own_code::judge_expressions(draft, node);
        }
        return;
    }
    let index = child_name(node, K::INDEX);
    if child(node, K::IF_NOT_EXISTS).is_some()
        && let Some(index) = index
        && let Some(facts) = draft.scope.relation(&table)
        && facts
            .indexes
            .iter()
            .any(|one| one.name == index.name && one.is_valid)
    {
        draft.dismiss_all("the index exists");
        return;
    }
    let concurrently = has_token(node, K::CONCURRENTLY_KW);
    let mode = if concurrently {
        LockMode::ShareUpdateExclusive
    } else {
        LockMode::Share
    };
    let is_partitioned = draft
        .scope
        .relation(&table)
        .is_some_and(|one| one.is_partitioned);
    if is_partitioned && holds(node, K::ONLY_KW) {
        draft.lock(&table, mode, false);
        let because = "ONLY of a partitioned table builds nothing";
        draft.dismiss(CONCURRENT_INDEX, node, because);
        if draft.scope.is_of_run(&table) {
            draft.accept_as_unused();
        }
        return;
    }
    if let Some(part) = failing::part_of_index(draft.scope, node, &table) {
        draft.add(BAN_NEW_WRITE_RESTRICTION, node);
        let advice = format!(
            "the statement in an after file: {part} may fail, and then so does each write of such a row"
        );
        draft.advise(BAN_NEW_WRITE_RESTRICTION, node, Some(advice));
    }
    draft
        .remarks
        .extend(long_values::remark(draft.scope, node, &table));
    draft.lock_tree(&table, mode, true);
    draft.is_long = true;
    let form = safe_form::concurrent_index(draft, node, &table);
    draft.advise(CONCURRENT_INDEX, node, form);
    draft.relax(&table);
    if draft.scope.is_of_run(&table) {
        draft.accept_as_unused();
    }
}

/// Records the index. Returns the schema of its table.
pub(super) fn apply(scope: &mut Scope<'_>, node: &SyntaxNode, name: &ObjectName) -> Option<String> {
    use SyntaxKind as K;
    let table = child_name(node, K::TABLE_RELATION_NAME)?;
    let list = child(node, K::PARTITION_ITEM_LIST);
    let items = list.iter().flat_map(SyntaxNode::children);
    let columns: Option<Vec<_>> = items.map(|item| child_name(&item, K::NAME_REF)).collect();
    let columns = columns.unwrap_or_default().into_iter();
    let index = IndexFacts {
        name: name.name.clone(),
        is_unique: has_token(node, K::UNIQUE_KW),
        is_valid: true,
        columns: columns.map(|column| column.name).collect(),
        computed_from: Vec::new(),
        definition: None,
        code: None,
    };
    scope.create_index(&table, index);
    for column in default_value::restricted_by_index(node) {
        scope.restrict(&table, &column);
    }
    scope.resolve(&table).schema
}
