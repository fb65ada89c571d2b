//! `ALTER TABLE`, action by action.

use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use super::draft::{Draft, range_of};
use super::facts::{ConstraintFacts, ConstraintKind, RelationFacts, RelationKind};
use super::lock::LockMode;
use super::rules::{
    ADDING_FOREIGN_KEY, ALTERS_VIEW_OPTIONS, ATTACH_PARTITION, BAN_DROP_CONSTRAINT,
    BAN_NEW_WRITE_RESTRICTION, DETACH_PARTITION, INHERIT, REWRITE_TABLE, RUNS_CODE,
    UNKNOWN_STATEMENT,
};
use super::scope::Scope;
use super::syntax::{child, child_name, find, has_token, holds, name_under, object_name};
use super::{column, constraint, create, default_value, new_column, own_code, safe_form};
use crate::migrations::statement::ObjectName;

/// Judges the statement.
pub(super) fn judge(draft: &mut Draft<'_>, node: &SyntaxNode) {
    let Some(table) = child_name(node, SyntaxKind::TABLE_RELATION_NAME) else {
        // ALTER TABLE ALL IN TABLESPACE …
        draft.add(UNKNOWN_STATEMENT, node);
        return;
    };
    if child(node, SyntaxKind::IF_EXISTS).is_some()
        && draft.scope.is_unknown(&table)
        && !draft.scope.is_unresolvable(&table)
    {
        draft.dismiss_all("there is none of that name");
        draft.fits_both = true;
        return;
    }
    let is_new = draft.scope.is_new(&table);
    draft.drops_constraints = actions(node).any(|one| one.kind() == SyntaxKind::DROP_CONSTRAINT);
    let mut fits_both = true;
    for action in actions(node) {
        draft.fits_both = false;
        judge_action(draft, &table, &action);
        judge_kind(draft, &table, &action);
        fits_both &= draft.fits_both;
        draft.actions.push((range_of(&action), draft.fits_both));
    }
    draft.fits_both = fits_both;
    lock_children(draft, &table, node);
    if is_new {
        draft.accept_as_new();
        let mut dismissed = draft.dismissed.iter();
        let goes_through_rows = dismissed.any(|(rule, ..)| rule.is_about_duration);
        draft.is_long |= goes_through_rows && draft.scope.is_filled(&table);
    } else if draft.scope.is_of_run(&table) {
        draft.accept_as_unused();
    }
    draft.relax(&table);
    for action in actions(node) {
        judge_new_rows(draft, &table, &action);
    }
    if !(is_new || draft.scope.is_of_run(&table)) || draft.scope.was_written(&table) {
        judge_own_code(draft, &table, node);
    }
}

/// Adds a finding for each action that runs code which cannot be read on the rows that there are.
fn judge_own_code(draft: &mut Draft<'_>, table: &ObjectName, node: &SyntaxNode) {
    use SyntaxKind as K;
    for action in actions(node) {
        match action.kind() {
            K::ADD_COLUMN => own_code::judge_values(draft, &action),
            K::ALTER_COLUMN if find(&action, K::SET_TYPE).is_some() => {
                own_code::judge_values(draft, &action);
            }
            K::ADD_CONSTRAINT if find(&action, K::NOT_VALID).is_none() => {
                own_code::judge_expressions(draft, &action);
            }
            K::VALIDATE_CONSTRAINT => {
                if let Some(code) = code_of_constraint(draft.scope, table, &action) {
                    own_code::add(draft, &action, &code);
                }
            }
            _ => continue,
        }
        if draft.is_found(RUNS_CODE, &action) {
            draft.fits_both = false;
        }
    }
}

/// Returns the code that runs as a constraint of before is validated.
fn code_of_constraint(
    scope: &Scope<'_>,
    table: &ObjectName,
    action: &SyntaxNode,
) -> Option<String> {
    let name = child_name(action, SyntaxKind::CONSTRAINT_NAME_REF)?;
    let facts = scope.relation(table)?.constraint(&name.name)?;
    if facts.kind != ConstraintKind::Check {
        return None;
    }
    let statement = format!("ALTER TABLE t ADD {}", facts.definition);
    own_code::in_expressions(scope, &SourceFile::parse(&statement).syntax_node())
}

