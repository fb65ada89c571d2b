//! Constraints that `ALTER TABLE` adds.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::draft::Draft;
use super::facts::IndexFacts;
use super::lock::LockMode;
use super::new_column::{UNNAMED, added};
use super::null_check;
use super::own_code;
use super::rules::{
    ADDING_FOREIGN_KEY, ADDING_NOT_NULL, ADDING_PRIMARY_KEY, BAN_NEW_WRITE_RESTRICTION,
    CONSTRAINT_MISSING_NOT_VALID, DISALLOWED_UNIQUE, UNKNOWN_STATEMENT,
};
use super::safe_form;
use super::scope::Scope;
use super::syntax::{child, child_name, columns, find, name_under, names_under, object_name};
use crate::migrations::statement::ObjectName;

const HAS_INDEX: &str = "a valid unique index demands it already";

/// Judges `ADD CONSTRAINT`.
pub(super) fn judge(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    use SyntaxKind as K;
    let Some(constraint) = action.children().next() else {
        draft.add(UNKNOWN_STATEMENT, action);
        return;
    };
    let is_enforced = find(&constraint, K::NOT_ENFORCED).is_none();
    if !is_enforced {
        let because = "a constraint that is not enforced checks no row";
        draft.dismiss(CONSTRAINT_MISSING_NOT_VALID, action, because);
        draft.dismiss(ADDING_FOREIGN_KEY, action, because);
        draft.dismiss(BAN_NEW_WRITE_RESTRICTION, action, because);
    }
    let mut mode = LockMode::AccessExclusive;
    match constraint.kind() {
        K::FOREIGN_KEY_CONSTRAINT => {
            mode = LockMode::ShareRowExclusive;
            let lasts = draft.is_found_to_last(action);
            if let Some(other) = child_name(&constraint, K::TABLE_NAME_REF) {
                draft.lock(&other, mode, lasts);
                // The writers of the other table wait, though this one has no user yet.
                if draft.scope.is_filled(table) && !draft.scope.is_new(&other) {
                    draft.tie(ADDING_FOREIGN_KEY, action, std::slice::from_ref(table));
                }
            }
            draft.dismiss(
                CONSTRAINT_MISSING_NOT_VALID,
                action,
                "adding-foreign-key-constraint says it",
            );
            let form = safe_form::not_valid(draft, table, action);
            draft.advise(ADDING_FOREIGN_KEY, action, form);
        }
        K::CHECK_CONSTRAINT => {
            let form = safe_form::not_valid(draft, table, action);
            draft.advise(CONSTRAINT_MISSING_NOT_VALID, action, form);
        }
        K::NOT_NULL_CONSTRAINT => {
            let column = columns(&constraint).into_iter().next().unwrap_or_default();
            let is_proved = draft.scope.is_proved_not_null(table, &column);
            if find(&constraint, K::NOT_VALID).is_none() && !is_proved {
                draft.add(ADDING_NOT_NULL, action);
                let form = safe_form::not_valid(draft, table, action);
                draft.advise(ADDING_NOT_NULL, action, form);
            }
            let because = "adding-not-nullable-field says it";
            draft.dismiss(CONSTRAINT_MISSING_NOT_VALID, action, because);
        }
        K::UNIQUE_CONSTRAINT => {
            let because = "disallowed-unique-constraint says it";
            draft.dismiss(CONSTRAINT_MISSING_NOT_VALID, action, because);
            let form = safe_form::unique(draft, table, action);
            draft.advise(DISALLOWED_UNIQUE, action, form);
            if known_index(draft, table, action).is_some() && !is_deferrable(action) {
                draft.dismiss(BAN_NEW_WRITE_RESTRICTION, action, HAS_INDEX);
                draft.fits_both = true;
            }
        }
        K::PRIMARY_KEY_CONSTRAINT => {
            let because = "adding-serial-primary-key-field says it";
            draft.dismiss(CONSTRAINT_MISSING_NOT_VALID, action, because);
            let form = safe_form::primary_key(draft, table, action);
            draft.advise(ADDING_PRIMARY_KEY, action, form);
            judge_primary_key(draft, table, action);
        }
        _ => {}
    }
    if is_met_by_new_columns(draft, table, action, &constraint) {
        draft.dismiss(BAN_NEW_WRITE_RESTRICTION, action, UNNAMED);
    }
    let lasts = draft.is_found_to_last(action);
    draft.lock(table, mode, lasts);
}

