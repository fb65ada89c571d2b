//! Columns that `ALTER TABLE` changes.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::column_type::ColumnType;
use super::default_value;
use super::draft::Draft;
use super::facts::{ConstraintKind, RelationFacts};
use super::lock::LockMode;
use super::new_column::{UNNAMED, added, is_null};
use super::row_users;
use super::rules::{
    ADDING_NOT_NULL, BAN_DROP_DEFAULT, BAN_NEW_WRITE_RESTRICTION, BAN_SET_DEFAULT, CHANGES_TYPE,
    CHANGING_COLUMN_TYPE, REWRITE_TABLE, UNKNOWN_STATEMENT,
};
use super::safe_form;
use super::syntax::{child, child_name, is_type, name_under};
use crate::migrations::statement::ObjectName;

/// The length of a text up to which an index has room for it: a btree takes values of 2,704 bytes.
const SHORT: u32 = 600;

/// Judges `SET DEFAULT`, by which an `INSERT` of the code that runs now may write another value.
fn judge_new_default(
    draft: &mut Draft<'_>,
    table: &ObjectName,
    column: &str,
    action: &SyntaxNode,
    change: &SyntaxNode,
) {
    let rule = if is_null(change) {
        draft.dismiss(BAN_SET_DEFAULT, action, "ban-drop-default says it");
        BAN_DROP_DEFAULT
    } else {
        BAN_SET_DEFAULT
    };
    draft.add(rule, action);
    let seen = row_users::of_values(draft.scope, table, column);
    if let Some(words) = &seen {
        let advice = format!("the statement in an after file: {words} looks at the column");
        draft.advise(rule, action, Some(advice));
    }
    if added(draft, table, column, action).is_some() {
        let is_accepted = || default_value::is_accepted(draft.scope, table, column, action, change);
        if seen.is_none() && is_accepted() {
            draft.dismiss(rule, action, UNNAMED);
        }
        return;
    }
    let Some(relation) = draft.scope.relation(table) else {
        return;
    };
    let indexes = &relation.indexes;
    let Some(facts) = relation.columns.get(column) else {
        return;
    };
    let value = change.children().next();
    let is_short = |value: &SyntaxNode| {
        let mut indexes = indexes.iter();
        value.text().len() <= SHORT.into()
            || !indexes.any(|one| one.columns.iter().any(|name| name == column))
    };
    let is_taken = is_null(change)
        || value.filter(is_short).is_some_and(|value| {
            default_value::takes(draft.scope, table, &facts.type_name, &value)
        });
    if !facts.has_default && seen.is_none() && is_taken {
        let because = "the column has no default, and nothing that sees a row refuses the value";
        draft.dismiss(rule, action, because);
    }
}

/// Judges `ALTER COLUMN`.
pub(super) fn judge_change(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    use SyntaxKind as K;
    let exclusive = LockMode::AccessExclusive;
    let Some(column) = child_name(action, K::COLUMN_NAME_REF) else {
        draft.add(UNKNOWN_STATEMENT, action);
        return;
    };
    let change = action
        .children()
        .find(|one| one.kind() != K::COLUMN_NAME_REF);
    let Some(change) = change else {
        draft.add(UNKNOWN_STATEMENT, action);
        return;
    };
    match change.kind() {
        K::SET_TYPE => judge_type(draft, table, &column.name, &change),
        K::SET_NOT_NULL => {
            let is_proved = draft.scope.is_proved_not_null(table, &column.name);
            if is_proved && !draft.drops_constraints {
                let because = "a validated constraint proves that no row is NULL";
                draft.dismiss(ADDING_NOT_NULL, action, because);
                draft.dismiss(BAN_NEW_WRITE_RESTRICTION, action, because);
                draft.fits_both = true;
            }
            let form = safe_form::not_null(draft, table, action);
            draft.advise(ADDING_NOT_NULL, action, form);
        }
        K::SET_STATISTICS | K::SET_OPTIONS | K::SET_OPTIONS_LIST | K::RESET_OPTIONS => {
            draft.fits_both = true;
            draft.lock(table, LockMode::ShareUpdateExclusive, false);
            return;
        }
        K::SET_DEFAULT => judge_new_default(draft, table, &column.name, action, &change),
        // A long value of PLAIN has to fit a page, which a later write may not do.
        K::SET_STORAGE if change.text().to_string().to_lowercase().ends_with("plain") => {
            draft.add(BAN_NEW_WRITE_RESTRICTION, action);
        }
        K::SET_STORAGE | K::SET_COMPRESSION => draft.fits_both = true,
        K::SET_EXPRESSION => draft.add(REWRITE_TABLE, action),
        K::DROP_NOT_NULL
        | K::DROP_DEFAULT
        | K::DROP_EXPRESSION
        | K::ADD_GENERATED
        | K::DROP_IDENTITY
        | K::SET_GENERATED
        | K::SET_GENERATED_OPTIONS
        | K::RESTART
        | K::SET_SEQUENCE_OPTION => {}
        _ => draft.add(UNKNOWN_STATEMENT, action),
    }
    let lasts = draft.is_found_to_last(action);
    draft.lock(table, exclusive, lasts);
}

