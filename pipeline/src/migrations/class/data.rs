//! Statements that read or change rows.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::draft::Draft;
use super::lock::LockMode;
use super::query;
use super::rules::{BACKFILL, DATA_CHANGE, RUNS_CODE, UNKNOWN_STATEMENT};
use super::scope::Scope;
use super::syntax::{child, child_name, columns, holds, name_under};
use crate::migrations::statement::ObjectName;

pub(super) fn is_query(kind: SyntaxKind) -> bool {
    use SyntaxKind as K;
    matches!(
        kind,
        K::SELECT
            | K::COMPOUND_SELECT
            | K::PAREN_SELECT
            | K::VALUES
            | K::TABLE
            | K::INSERT
            | K::UPDATE
            | K::DELETE
            | K::MERGE
    )
}

/// Judges the statement, with the changes that its `WITH` makes.
pub(super) fn judge(draft: &mut Draft<'_>, node: &SyntaxNode) {
    let mut changes = false;
    for part in node.descendants() {
        changes |= judge_part(draft, &part);
        if part.kind() == SyntaxKind::LOCKING_CLAUSE {
            draft.add(DATA_CHANGE, &part);
            for table in query::relations(node) {
                draft.lock(&table, LockMode::RowShare, false);
                draft.relax(&table);
            }
        }
    }
    query::lock_relations(draft, node);
    draft.is_long |= !query::relations(node).is_empty();
    if query::runs_code(draft.scope, node) {
        draft.add(RUNS_CODE, node);
    }
    draft.fits_both = !changes;
}

/// Judges a part that changes rows. Returns whether it does.
fn judge_part(draft: &mut Draft<'_>, part: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let (table, is_bounded) = match part.kind() {
        K::INSERT => {
            let table = child_name(part, K::RELATION_NAME_REF);
            if let Some(table) = &table {
                draft.lock(table, LockMode::RowExclusive, false);
                // The rows of VALUES are few, and those of a query are not known.
                let updates = holds(part, K::CONFLICT_DO_UPDATE_SET);
                if updates && child(part, K::VALUES).is_none() {
                    judge_change(draft, part, table, true);
                }
            }
            return !table.is_some_and(|table| draft.scope.is_new(&table));
        }
        K::UPDATE | K::DELETE => (
            child(part, K::RELATION_NAME)
                .as_ref()
                .and_then(|one| name_under(one, K::RELATION_NAME_REF)),
            child(part, K::WHERE_CLAUSE).is_some(),
        ),
        K::MERGE => (child_name(part, K::TABLE_RELATION_NAME), true),
        _ => return false,
    };
    match table {
        Some(table) => {
            judge_change(draft, part, &table, is_bounded);
            !draft.scope.is_new(&table)
        }
        None => {
            draft.add(UNKNOWN_STATEMENT, part);
            true
        }
    }
}

fn judge_change(draft: &mut Draft<'_>, part: &SyntaxNode, table: &ObjectName, is_bounded: bool) {
    use SyntaxKind as K;
    let scope = draft.scope;
    // Rows that reference the key are looked for, and may change too.
    let changes_keys = match part.kind() {
        K::UPDATE | K::INSERT => sets_key(scope, table, part),
        _ => true,
    };
    let is_small = scope.is_new(table) || scope.changes_few_rows(table, changes_keys);
    if !draft.scope.is_new(table) {
        draft.add(if is_bounded { DATA_CHANGE } else { BACKFILL }, part);
    }
    draft.lock(table, LockMode::RowExclusive, false);
    draft.is_long |= !is_small;
    if is_small {
        draft.relax(table);
    }
}

/// Returns whether the statement sets a column that a foreign key may reference.
fn sets_key(scope: &Scope<'_>, table: &ObjectName, part: &SyntaxNode) -> bool {
    let set = part
        .descendants()
        .filter(|one| one.kind() == SyntaxKind::SET_CLAUSE);
    let set: Vec<_> = set.flat_map(|clause| columns(&clause)).collect();
    let keys = scope.relation(table).map(|facts| facts.indexes.as_slice());
    let mut keys = keys.unwrap_or_default().iter().filter(|one| one.is_unique);
    keys.any(|key| key.columns.iter().any(|column| set.contains(column)))
}