/// Records the new names, and constraints that prove a column.
pub(super) fn apply(scope: &mut Scope<'_>, node: &SyntaxNode) {
    let Some(table) = child_name(node, SyntaxKind::TABLE_RELATION_NAME) else {
        return;
    };
    for action in actions(node) {
        for column in default_value::restricted(&action) {
            scope.restrict(&table, &column);
        }
        match action.kind() {
            SyntaxKind::TABLE_RENAME_TO => {
                if let Some(to) = child_name(&action, SyntaxKind::TABLE_NAME) {
                    scope.rename(&table, &to);
                }
            }
            SyntaxKind::SET_SCHEMA => {
                if let Some(schema) = action.children().next().as_ref().and_then(object_name) {
                    let to = ObjectName::in_schema(schema.name, &table.name);
                    scope.rename(&table, &to);
                }
            }
            SyntaxKind::ADD_COLUMN => new_column::apply_new(scope, &table, &action),
            SyntaxKind::DROP_COLUMN | SyntaxKind::RENAME_COLUMN => {
                scope.proofs.forget(scope.resolve(&table));
                scope.forget_columns(&table);
            }
            SyntaxKind::DROP_CONSTRAINT if of_run(scope, &table, &action).is_some() => {
                if let Some(name) = of_run(scope, &table, &action) {
                    let table = scope.resolve(&table);
                    scope.proofs.drop_check(&table, &name);
                }
            }
            SyntaxKind::DROP_CONSTRAINT
            | SyntaxKind::RENAME_CONSTRAINT
            | SyntaxKind::ALTER_CONSTRAINT => scope.proofs.forget(scope.resolve(&table)),
            SyntaxKind::ALTER_COLUMN if holds(&action, SyntaxKind::DEFAULT_KW) => {
                if let Some(column) = child_name(&action, SyntaxKind::COLUMN_NAME_REF)
                    && scope.added_column(&table, &column.name).is_some()
                {
                    scope.add_column(&table, &column.name, true);
                }
            }
            SyntaxKind::ALTER_COLUMN if child(&action, SyntaxKind::SET_NOT_NULL).is_some() => {
                if let Some(column) = child_name(&action, SyntaxKind::COLUMN_NAME_REF) {
                    let table = scope.resolve(&table);
                    scope.proofs.set_not_null(table, &column.name);
                }
            }
            SyntaxKind::ALTER_COLUMN if changes_proofs(&action) => {
                scope.proofs.forget(scope.resolve(&table));
            }
            SyntaxKind::ADD_CONSTRAINT => constraint::apply(scope, &table, &action),
            SyntaxKind::VALIDATE_CONSTRAINT => {
                if let Some(name) = child_name(&action, SyntaxKind::CONSTRAINT_NAME_REF) {
                    scope.validate(&table, &name.name);
                }
            }
            _ => {}
        }
    }
}

/// Returns the name of a `CHECK` that the run added, and that the action drops.
fn of_run(scope: &Scope<'_>, table: &ObjectName, action: &SyntaxNode) -> Option<String> {
    let name = child_name(action, SyntaxKind::CONSTRAINT_NAME_REF)?.name;
    let is_of_run = scope.proofs.has_check(&scope.resolve(table), &name);
    is_of_run.then_some(name)
}

/// Returns whether a column may hold NULL after a change, or is another one.
fn changes_proofs(action: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let mut changes = action.children().map(|one| one.kind());
    changes.any(|kind| matches!(kind, K::DROP_NOT_NULL | K::SET_TYPE | K::DROP_EXPRESSION))
}

fn actions(node: &SyntaxNode) -> impl Iterator<Item = SyntaxNode> {
    node.children().filter(|one| {
        !matches!(
            one.kind(),
            SyntaxKind::TABLE_RELATION_NAME | SyntaxKind::IF_EXISTS
        )
    })
}

/// Returns whether an action sets an option that only views have.
fn sets_view_option(action: &SyntaxNode) -> bool {
    let text = action.text().to_string().to_ascii_lowercase();
    let of_views = ["check_option", "security_barrier", "security_invoker"];
    of_views.iter().any(|option| text.contains(option))
}

