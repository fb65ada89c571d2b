//! Defaults of columns, which an `INSERT` of the code that runs now gets.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::assigned_value;
use super::column_type::ColumnType;
use super::own_code;
use super::scope::Scope;
use super::sequence;
use super::syntax::{child, child_name, find, has_token, is_type, names_under};
use crate::migrations::statement::{ObjectName, fold_name};

/// Returns whether `SET DEFAULT` of a column that the run adds is known to fail in no `INSERT`: nothing but
/// its type says which values it takes, and the type takes this one.
pub(super) fn is_accepted(
    scope: &Scope<'_>,
    table: &ObjectName,
    column: &str,
    action: &SyntaxNode,
    change: &SyntaxNode,
) -> bool {
    let beside: Vec<SyntaxNode> = action
        .parent()
        .into_iter()
        .flat_map(|one| one.children())
        .collect();
    let names_it = |one: &SyntaxNode| restricted(one).iter().any(|name| name == column);
    if scope.is_restricted(table, column) || beside.iter().any(names_it) {
        return false;
    }
    let added = beside.iter().find(|one| {
        one.kind() == SyntaxKind::ADD_COLUMN
            && child_name(one, SyntaxKind::COLUMN_NAME).is_some_and(|name| name.name == column)
    });
    let spelled = added.and_then(|one| {
        let node = one.children().find(|part| is_type(part.kind()))?;
        Some(node.text().to_string())
    });
    let spelled = spelled.or_else(|| scope.added_type(table, column).cloned());
    let value = change.children().next();
    match (spelled, value) {
        (Some(spelled), Some(value)) => takes(scope, table, &spelled, &value),
        _ => false,
    }
}

/// Returns whether a column's type is known to take a value in each `INSERT`. A domain with constraints
/// looks at it then, and so does a type with code of the database's own.
pub(super) fn takes(
    scope: &Scope<'_>,
    table: &ObjectName,
    spelled: &str,
    value: &SyntaxNode,
) -> bool {
    let base = spelled.split('[').next().unwrap_or(spelled).trim();
    if !is_built_in(&ColumnType::parse(base).name) {
        let parts = base.split('(').next().unwrap_or(base).split('.');
        let parts: Vec<String> = parts.map(|part| fold_name(part.trim())).collect();
        let is_trusted = ObjectName::from_parts(parts).is_some_and(|name| {
            scope.facts.is_known()
                && !scope.is_domain_with_constraints(&name)
                && !scope.runs_code_of_type(&name)
        });
        if !is_trusted {
            return false;
        }
    }
    own_code::in_expressions(scope, value).is_none()
        && (assigned_value::takes(spelled, value)
            || sequence::is_taken(scope, table, spelled, value))
}

/// Returns whether a type, as `format_type` prints it, is one of Postgres.
pub(super) fn is_built_in(name: &str) -> bool {
    BUILT_IN.contains(&name)
}

/// Types of Postgres, as `format_type` prints them. Another one may be a domain.
const BUILT_IN: [&str; 28] = [
    "bigint",
    "bit",
    "bit varying",
    "boolean",
    "bytea",
    "character",
    "character varying",
    "cidr",
    "date",
    "double precision",
    "inet",
    "integer",
    "interval",
    "json",
    "jsonb",
    "macaddr",
    "money",
    "name",
    "numeric",
    "real",
    "smallint",
    "text",
    "time with time zone",
    "time without time zone",
    "timestamp with time zone",
    "timestamp without time zone",
    "uuid",
    "xml",
];

/// Returns the columns whose values an action of `ALTER TABLE` restricts or uses, or may.
pub(super) fn restricted(action: &SyntaxNode) -> Vec<String> {
    use SyntaxKind as K;
    let names = |kinds: &[K]| {
        let names = names_under(action, kinds).into_iter();
        names.map(|name| name.name).collect::<Vec<_>>()
    };
    match action.kind() {
        K::ADD_CONSTRAINT => names(&[K::NAME_REF, K::COLUMN_NAME_REF, K::COLUMN_NAME]),
        K::ADD_COLUMN => {
            let plain = [
                K::COLUMN_NAME,
                K::DEFAULT_CONSTRAINT,
                K::NULL_CONSTRAINT,
                K::IF_NOT_EXISTS,
            ];
            let is_plain = action
                .children()
                .all(|one| plain.contains(&one.kind()) || is_type(one.kind()));
            match is_plain {
                true => Vec::new(),
                false => names(&[K::NAME_REF, K::COLUMN_NAME]),
            }
        }
        K::ALTER_COLUMN => {
            let changes = [
                K::SET_NOT_NULL,
                K::SET_TYPE,
                K::ADD_GENERATED,
                K::SET_EXPRESSION,
            ];
            match changes.iter().any(|kind| child(action, *kind).is_some()) {
                true => names(&[K::COLUMN_NAME_REF]),
                false => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// Returns the columns of an index that refuses values, or computes with them.
pub(super) fn restricted_by_index(node: &SyntaxNode) -> Vec<String> {
    use SyntaxKind as K;
    let list = child(node, K::PARTITION_ITEM_LIST);
    let mut items = list.iter().flat_map(SyntaxNode::children);
    let is_plain = items.all(|item| child(&item, K::NAME_REF).is_some());
    if is_plain && !has_token(node, K::UNIQUE_KW) && find(node, K::WHERE_CLAUSE).is_none() {
        return Vec::new();
    }
    let names = names_under(node, &[K::NAME_REF, K::COLUMN_NAME_REF]).into_iter();
    names.map(|name| name.name).collect()
}
