//! Columns that `ALTER TABLE` adds.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::check_value;
use super::column_type::ColumnType;
use super::default_value;
use super::draft::Draft;
use super::failing;
use super::lock::LockMode;
use super::never_null::{self, is_never_null};
use super::null_check::is_expression;
use super::own_code;
use super::query;
use super::row_users;
use super::rules::{
    ADD_COLUMN_WITH_CONSTRAINT, ADDING_FIELD_WITH_DEFAULT, ADDING_FOREIGN_KEY,
    ADDING_REQUIRED_FIELD, BAN_ALTER_GENERATED, BAN_NEW_WRITE_RESTRICTION, DISALLOWED_UNIQUE,
    DOMAIN_COLUMN, SERIAL_COLUMN, WHOLE_ROW_USE,
};
use super::safe_form;
use super::scope::Scope;
use super::sequence;
use super::syntax::{child, child_name, find, holds, is_type, object_name};
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
                if constraint.kind() != K::REFERENCES_CONSTRAINT || has_value(draft.scope, action) {
                    draft.add(ADD_COLUMN_WITH_CONSTRAINT, &constraint);
                }
                if let Some(other) = child_name(&constraint, K::TABLE_NAME_REF) {
                    draft.lock(&other, LockMode::ShareRowExclusive, false);
                }
            }
            _ => {}
        }
    }
    if refuses_null(action) && !has_value(draft.scope, action) {
        draft.add(ADDING_REQUIRED_FIELD, action);
    }
    let form = safe_form::with_default(draft, action);
    draft.advise(ADDING_FIELD_WITH_DEFAULT, action, form);
    let form = safe_form::with_constraint(draft, table, action);
    draft.advise(ADD_COLUMN_WITH_CONSTRAINT, action, form);
    draft.dismiss(BAN_NEW_WRITE_RESTRICTION, action, UNNAMED);
    draft.dismiss(BAN_ALTER_GENERATED, action, UNNAMED);
    judge_later_writes(draft, table, action);
    judge_row_users(draft, table, action, &spelled);
    let lasts = draft.is_found_to_last(action);
    draft.lock(table, LockMode::AccessExclusive, lasts);
}

