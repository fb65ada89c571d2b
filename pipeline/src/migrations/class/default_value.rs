//! Defaults of columns that the run adds, which an `INSERT` of the code that runs now gets.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::column_type::ColumnType;
use super::query;
use super::scope::Scope;
use super::syntax::{child, child_name, find, has_token, is_type, names_under};
use crate::migrations::statement::ObjectName;

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
        (Some(spelled), Some(value)) => takes(&ColumnType::parse(&spelled), &spelled, &value),
        _ => false,
    }
}

/// Returns whether a type takes a value. What is not known to be taken is not.
fn takes(column_type: &ColumnType, spelled: &str, value: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let name = column_type.name.as_str();
    let is_bare = !spelled.contains('(');
    let is_text = is_bare && matches!(name, "text" | "character varying");
    let text = value.text().to_string();
    let text = text.trim();
    match value.kind() {
        K::LITERAL if has_token(value, K::NULL_KW) => true,
        K::LITERAL if text.starts_with('\'') => is_text,
        K::LITERAL if has_token(value, K::TRUE_KW) || has_token(value, K::FALSE_KW) => {
            name == "boolean"
        }
        K::LITERAL | K::PREFIX_EXPR => {
            let number = text.strip_prefix('-').unwrap_or(text).trim().parse::<i64>();
            number.is_ok_and(|number| match name {
                "smallint" => number <= 32_767,
                "integer" => number <= 2_147_483_647,
                "bigint" | "real" | "double precision" => true,
                "numeric" => is_bare,
                _ => false,
            })
        }
        K::CALL_EXPR => query::function_name(value).is_some_and(|function| {
            match function.strip_prefix("pg_catalog.").unwrap_or(&function) {
                "nextval" => matches!(name, "bigint" | "integer" | "smallint"),
                "gen_random_uuid" => name == "uuid" || is_text,
                "now" => name == "date" || name.starts_with("timestamp"),
                _ => false,
            }
        }),
        _ => false,
    }
}

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
