//! Statements that read or change rows.

use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use super::draft::Draft;
use super::lock::LockMode;
use super::numbered;
use super::one_row::changes_one_row;
use super::own_code;
use super::query;
use super::rules::{BACKFILL, DATA_CHANGE, DELETES_ROWS, INHERIT, UNKNOWN_STATEMENT};
use super::scope::Scope;
use super::selection;
use super::syntax::{child, child_name, columns, find, holds, name_under};
use crate::migrations::statement::{ObjectName, Statement};

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
    let changes = judge_parts(draft, node);
    query::lock_relations(draft, node);
    draft.is_long |= query::may_take_long(node);
    if numbered::sets_to_largest(draft, node) {
        draft.fits_both = false;
        return;
    }
    own_code::judge_query(draft, node);
    draft.fits_both = !changes;
}

/// Judges the parts of a statement of any kind that change or lock rows. Returns whether one changes
/// them.
pub(super) fn judge_parts(draft: &mut Draft<'_>, node: &SyntaxNode) -> bool {
    let mut changes = false;
    for part in parts_that_run(node) {
        changes |= judge_part(draft, &part);
        if part.kind() == SyntaxKind::LOCKING_CLAUSE {
            draft.add(DATA_CHANGE, &part);
            let tables = query::relations(node);
            for table in &tables {
                draft.lock(table, LockMode::RowShare, false);
            }
            if tables
                .iter()
                .all(|table| draft.scope.size(table).is_small())
            {
                draft.relax_part(&part, "the tables are small");
            }
        }
    }
    changes
}

/// Returns the nodes of a statement that run with it: those of the body of a function or a rule run
/// later, and `EXPLAIN` only shows a plan.
pub(super) fn parts_that_run(node: &SyntaxNode) -> Vec<SyntaxNode> {
    use SyntaxKind as K;
    let runs_later = match node.kind() {
        K::CREATE_FUNCTION | K::CREATE_PROCEDURE | K::CREATE_RULE => true,
        K::EXPLAIN => !holds(node, K::ANALYZE_KW),
        _ => false,
    };
    if runs_later {
        return Vec::new();
    }
    let below = node.children().flat_map(|one| parts_that_run(&one));
    std::iter::once(node.clone()).chain(below).collect()
}

/// Returns whether a statement changes rows as it runs, whatever its kind.
pub(crate) fn changes_rows(statement: &Statement) -> bool {
    use SyntaxKind as K;
    let root = SourceFile::parse(&statement.text).syntax_node();
    let mut parts = parts_that_run(&root).into_iter().map(|one| one.kind());
    parts.any(|kind| matches!(kind, K::INSERT | K::UPDATE | K::DELETE | K::MERGE))
}

/// Judges a part that changes rows. Returns whether it does.
fn judge_part(draft: &mut Draft<'_>, part: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let (table, is_bounded) = match part.kind() {
        K::INSERT => {
            let table = child_name(part, K::RELATION_NAME_REF);
            if let Some(table) = &table {
                draft.lock(table, LockMode::RowExclusive, false);
                own_code::judge_write(draft, part, table, false);
                judge_references(draft, part, table);
                draft
                    .remarks
                    .extend(numbered::remark(draft.scope, part, table));
                if draft.scope.is_read_by_its_parent(table) {
                    draft.add(INHERIT, part);
                }
                if holds_keys(draft.scope, table, part) {
                    draft.add(BACKFILL, part);
                }
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
            child(part, K::WHERE_CLAUSE).is_some_and(|clause| !selection::is_constant(&clause)),
        ),
        K::MERGE => (child_name(part, K::TABLE_RELATION_NAME), true),
        _ => return false,
    };
    match table {
        Some(table) => {
            judge_change(draft, part, &table, is_bounded);
            if part.kind() == K::MERGE && draft.scope.is_read_by_its_parent(&table) {
                draft.add(INHERIT, part);
            }
            let deletes = match part.kind() {
                // No condition on values says that some rows stay, but that of one row's key.
                K::DELETE => !changes_one_row(draft.scope, &table, part, true),
                _ => find(part, K::MERGE_DELETE).is_some(),
            };
            if deletes && !draft.scope.is_new(&table) && !draft.scope.is_of_run(&table) {
                draft.add(DELETES_ROWS, part);
            }
            !draft.scope.is_new(&table)
        }
        None => {
            draft.add(UNKNOWN_STATEMENT, part);
            true
        }
    }
}