fn judge_type(draft: &mut Draft<'_>, table: &ObjectName, column: &str, change: &SyntaxNode) {
    let Some(type_node) = change.children().find(|one| is_type(one.kind())) else {
        return;
    };
    let to = ColumnType::parse(&type_node.text().to_string());
    let known = draft.scope.relation(table);
    let from = known.and_then(|facts| facts.columns.get(column));
    let from = from.map(|facts| ColumnType::parse(&facts.type_name));
    let Some(from) = from else {
        return;
    };
    if from.name != to.name && !from.widens_to(&to) {
        draft.add(CHANGES_TYPE, change);
    } else if from != to
        && let Some(words) = type_users(draft, table, column, &from, &to)
    {
        draft.add(CHANGES_TYPE, change);
        let advice = format!("the statement in an after file: {words} may need the old type");
        draft.advise(CHANGES_TYPE, change, Some(advice));
    }
    let scope = draft.scope;
    let full = scope.resolve(table);
    let below = scope.facts.descendants(&full);
    let below = below
        .iter()
        .filter_map(|one| scope.facts.relations.get(one));
    let tree: Vec<&RelationFacts> = known.into_iter().chain(below).collect();
    let is_column = |name: &String| name == column;
    let is_checked = tree
        .iter()
        .flat_map(|facts| &facts.constraints)
        .any(|one| one.kind == ConstraintKind::Check && one.columns.iter().any(is_column));
    let mut indexes = tree.iter().flat_map(|facts| &facts.indexes);
    let is_computed_from = indexes.any(|one| one.computed_from.iter().any(is_column));
    let has_collation = child(change, SyntaxKind::COLLATE).is_some();
    let is_cast =
        child(change, SyntaxKind::USING_EXPR).is_none_or(|using| casts(&using, column, &to));
    if from.widens_to(&to) && is_cast && !has_collation && !is_checked && !is_computed_from {
        let because = "each value of the old type is one of the new type: no row is rewritten";
        draft.dismiss(CHANGING_COLUMN_TYPE, change, because);
    }
    // Postgres makes the foreign keys of the column anew, and checks the rows that reference it.
    let referencing = scope.facts.referencing_column(&full, column).into_iter();
    let referencing: Vec<ObjectName> = referencing.cloned().collect();
    let checks_others = draft.is_found(CHANGING_COLUMN_TYPE, change);
    for other in &referencing {
        draft.lock(other, LockMode::AccessExclusive, checks_others);
    }
    draft.tie(CHANGING_COLUMN_TYPE, change, &referencing);
    let keys = tree.iter().flat_map(|facts| &facts.constraints);
    let keys = keys.filter(|one| one.columns.iter().any(is_column));
    for other in keys.filter_map(|one| one.references.as_ref()) {
        draft.lock(other, LockMode::AccessExclusive, false);
    }
}

/// Returns the code of the database that may need the old type of a column of a table of before.
fn type_users(
    draft: &Draft<'_>,
    table: &ObjectName,
    column: &str,
    from: &ColumnType,
    to: &ColumnType,
) -> Option<String> {
    let is_of_run = draft.scope.is_new(table) || draft.scope.is_of_run(table);
    let of_type = || row_users::of_type(draft.scope, table, column, from, to);
    (!is_of_run).then(of_type)?
}

/// Returns whether the expression is the column itself, cast to the new type or not.
fn casts(using: &SyntaxNode, column: &str, to: &ColumnType) -> bool {
    let names_column =
        name_under(using, SyntaxKind::NAME_REF).is_some_and(|name| name.name == column);
    let Some(expression) = using.children().next() else {
        return false;
    };
    match expression.kind() {
        SyntaxKind::NAME_REF => names_column,
        SyntaxKind::CAST_EXPR => {
            let parts: Vec<SyntaxNode> = expression.children().collect();
            let is_plain = parts
                .iter()
                .filter(|one| one.kind() == SyntaxKind::NAME_REF)
                .count()
                == 1;
            let cast = parts.iter().find(|one| is_type(one.kind()));
            let cast = cast.map(|node| ColumnType::parse(&node.text().to_string()));
            names_column && is_plain && cast.as_ref() == Some(to)
        }
        _ => false,
    }
}