/// Adds a finding where the new column may refuse rows of the code that runs now, which does not name it.
/// That the rows of a small table pass says nothing about later ones.
fn judge_later_writes(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode) {
    use SyntaxKind as K;
    let column = child_name(action, K::COLUMN_NAME);
    let is_other = |name: &ObjectName| Some(name) != column.as_ref();
    let has_value = has_value(draft.scope, action);
    let type_node = action.children().find(|one| is_type(one.kind()));
    let spelled = type_node.map(|node| node.text().to_string());
    let spelled = spelled.unwrap_or_default();
    let refuses = action.children().find_map(|part| match part.kind() {
        K::GENERATED_CONSTRAINT => refused_by_generated(draft, table, action, &part),
        K::CHECK_CONSTRAINT => {
            let is_about_others = columns_in(&part).iter().any(is_other);
            let code = own_code::in_expressions(draft.scope, &part);
            let refuses = is_about_others || !accepts_default(draft.scope, action, &part);
            code.or_else(|| refuses.then(|| part.text().to_string()))
        }
        K::UNIQUE_CONSTRAINT if takes_one_null(&part) => Some(part.text().to_string()),
        K::UNIQUE_CONSTRAINT | K::PRIMARY_KEY_CONSTRAINT | K::EXCLUDE_CONSTRAINT if has_value => {
            let is_identity = holds(action, K::IDENTITY_KW);
            (!is_identity && !is_serial(action)).then(|| part.text().to_string())
        }
        K::REFERENCES_CONSTRAINT if has_value => Some(part.text().to_string()),
        K::DEFAULT_CONSTRAINT => refused_default(draft.scope, table, action, &spelled, &part),
        kind if is_type(kind) && is_serial(action) => {
            let runs_out = ColumnType::parse(&spelled).name.contains('2')
                || spelled.to_ascii_lowercase().contains("small");
            let is_open = sequence::may_use_new(draft.scope, table);
            (runs_out || !is_open).then(|| "its sequence".to_owned())
        }
        kind if is_type(kind) => {
            let name = object_name(&part).filter(|_| kind == K::PATH_TYPE)?;
            let is_given = child(action, K::DEFAULT_CONSTRAINT).is_some_and(|one| !is_null(&one));
            let refuses = match is_given || child(action, K::GENERATED_CONSTRAINT).is_some() {
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

/// Adds a finding where the database has what uses rows of the table as wholes. By its name nothing of before can
/// use the new column.
fn judge_row_users(draft: &mut Draft<'_>, table: &ObjectName, action: &SyntaxNode, spelled: &str) {
    let Some(column) = child_name(action, SyntaxKind::COLUMN_NAME) else {
        return;
    };
    if let Some(words) = row_users::of_new_column(draft.scope, table, &column.name, spelled) {
        draft.add(WHOLE_ROW_USE, action);
        let advice =
            format!("the statement in an after file; or, first, columns by their names in {words}");
        draft.advise(WHOLE_ROW_USE, action, Some(advice));
    }
}

/// Returns whether a column refuses NULL by the statement.
fn refuses_null(action: &SyntaxNode) -> bool {
    let kinds = [
        SyntaxKind::NOT_NULL_CONSTRAINT,
        SyntaxKind::PRIMARY_KEY_CONSTRAINT,
    ];
    kinds.into_iter().any(|kind| child(action, kind).is_some())
}

/// Returns whether a second row without a value is refused as a duplicate.
fn takes_one_null(unique: &SyntaxNode) -> bool {
    let text = unique.text().to_string().to_ascii_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .windows(3)
        .any(|three| three == ["nulls", "not", "distinct"])
}

/// Returns the part of a computed column, or the numbers of an identity, that may fail for a later row.
fn refused_by_generated(
    draft: &Draft<'_>,
    table: &ObjectName,
    action: &SyntaxNode,
    part: &SyntaxNode,
) -> Option<String> {
    use SyntaxKind as K;
    if holds(part, K::IDENTITY_KW) {
        let type_node = action.children().find(|one| is_type(one.kind()));
        let column_type = type_node.map(|node| ColumnType::parse(&node.text().to_string()));
        let runs_out = column_type.is_some_and(|one| one.name == "smallint");
        let has_options = part.text().to_string().contains('(');
        return (runs_out || has_options).then(|| part.text().to_string());
    }
    let expression = part.descendants().find(is_expression);
    let is_null = expression.is_none_or(|one| !is_never_null(&one));
    if refuses_null(action) && is_null {
        return Some(part.text().to_string());
    }
    let spelled = action.children().find(|one| is_type(one.kind()));
    let spelled = spelled
        .map(|node| node.text().to_string())
        .unwrap_or_default();
    holds(part, K::STORED_KW)
        .then(|| failing::part_of_generated(draft.scope, part, table, &spelled))?
}

/// Returns the default if it may fail in a later `INSERT`: the server computes one that is no constant anew then.
fn refused_default(
    scope: &Scope<'_>,
    table: &ObjectName,
    action: &SyntaxNode,
    spelled: &str,
    part: &SyntaxNode,
) -> Option<String> {
    let code = own_code::in_expressions(scope, part);
    code.or_else(|| {
        let value = value_of(part)?;
        let may_be_null =
            refuses_null(action) && !is_never_null(&value) && !never_null::is_null(&value);
        let may_fail = !is_constant(&value) && !default_value::takes(scope, table, spelled, &value);
        (may_be_null || may_fail).then(|| part.text().to_string())
    })
}

/// Returns whether a default has the value that it has as it is set: it consists of literals.
fn is_constant(value: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    match value.kind() {
        K::LITERAL => true,
        K::PAREN_EXPR | K::CAST_EXPR | K::ARRAY_EXPR | K::PREFIX_EXPR | K::BIN_EXPR => {
            let mut operands = value.children().filter(is_expression);
            operands.all(|one| is_constant(&one))
        }
        _ => false,
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
fn accepts_default(scope: &Scope<'_>, action: &SyntaxNode, check: &SyntaxNode) -> bool {
    let type_node = action.children().find(|one| is_type(one.kind()));
    let spelled = type_node.map(|node| node.text().to_string());
    // By another collation than the database's, different texts may be equal.
    let is_collated = find(action, SyntaxKind::COLLATE).is_some();
    let default = child(action, SyntaxKind::DEFAULT_CONSTRAINT);
    let value = default.as_ref().and_then(value_of);
    match has_value(scope, action) {
        true => value.is_some_and(|value| {
            let spelled = spelled.unwrap_or_default();
            !is_collated && check_value::accepts_default(check, &spelled, Some(&value))
        }),
        false => check_value::accepts_default(check, "", None),
    }
}

fn is_serial(action: &SyntaxNode) -> bool {
    let type_node = action.children().find(|one| is_type(one.kind()));
    type_node.is_some_and(|node| ColumnType::parse(&node.text().to_string()).is_serial())
}

/// Returns whether `ADD COLUMN` gives the rows a value: by a default, also that of a domain.
fn has_value(scope: &Scope<'_>, action: &SyntaxNode) -> bool {
    let default = child(action, SyntaxKind::DEFAULT_CONSTRAINT);
    match default {
        Some(default) if !is_null(&default) => return true,
        Some(_) => return child(action, SyntaxKind::GENERATED_CONSTRAINT).is_some(),
        None => {}
    }
    let type_node = action.children().find(|one| is_type(one.kind()));
    let type_name = type_node.as_ref().and_then(object_name);
    child(action, SyntaxKind::GENERATED_CONSTRAINT).is_some()
        || is_serial(action)
        || type_name.is_some_and(|name| scope.is_domain_with_default(&name))
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
        scope.add_column(table, &column.name, has_value(scope, action));
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
        .map(|one| has_value(draft.scope, &one))
        .or_else(|| draft.scope.added_column(table, column))
}

/// Corrects squawk, which takes `-1`, `CURRENT_DATE` and `now() AT TIME ZONE 'utc'` for volatile, and any array for
/// constant.
fn judge_default(draft: &mut Draft<'_>, constraint: &SyntaxNode) {
    use SyntaxKind as K;
    let mut calls = constraint
        .descendants()
        .filter(|one| one.kind() == K::CALL_EXPR);
    let is_stable = |call: SyntaxNode| {
        let name = query::function_name(&call).unwrap_or_default();
        let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
        STABLE.contains(&name)
    };
    if calls.all(is_stable) {
        let because = "the default is one value for all rows";
        draft.dismiss(ADDING_FIELD_WITH_DEFAULT, constraint, because);
    } else if find(constraint, K::ARRAY_EXPR).is_some() {
        draft.add(ADDING_FIELD_WITH_DEFAULT, constraint);
    }
}

/// Functions of Postgres that are usual in defaults and not volatile, so that `ADD COLUMN` computes the default once
/// (postgresql.org/docs/18/sql-altertable.html, Notes).
const STABLE: [&str; 11] = [
    "current_setting",
    "date_trunc",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "lower",
    "now",
    "timezone",
    "transaction_timestamp",
    "upper",
];

/// Returns whether a default is NULL, also one of a type.
pub(super) fn is_null(default: &SyntaxNode) -> bool {
    value_of(default).is_some_and(|value| never_null::is_null(&value))
}

/// Returns the expression of a default, which may have a name before it.
fn value_of(default: &SyntaxNode) -> Option<SyntaxNode> {
    let mut parts = default.children();
    parts.find(|one| one.kind() != SyntaxKind::CONSTRAINT_NAME)
}
