//! Statements that drop objects.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::draft::Draft;
use super::lock::LockMode;
use super::rules::{DROP_OBJECT, DROP_OWNED, SHARED_OBJECT};
use super::safe_form;
use super::scope::Scope;
use super::syntax::{holds, name_under, names_under};
use crate::migrations::statement::ObjectName;

pub(super) fn is_drop(kind: SyntaxKind) -> bool {
    format!("{kind:?}").starts_with("DROP_")
}

/// Judges the statement.
pub(super) fn judge(draft: &mut Draft<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    let names = dropped(node);
    if node.kind() == K::DROP_STATISTICS {
        draft.fits_both = true;
        return;
    }
    match node.kind() {
        K::DROP_OWNED => draft.add(DROP_OWNED, node),
        K::DROP_ROLE | K::DROP_USER | K::DROP_GROUP => draft.add(SHARED_OBJECT, node),
        _ if draft.found.is_empty() => draft.add(DROP_OBJECT, node),
        _ => {}
    }
    match node.kind() {
        K::DROP_TABLE | K::DROP_VIEW | K::DROP_MATERIALIZED_VIEW | K::DROP_FOREIGN_TABLE => {
            for name in &names {
                relation(draft, name, holds(node, K::CASCADE_KW));
            }
            if holds(node, K::IF_EXISTS) && names.iter().all(|name| is_missing(draft, name)) {
                draft.dismiss_all("there is none of that name");
                draft.locks.clear();
            }
        }
        K::DROP_INDEX => index(draft, node, &names),
        K::DROP_FUNCTION | K::DROP_PROCEDURE if holds(node, K::IF_EXISTS) => {
            let scope = draft.scope;
            let is_missing = |name: &ObjectName| !scope.has_routine_named(&name.name);
            if scope.facts.is_known() && names.iter().all(is_missing) {
                draft.dismiss_all("there is none of that name");
            }
        }
        K::DROP_TYPE | K::DROP_DOMAIN | K::DROP_SEQUENCE if holds(node, K::IF_EXISTS) => {
            let scope = draft.scope;
            let is_gone = |name: &ObjectName| is_missing(draft, name) && !scope.has_type(name);
            if names.iter().all(is_gone) {
                draft.dismiss_all("there is none of that name");
            }
        }
        K::DROP_TRIGGER | K::DROP_RULE | K::DROP_POLICY => {
            let table = name_under(node, K::RELATION_NAME_REF)
                .or_else(|| name_under(node, K::TABLE_NAME_REF));
            if let Some(table) = table {
                let scope = draft.scope;
                let is_conditional = holds(node, K::IF_EXISTS);
                if is_conditional && is_missing(draft, &table) && !scope.is_of_run(&table) {
                    draft.dismiss_all("there is no table of that name");
                    return;
                }
                let known = scope.relation(&table).filter(|_| is_conditional);
                if node.kind() == K::DROP_TRIGGER && known.is_some_and(|facts| !facts.has_triggers)
                {
                    draft.dismiss_all("the table has no trigger");
                }
                draft.lock(&table, LockMode::AccessExclusive, false);
                if draft.scope.is_new(&table) {
                    draft.accept_as_new();
                }
            }
        }
        _ => {}
    }
    let is_new = |name: &ObjectName| match is_routine(node.kind()) {
        true => draft.scope.is_new_routine(name),
        false => draft.scope.is_new(name),
    };
    if !names.is_empty() && names.iter().all(is_new) {
        draft.accept_as_new();
    }
}

fn is_routine(kind: SyntaxKind) -> bool {
    matches!(kind, SyntaxKind::DROP_FUNCTION | SyntaxKind::DROP_PROCEDURE)
}

/// Records that the objects are gone.
pub(super) fn apply(scope: &mut Scope<'_>, node: &SyntaxNode) {
    for name in dropped(node) {
        // Of a function there may be others, for which the name stays.
        match is_routine(node.kind()) {
            true => scope.drop_routine(&name),
            false => scope.drop(&name),
        }
    }
}

fn dropped(node: &SyntaxNode) -> Vec<ObjectName> {
    use SyntaxKind as K;
    let kinds: &[SyntaxKind] = match node.kind() {
        K::DROP_TABLE | K::DROP_FOREIGN_TABLE => &[K::TABLE_NAME_REF],
        K::DROP_VIEW | K::DROP_MATERIALIZED_VIEW => &[K::VIEW_REF],
        K::DROP_INDEX => &[K::INDEX_REF],
        K::DROP_TYPE => &[K::TYPE_NAME_REF],
        K::DROP_DOMAIN => &[K::DOMAIN_REF],
        K::DROP_SEQUENCE => &[K::SEQUENCE_REF],
        K::DROP_FUNCTION => &[K::FUNCTION_NAME_REF],
        K::DROP_PROCEDURE => &[K::PROCEDURE_NAME_REF],
        _ => return Vec::new(),
    };
    names_under(node, kinds)
}

fn is_missing(draft: &Draft<'_>, name: &ObjectName) -> bool {
    let scope = draft.scope;
    scope.facts.is_known()
        && !scope.is_unresolvable(name)
        && scope.relation(name).is_none()
        && !scope.is_new(name)
}

/// A dropped table's foreign keys take their triggers off the tables at the other end.
fn relation(draft: &mut Draft<'_>, name: &ObjectName, cascades: bool) {
    draft.lock_tree(name, LockMode::AccessExclusive, false);
    let scope = draft.scope;
    let referenced = scope
        .relation(name)
        .into_iter()
        .flat_map(|facts| &facts.constraints);
    let referenced = referenced.filter_map(|one| one.references.clone());
    let mut others: Vec<ObjectName> = referenced.collect();
    if cascades {
        let referencing = scope.facts.referencing(&scope.resolve(name));
        others.extend(referencing.into_iter().cloned());
    }
    for other in others {
        draft.lock(&other, LockMode::AccessExclusive, false);
    }
}

fn index(draft: &mut Draft<'_>, node: &SyntaxNode, names: &[ObjectName]) {
    let concurrently = holds(node, SyntaxKind::CONCURRENTLY_KW);
    let mode = if concurrently {
        LockMode::ShareUpdateExclusive
    } else {
        LockMode::AccessExclusive
    };
    let mut is_needed = false;
    for name in names {
        let full = draft.scope.resolve_index(name);
        let table = full
            .as_ref()
            .and_then(|index| draft.scope.facts.table_of_index(index));
        let Some(table) = table.cloned() else {
            let is_missing = draft.scope.facts.is_known()
                && holds(node, SyntaxKind::IF_EXISTS)
                && !draft.scope.is_unresolvable(name);
            is_needed |= !draft.scope.is_new(name) && !is_missing;
            continue;
        };
        draft.lock(&table, mode, false);
        let indexes = draft
            .scope
            .relation(&table)
            .map(|facts| facts.indexes.as_slice());
        let known = indexes
            .unwrap_or_default()
            .iter()
            .find(|one| one.name == name.name);
        is_needed |= known.is_none_or(|one| one.is_valid);
    }
    let form = safe_form::drop_index(draft, node);
    draft.advise("require-concurrent-index-deletion", node, form);
    if !is_needed {
        draft.dismiss_all("no query uses an index that is invalid or missing");
    }
}