/// Records the locks of an `INSERT` on the rows that its own reference. It waits where a session has locked such a
/// row, and that session waits in its turn for what the file has locked.
fn judge_references(draft: &mut Draft<'_>, part: &SyntaxNode, table: &ObjectName) {
    let written = query::written_columns(part);
    for other in draft.scope.referenced_by_rows(table, written.as_deref()) {
        draft.lock(&other, LockMode::RowShare, false);
        draft.is_long = true;
    }
}

/// Returns whether an `INSERT` of all rows of a query writes unique keys of a table that others use: a session that
/// writes one of the same keys waits for the end of the statement.
fn holds_keys(scope: &Scope<'_>, table: &ObjectName, part: &SyntaxNode) -> bool {
    let is_of_others = !scope.is_new(table) && !scope.is_of_run(table);
    let is_bounded =
        find(part, SyntaxKind::WHERE_CLAUSE).is_some_and(|clause| !selection::is_constant(&clause));
    let is_of_many = child(part, SyntaxKind::VALUES).is_none()
        && !is_bounded
        && query::reads_many_rows(scope, part);
    is_of_others && is_of_many && writes_unique_keys(scope, table, part)
}

/// Returns whether an `INSERT` locks rows that its own reference, or keys, of a table that others use.
pub(super) fn holds_rows_of_insert(
    scope: &Scope<'_>,
    table: &ObjectName,
    part: &SyntaxNode,
) -> bool {
    let written = query::written_columns(part);
    let is_of_others = !scope.is_new(table) && !scope.is_of_run(table);
    !(scope.referenced_by_rows(table, written.as_deref())).is_empty()
        || (is_of_others && writes_unique_keys(scope, table, part))
}

/// Returns whether an `INSERT` writes a key of which there is one at the most.
fn writes_unique_keys(scope: &Scope<'_>, table: &ObjectName, part: &SyntaxNode) -> bool {
    let written = query::written_columns(part);
    let is_written = |column: &String| written.as_ref().is_none_or(|all| all.contains(column));
    let relation = scope.relation(table);
    let mut indexes = relation.iter().flat_map(|facts| &facts.indexes);
    indexes.any(|index| {
        let mut columns = index.columns.iter().chain(&index.computed_from);
        index.is_unique && columns.any(is_written)
    })
}

/// Records the tables that a query fills.
pub(super) fn apply(scope: &mut Scope<'_>, node: &SyntaxNode) {
    for part in parts_that_run(node) {
        let written = match part.kind() {
            SyntaxKind::INSERT => child_name(&part, SyntaxKind::RELATION_NAME_REF),
            SyntaxKind::MERGE => child_name(&part, SyntaxKind::TABLE_RELATION_NAME),
            _ => None,
        };
        if let Some(table) = written {
            scope.write(&table);
        }
        if part.kind() == SyntaxKind::INSERT
            && child(&part, SyntaxKind::VALUES).is_none()
            && query::reads_many_rows(scope, &part)
            && let Some(table) = child_name(&part, SyntaxKind::RELATION_NAME_REF)
        {
            scope.fill(&table);
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
    let is_unused = scope.is_new(table) || scope.is_of_run(table);
    let is_small = is_unused || scope.changes_few_rows(table, changes_keys);
    if !draft.scope.is_new(table) {
        draft.add(if is_bounded { DATA_CHANGE } else { BACKFILL }, part);
    }
    own_code::judge_write(draft, part, table, changes_keys);
    let is_one_row = changes_one_row(scope, table, part, changes_keys);
    if is_one_row {
        draft.dismiss(DATA_CHANGE, part, "its WHERE has the whole primary key");
    }
    draft.lock(table, LockMode::RowExclusive, false);
    draft.is_long |= scope.is_referenced_by_new(table);
    draft.is_long |= (!is_small || scope.is_filled(table)) && !is_one_row;
    if is_small {
        let because = format!("{} is small", scope.resolve(table));
        draft.relax_part(part, &because);
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
