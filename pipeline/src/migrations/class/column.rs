//! Columns that `ALTER TABLE` adds or changes.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::check_value;
use super::column_type::ColumnType;
use super::default_value;
use super::draft::Draft;
use super::facts::{ConstraintKind, RelationFacts};
use super::failing;
use super::lock::LockMode;
use super::own_code;
use super::rules::{
    ADD_COLUMN_WITH_CONSTRAINT, ADDING_FIELD_WITH_DEFAULT, ADDING_FOREIGN_KEY, ADDING_NOT_NULL,
    ADDING_REQUIRED_FIELD, BAN_ALTER_GENERATED, BAN_DROP_DEFAULT, BAN_NEW_WRITE_RESTRICTION,
    BAN_SET_DEFAULT, CHANGES_TYPE, CHANGING_COLUMN_TYPE, DISALLOWED_UNIQUE, DOMAIN_COLUMN,
    REWRITE_TABLE, SERIAL_COLUMN, UNKNOWN_STATEMENT,
};
use super::safe_form;
use super::scope::Scope;
use super::syntax::{child, child_name, find, has_token, holds, is_type, name_under, object_name};
use crate::migrations::statement::ObjectName;

pub(super) const UNNAMED: &str = "the code that runs now does not name the column";

/// Judges `ADD COLUMN`.
pub(super) fn judge_new(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    use SyntaxKind as K;
    let type_node = action.children().find(|one| is_type(one.kind()));
    let spelled = type_node
        .as_ref()
        .map(|node| node.text().to_string())
        .unwrap_or_default();
    let column_type = ColumnType::parse(&spelled);
    if column_type.is_serial() {
        draft.add(SERIAL_COLUMN, action);
        let form = type_node.as_ref();
        let form = form.and_then(|node| safe_form::with_serial(draft, table, action, node));
        draft.advise(SERIAL_COLUMN, action, form);
    }
    // The values of an array are checked as it gets them.
    let of_values = type_node
        .as_ref()
        .filter(|node| node.kind() != K::ARRAY_TYPE);
    let type_name = of_values.and_then(object_name);
    if type_name.is_some_and(|name| draft.scope.is_domain_with_constraints(&name)) {
        draft.add(DOMAIN_COLUMN, action);
    }
    for constraint in action.children() {
        match constraint.kind() {
            K::DEFAULT_CONSTRAINT => judge_default(draft, &constraint),
            K::GENERATED_CONSTRAINT => {
                // Without a keyword it is virtual, since Postgres 18.
                let is_virtual =
                    !holds(&constraint, K::STORED_KW) && !holds(&constraint, K::IDENTITY_KW);
                if is_virtual {
                    let because = "a virtual column is computed as it is read";
                    draft.dismiss(ADDING_FIELD_WITH_DEFAULT, action, because);
                    if child(action, K::NOT_NULL_CONSTRAINT).is_some() {
                        draft.add(ADD_COLUMN_WITH_CONSTRAINT, action);
                    }
                }
            }
            K::CHECK_CONSTRAINT
            | K::UNIQUE_CONSTRAINT
            | K::PRIMARY_KEY_CONSTRAINT
            | K::EXCLUDE_CONSTRAINT
            | K::REFERENCES_CONSTRAINT => {
                draft.dismiss(
                    ADDING_FOREIGN_KEY,
                    &constraint,
                    "add-column-with-constraint says it",
                );
                draft.dismiss(
                    DISALLOWED_UNIQUE,
                    &constraint,
                    "add-column-with-constraint says it",
                );
                // Without a value no row is looked at.
                if constraint.kind() != K::REFERENCES_CONSTRAINT || has_value(action) {
                    draft.add(ADD_COLUMN_WITH_CONSTRAINT, &constraint);
                }
                if let Some(other) = child_name(&constraint, K::TABLE_NAME_REF) {
                    draft.lock(&other, LockMode::ShareRowExclusive, false);
                }
            }
            _ => {}
        }
    }
    if child(action, K::NOT_NULL_CONSTRAINT).is_some() && !has_value(action) {
        draft.add(ADDING_REQUIRED_FIELD, action);
    }
    let form = safe_form::with_default(draft, action);
    draft.advise(ADDING_FIELD_WITH_DEFAULT, action, form);
    let form = safe_form::with_constraint(draft, table, action);
    draft.advise(ADD_COLUMN_WITH_CONSTRAINT, action, form);
    draft.dismiss(BAN_NEW_WRITE_RESTRICTION, action, UNNAMED);
    draft.dismiss(BAN_ALTER_GENERATED, action, UNNAMED);
    judge_later_writes(draft, table, action);
    let lasts = draft.is_found_to_last(action);
    draft.lock(table, LockMode::AccessExclusive, lasts);
}