/// Returns whether a foreign key or a `CHECK` is about columns that the run adds, and that are NULL in
/// what the code that runs now writes: so it refuses no row of that code.
fn is_met_by_new_columns(
    draft: &Draft<'_>,
    table: &ObjectName,
    action: &SyntaxNode,
    constraint: &SyntaxNode,
) -> bool {
    use SyntaxKind as K;
    if own_code::in_expressions(draft.scope, constraint).is_some() {
        return false;
    }
    let columns = match constraint.kind() {
        K::FOREIGN_KEY_CONSTRAINT => {
            let list = child(constraint, K::FOREIGN_KEY_COLUMN_LIST);
            list.map(|list| columns(&list)).unwrap_or_default()
        }
        K::CHECK_CONSTRAINT => {
            if !null_check::accepts_null(constraint) {
                return false;
            }
            let names = names_under(constraint, &[K::NAME_REF]);
            names.into_iter().map(|name| name.name).collect()
        }
        _ => return false,
    };
    let is_null = |name: &String| added(draft, table, name, action) == Some(false);
    !columns.is_empty() && columns.iter().all(is_null)
}

/// A primary key makes its columns NOT NULL, which looks at all rows unless that is known.
fn judge_primary_key(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    if name_under(action, SyntaxKind::INDEX_REF).is_none() {
        return;
    }
    let is_proved = known_index(draft, table, action).is_some_and(|index| {
        let mut columns = index.columns.iter();
        columns.all(|column| draft.scope.is_proved_not_null(table, column))
    });
    if !is_proved {
        draft.add(ADDING_NOT_NULL, action);
    } else if !is_deferrable(action) {
        draft.dismiss(BAN_NEW_WRITE_RESTRICTION, action, HAS_INDEX);
        draft.fits_both = true;
    }
}

/// Returns whether a constraint makes its index one that `ON CONFLICT` does not take.
fn is_deferrable(action: &SyntaxNode) -> bool {
    let text = action.text().to_string().to_ascii_uppercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let says = |first: &str, second: &str| words.windows(2).any(|pair| pair == [first, second]);
    let is_named = words.contains(&"DEFERRABLE") && !says("NOT", "DEFERRABLE");
    is_named || says("INITIALLY", "DEFERRED")
}

/// Returns the valid unique index that the constraint uses, of before or of the run.
fn known_index<'a>(
    draft: &Draft<'a>,
    table: &ObjectName,
    action: &SyntaxNode,
) -> Option<&'a IndexFacts> {
    let name = name_under(action, SyntaxKind::INDEX_REF)?;
    let of_run = draft.scope.indexes_of_run(table);
    let known = draft.scope.relation(table);
    let mut indexes = known.into_iter().flat_map(|one| &one.indexes).chain(of_run);
    indexes.find(|one| one.name == name.name && one.is_unique && one.is_valid)
}

/// Records a `CHECK` that says that a column is not NULL, or the same constraint of Postgres 18.
pub(super) fn apply(scope: &mut Scope<'_>, table: &ObjectName, action: &SyntaxNode) {
    use SyntaxKind as K;
    let Some(constraint) = action.children().next() else {
        return;
    };
    let Some(name) = name_under(&constraint, K::CONSTRAINT_NAME) else {
        return;
    };
    let column = match constraint.kind() {
        K::NOT_NULL_CONSTRAINT => columns(&constraint).into_iter().next(),
        K::CHECK_CONSTRAINT => column_that_is_not_null(&constraint),
        _ => None,
    };
    if let Some(column) = column {
        let table = scope.resolve(table);
        scope.proofs.add_check(table, &name.name, &column);
    }
}

/// Returns the column of which a `CHECK` says that it is not NULL, and nothing else.
fn column_that_is_not_null(check: &SyntaxNode) -> Option<String> {
    let condition = child(check, SyntaxKind::BIN_EXPR)?;
    if find(check, SyntaxKind::NO_INHERIT).is_some() {
        return None;
    }
    let column = condition.children().next()?;
    let text = condition.text().to_string();
    let rest = text.trim().strip_prefix(column.text().to_string().trim())?;
    let words: Vec<_> = rest
        .split_whitespace()
        .map(str::to_ascii_uppercase)
        .collect();
    let says_it = column.kind() == SyntaxKind::NAME_REF && words == ["IS", "NOT", "NULL"];
    says_it.then(|| object_name(&column))?.map(|name| name.name)
}