/// Judges an action on what is no table as `ALTER VIEW` and the like are judged.
fn judge_kind(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    let kind = draft.scope.relation(table).map(|facts| facts.kind);
    let rule = match kind {
        None | Some(RelationKind::Table) => return,
        Some(RelationKind::View) => ALTERS_VIEW_OPTIONS,
        Some(RelationKind::Other) => UNKNOWN_STATEMENT,
    };
    if !draft.is_found_any(action) {
        draft.add(rule, action);
        draft.fits_both = false;
    }
}

fn judge_action(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    use SyntaxKind as K;
    let exclusive = LockMode::AccessExclusive;
    match action.kind() {
        K::ADD_COLUMN => new_column::judge_new(draft, table, action),
        K::DROP_COLUMN
            if is_missing(draft, table, action, |facts, name| {
                facts.columns.contains_key(name)
            }) =>
        {
            draft.dismiss("ban-drop-column", action, "there is none of that name");
            draft.lock(table, exclusive, false);
        }
        K::ALTER_COLUMN => column::judge_change(draft, table, action),
        K::ADD_CONSTRAINT => constraint::judge(draft, table, action),
        K::VALIDATE_CONSTRAINT => validate_constraint(draft, table, action),
        K::DROP_CONSTRAINT => drop_constraint(draft, table, action),
        K::ALTER_CONSTRAINT => alter_constraint(draft, table, action),
        K::ATTACH_PARTITION => attach_partition(draft, table, action),
        K::DETACH_PARTITION => detach_partition(draft, table, action),
        K::SET_LOGGED
        | K::SET_UNLOGGED
        | K::SET_ACCESS_METHOD
        | K::SET_TABLESPACE
        | K::MERGE_PARTITIONS
        | K::SPLIT_PARTITION => {
            draft.add(REWRITE_TABLE, action);
            draft.lock(table, exclusive, true);
        }
        K::SET_OPTIONS
        | K::RESET_OPTIONS
        | K::CLUSTER_ON
        | K::SET_WITHOUT_CLUSTER
        | K::SET_WITHOUT_OIDS => {
            draft.lock(table, LockMode::ShareUpdateExclusive, false);
            // `ALTER TABLE` takes a view, too.
            match sets_view_option(action) {
                true => draft.add(ALTERS_VIEW_OPTIONS, action),
                false => draft.fits_both = true,
            }
        }
        K::ENABLE_TRIGGER
        | K::ENABLE_ALWAYS_TRIGGER
        | K::ENABLE_REPLICA_TRIGGER
        | K::DISABLE_TRIGGER => draft.lock(table, LockMode::ShareRowExclusive, false),
        K::INHERIT_TABLE => {
            draft.add(INHERIT, action);
            draft.lock(table, exclusive, false);
            lock_parent(draft, action);
        }
        K::NO_INHERIT_TABLE => {
            draft.lock(table, exclusive, false);
            if let Some(parent) = name_under(action, K::TABLE_NAME_REF) {
                draft.lock(&parent, LockMode::AccessShare, false);
            }
        }
        K::DROP_COLUMN
        | K::RENAME_COLUMN
        | K::TABLE_RENAME_TO
        | K::RENAME_CONSTRAINT
        | K::SET_SCHEMA
        | K::OWNER_TO
        | K::REPLICA_IDENTITY
        | K::ENABLE_RLS
        | K::DISABLE_RLS
        | K::FORCE_RLS
        | K::NO_FORCE_RLS
        | K::ENABLE_RULE
        | K::ENABLE_ALWAYS_RULE
        | K::ENABLE_REPLICA_RULE
        | K::DISABLE_RULE => {
            draft.lock(table, exclusive, false);
        }
        _ => {
            draft.add(UNKNOWN_STATEMENT, action);
            draft.lock(table, exclusive, true);
        }
    }
}