/// Adds a finding where the new column may refuse rows of the code that runs now, which does not name it.
/// That the rows of a small table pass says nothing about later ones.
fn judge_later_writes(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    use SyntaxKind as K;
    let column = child_name(action, K::COLUMN_NAME);
    let is_other = |name: &ObjectName| Some(name) != column.as_ref();
    let has_value = has_value(action);
    let refuses = action.children().find_map(|part| match part.kind() {
        K::GENERATED_CONSTRAINT if holds(&part, K::STORED_KW) => failing::part(draft, &part, table),
        K::CHECK_CONSTRAINT => {
            let is_about_others = columns_in(&part).iter().any(is_other);
            let code = own_code::in_expressions(draft.scope, &part);
            let refuses = is_about_others || !accepts_default(action, &part);
            code.or_else(|| refuses.then(|| part.text().to_string()))
        }
        K::UNIQUE_CONSTRAINT | K::PRIMARY_KEY_CONSTRAINT | K::EXCLUDE_CONSTRAINT if has_value => {
            let is_identity = holds(action, K::IDENTITY_KW);
            (!is_identity && !is_serial(action)).then(|| part.text().to_string())
        }
        K::REFERENCES_CONSTRAINT if has_value => Some(part.text().to_string()),
        K::DEFAULT_CONSTRAINT => own_code::in_expressions(draft.scope, &part),
        kind if is_type(kind) => {
            let name = object_name(&part).filter(|_| kind == K::PATH_TYPE)?;
            let refuses = match has_value {
                true => draft.scope.runs_code_of_type(&name) && draft.scope.facts.is_known(),
                false => draft.scope.is_domain_with_constraints(&name),
            };
            refuses.then(|| format!("the domain {name}"))
        }
        _ => None,
    });
    if let Some(part) = refuses {
        draft.add(BAN_NEW_WRITE_RESTRICTION, action);
        let part = part.trim();
        let advice = format!(
            "the statement in an after file: {part} may refuse what the code that runs now writes"
        );
        draft.advise(BAN_NEW_WRITE_RESTRICTION, action, Some(advice));
    }
}

/// Returns the columns that an expression names, and not the functions that it calls.
fn columns_in(expression: &SyntaxNode) -> Vec<ObjectName> {
    let is_called = |one: &SyntaxNode| {
        let call = one.parent().filter(|up| up.kind() == SyntaxKind::CALL_EXPR);
        call.and_then(|call| call.children().next()).as_ref() == Some(one)
    };
    let names = expression.descendants();
    let names = names.filter(|one| one.kind() == SyntaxKind::NAME_REF && !is_called(one));
    names.filter_map(|one| object_name(&one)).collect()
}

/// Returns whether a `CHECK` of a new column is known to accept its default.
fn accepts_default(action: &SyntaxNode, check: &SyntaxNode) -> bool {
    let type_node = action.children().find(|one| is_type(one.kind()));
    let spelled = type_node.map(|node| node.text().to_string());
    let default = child(action, SyntaxKind::DEFAULT_CONSTRAINT);
    let value = default.and_then(|one| one.children().next());
    match has_value(action) {
        true => value.is_some_and(|value| {
            check_value::accepts_default(check, &spelled.unwrap_or_default(), Some(&value))
        }),
        false => check_value::accepts_default(check, "", None),
    }
}

fn is_serial(action: &SyntaxNode) -> bool {
    let type_node = action.children().find(|one| is_type(one.kind()));
    type_node.is_some_and(|node| ColumnType::parse(&node.text().to_string()).is_serial())
}

/// Returns whether `ADD COLUMN` gives the rows a value.
fn has_value(action: &SyntaxNode) -> bool {
    let default = child(action, SyntaxKind::DEFAULT_CONSTRAINT);
    default.is_some_and(|node| !is_null(&node))
        || child(action, SyntaxKind::GENERATED_CONSTRAINT).is_some()
        || is_serial(action)
}

/// Records the column, unless the table has it already.
pub(super) fn apply_new(scope: &mut Scope<'_>, table: &ObjectName, action: &SyntaxNode) {
    let Some(column) = child_name(action, SyntaxKind::COLUMN_NAME) else {
        return;
    };
    let is_conditional = child(action, SyntaxKind::IF_NOT_EXISTS).is_some();
    let may_exist = match scope.relation(table) {
        Some(facts) => facts.columns.contains_key(&column.name),
        None => is_conditional,
    };
    let type_node = action.children().find(|one| is_type(one.kind()));
    if !may_exist {
        scope.add_column(table, &column.name, has_value(action));
        let spelled = type_node.as_ref().map(|node| node.text().to_string());
        scope.set_added_type(table, &column.name, spelled.unwrap_or_default());
    }
    if let Some(type_name) = type_node.as_ref().and_then(object_name) {
        scope.use_type(&type_name, table);
    }
}

/// Returns whether the code that runs now writes a value into a column that the run, or another action of
/// the same statement, adds: `None` for a column that exists before.
pub(super) fn added(
    draft: &Draft<'_>,
    table: &ObjectName,
    column: &str,
    action: &SyntaxNode,
) -> Option<bool> {
    let is_known = draft
        .scope
        .relation(table)
        .is_some_and(|facts| facts.columns.contains_key(column));
    let mut actions = action.parent().into_iter().flat_map(|one| one.children());
    let beside = actions.find(|one| {
        one.kind() == SyntaxKind::ADD_COLUMN
            && child_name(one, SyntaxKind::COLUMN_NAME).is_some_and(|name| name.name == column)
            && child(one, SyntaxKind::IF_NOT_EXISTS).is_none()
            && !is_known
    });
    beside
        .map(|one| has_value(&one))
        .or_else(|| draft.scope.added_column(table, column))
}

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
    if added(draft, table, column, action).is_some() {
        if default_value::is_accepted(draft.scope, table, column, action, change) {
            draft.dismiss(rule, action, UNNAMED);
        }
        return;
    }
    let Some(facts) = draft.scope.relation(table) else {
        return;
    };
    let facts_of_column = facts.columns.get(column);
    let has_none = facts_of_column.is_some_and(|facts| !facts.has_default);
    let value = change.children().next();
    let is_taken = facts_of_column
        .zip(value)
        .is_some_and(|(facts, value)| default_value::takes(draft.scope, &facts.type_name, &value));
    let is_checked = facts.constraints.iter().any(|one| {
        one.columns.iter().any(|name| name == column)
            && one.kind != ConstraintKind::NotNull
            && !one.definition.ends_with(" IS NOT NULL))")
    });
    let is_unique = facts.indexes.iter().any(|one| {
        one.is_unique && (one.columns.is_empty() || one.columns.iter().any(|name| name == column))
    });
    let is_new_null = is_null(change) && has_none;
    if has_none && !is_checked && !is_unique && (is_taken || is_new_null) {
        let because =
            "the column has no default, and neither its type nor a constraint refuses the value";
        draft.dismiss(rule, action, because);
    }
}

/// Corrects squawk, which takes `-1` and `CURRENT_DATE` for volatile, and any array for constant.
fn judge_default(draft: &mut Draft<'_>, constraint: &SyntaxNode) {
    use SyntaxKind as K;
    let calls = find(constraint, K::CALL_EXPR).is_some();
    if !calls {
        let because = "the default is one value for all rows";
        draft.dismiss(ADDING_FIELD_WITH_DEFAULT, constraint, because);
    } else if find(constraint, K::ARRAY_EXPR).is_some() {
        draft.add(ADDING_FIELD_WITH_DEFAULT, constraint);
    }
}

fn is_null(default: &SyntaxNode) -> bool {
    let value = child(default, SyntaxKind::LITERAL);
    value.is_some_and(|value| has_token(&value, SyntaxKind::NULL_KW))
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