/// Records the locks on partitions and inheriting tables, if an action changes them too.
fn lock_children(draft: &mut Draft<'_>, table: &ObjectName, node: &SyntaxNode) {
    use SyntaxKind as K;
    let name = child(node, K::TABLE_RELATION_NAME);
    let is_alone = name.is_some_and(|name| has_token(&name, K::ONLY_KW));
    let recurses = actions(node).any(|action| {
        matches!(
            action.kind(),
            K::ADD_COLUMN
                | K::ALTER_COLUMN
                | K::DROP_COLUMN
                | K::RENAME_COLUMN
                | K::ADD_CONSTRAINT
                | K::DROP_CONSTRAINT
                | K::VALIDATE_CONSTRAINT
        )
    });
    let full = draft.scope.resolve(table);
    let lock = draft.locks.iter().find(|lock| lock.table == full).cloned();
    if let Some(lock) = lock
        && recurses
        && !is_alone
    {
        draft.lock_tree(table, lock.mode, lock.is_long);
    }
}

fn lock_parent(draft: &mut Draft<'_>, action: &SyntaxNode) {
    if let Some(parent) = name_under(action, SyntaxKind::TABLE_NAME_REF) {
        draft.lock(&parent, LockMode::ShareUpdateExclusive, false);
    }
}

fn known_constraint<'a>(
    draft: &Draft<'a>,
    table: &ObjectName,
    action: &SyntaxNode,
) -> Option<&'a ConstraintFacts> {
    let name = child_name(action, SyntaxKind::CONSTRAINT_NAME_REF)?;
    draft.scope.relation(table)?.constraint(&name.name)
}

/// Readers and writers go on, so that it fits anywhere but under another statement's lock.
fn validate_constraint(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    draft.lock(table, LockMode::ShareUpdateExclusive, true);
    draft.fits_both = true;
    draft.is_long = true;
    let known = known_constraint(draft, table, action);
    if let Some(other) = known.and_then(|one| one.references.clone()) {
        draft.lock(&other, LockMode::RowShare, false);
    }
}

/// Returns whether `IF EXISTS` is about a column or a constraint that the table, as it was before the
/// run, does not have. The run has not changed the table's columns and constraints since.
fn is_missing(
    draft: &Draft<'_>,
    table: &ObjectName,
    action: &SyntaxNode,
    has: impl Fn(&RelationFacts, &str) -> bool,
) -> bool {
    use SyntaxKind as K;
    let kinds = [K::COLUMN_NAME_REF, K::CONSTRAINT_NAME_REF];
    let name = kinds.iter().find_map(|kind| child_name(action, *kind));
    let scope = draft.scope;
    let full = scope.resolve(table);
    child(action, K::IF_EXISTS).is_some()
        && !scope.proofs.has_lost_any(&full)
        && name
            .zip(scope.relation(table))
            .is_some_and(|(name, facts)| {
                !has(facts, &name.name) && scope.added_column(table, &name.name).is_none()
            })
}

fn drop_constraint(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    draft.lock(table, LockMode::AccessExclusive, false);
    if is_missing(draft, table, action, |facts, name| {
        facts.constraint(name).is_some()
    }) {
        draft.dismiss(BAN_DROP_CONSTRAINT, action, "there is none of that name");
        return;
    }
    if of_run(draft.scope, table, action).is_some() {
        draft.dismiss(BAN_DROP_CONSTRAINT, action, "a CHECK of the same run");
        draft.fits_both = true;
        return;
    }
    let Some(known) = known_constraint(draft, table, action) else {
        return;
    };
    match known.kind {
        ConstraintKind::Check => {
            let because = "without a CHECK the code that runs now goes on";
            draft.dismiss(BAN_DROP_CONSTRAINT, action, because);
            // Its work may be done: SET NOT NULL follows it.
            draft.fits_both = known.definition.ends_with(" IS NOT NULL))");
        }
        ConstraintKind::ForeignKey => {
            if let Some(other) = known.references.clone() {
                draft.lock(&other, LockMode::AccessExclusive, false);
            }
            let because = "without a foreign key the code that runs now goes on";
            if !known.definition.contains(" ON ") {
                draft.dismiss(BAN_DROP_CONSTRAINT, action, because);
            }
        }
        _ => {
            if holds(action, SyntaxKind::CASCADE_KW) {
                let referencing = draft.scope.facts.referencing(&draft.scope.resolve(table));
                let referencing: Vec<ObjectName> = referencing.into_iter().cloned().collect();
                for other in referencing {
                    draft.lock(&other, LockMode::AccessExclusive, false);
                }
            }
        }
    }
}

/// Adds a finding where a table that has rows comes below one that the code that runs now reads.
fn judge_new_rows(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    let other = name_under(action, SyntaxKind::TABLE_NAME_REF);
    let (parent, child) = match (action.kind(), other) {
        (SyntaxKind::INHERIT_TABLE, Some(parent)) => (parent, table.clone()),
        (SyntaxKind::ATTACH_PARTITION, Some(partition)) => (table.clone(), partition),
        _ => return,
    };
    let scope = draft.scope;
    let is_unused = |name: &ObjectName| scope.is_new(name) || scope.is_of_run(name);
    if !is_unused(&parent) && (!is_unused(&child) || scope.was_written(&child)) {
        draft.add(INHERIT, action);
        draft.fits_both = false;
        for (range, fits_both) in &mut draft.actions {
            *fits_both &= *range != range_of(action);
        }
    }
}

fn attach_partition(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    draft.lock(table, LockMode::ShareUpdateExclusive, false);
    let Some(partition) = name_under(action, SyntaxKind::TABLE_NAME_REF) else {
        return;
    };
    let scope = draft.scope;
    let has_default = scope
        .relation(table)
        .is_some_and(|facts| facts.has_default_partition);
    let is_empty = scope.is_new(&partition) || scope.size(&partition).is_small();
    if !is_empty || has_default {
        draft.add(ATTACH_PARTITION, action);
        draft.tie(ATTACH_PARTITION, action, std::slice::from_ref(&partition));
    }
    draft.lock(&partition, LockMode::AccessExclusive, !is_empty);
    create::lock_tied_by_keys(draft, table);
    // Its rows, and those of a default partition, are checked; it gets the parent's indexes.
    let code = scope.code_of_key(table);
    if let Some(code) = code.or_else(|| scope.code_of_indexes(table)) {
        own_code::add(draft, action, &code);
    }
}

/// Rows that reference the partition are looked for, while the writers of their table wait.
fn detach_partition(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    let parent = match holds(action, SyntaxKind::CONCURRENTLY_KW) {
        true => LockMode::ShareUpdateExclusive,
        false => LockMode::AccessExclusive,
    };
    draft.lock(table, parent, false);
    if let Some(partition) = name_under(action, SyntaxKind::TABLE_NAME_REF) {
        draft.lock(&partition, LockMode::AccessExclusive, false);
    }
    let scope = draft.scope;
    let referencing = scope.facts.referencing(&scope.resolve(table)).into_iter();
    let referencing: Vec<ObjectName> = referencing.cloned().collect();
    for other in &referencing {
        let is_long = !scope.size(other).is_small();
        draft.lock(other, LockMode::AccessExclusive, is_long);
        if is_long {
            draft.add(DETACH_PARTITION, action);
            draft.tie(DETACH_PARTITION, action, std::slice::from_ref(other));
        }
    }
}

/// A foreign key that becomes `ENFORCED`, since Postgres 18, looks at all rows.
fn alter_constraint(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    use SyntaxKind as K;
    let known = known_constraint(draft, table, action);
    let is_foreign_key = known.is_none_or(|one| one.kind == ConstraintKind::ForeignKey);
    let other = known.and_then(|one| one.references.clone());
    if find(action, K::ENFORCED).is_some() {
        draft.add(ADDING_FOREIGN_KEY, action);
        let form = safe_form::enforced(draft, table, action, known);
        draft.advise(ADDING_FOREIGN_KEY, action, form);
        if let Some(other) = &other {
            draft.lock(other, LockMode::ShareRowExclusive, true);
        }
    } else if find(action, K::NOT_ENFORCED).is_some() {
        if is_foreign_key {
            let because = "without a foreign key the code that runs now goes on";
            draft.dismiss(BAN_DROP_CONSTRAINT, action, because);
            draft.dismiss(BAN_NEW_WRITE_RESTRICTION, action, because);
        }
        if let Some(other) = &other {
            draft.lock(other, LockMode::AccessExclusive, false);
        }
    } else if !draft.is_found_any(action) {
        // INHERIT gives the constraint to the tables below, whose rows are checked.
        draft.add(UNKNOWN_STATEMENT, action);
    }
    let lasts = draft.is_found_to_last(action);
    draft.lock(table, LockMode::AccessExclusive, lasts);
}
