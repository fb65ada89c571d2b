//! The names that Postgres gives to indexes and constraints without one.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::super::scope::Scope;
use super::super::syntax::object_name;
use crate::migrations::statement::ObjectName;

/// The bytes of a name, at most.
const LONGEST: usize = 63;

/// Returns the name of a new object of a table, such as `orders_mail_idx`, with a number where the
/// schema has one of that name.
pub(super) fn choose(
    scope: &Scope<'_>,
    table: &ObjectName,
    columns: &[String],
    label: &str,
) -> ObjectName {
    let full = scope.resolve(table);
    let numbers = std::iter::once(String::new()).chain((1_u32..).map(|number| number.to_string()));
    let names = numbers.map(|number| {
        make(
            &table.name,
            &columns.join("_"),
            &(label.to_owned() + &number),
        )
    });
    let mut free = names.filter(|name| {
        let in_schema = ObjectName {
            schema: full.schema.clone(),
            name: name.clone(),
        };
        !scope.has(&in_schema)
            && !scope.is_new(&in_schema)
            && !scope.has_constraint_named(&full, name)
    });
    ObjectName::new(free.next().unwrap_or_default())
}

/// Joins the parts, and shortens the longer one of the first two until all fit.
fn make(table: &str, columns: &str, label: &str) -> String {
    let (mut table, mut columns) = (table.to_owned(), columns.to_owned());
    let separators = if columns.is_empty() { 1 } else { 2 };
    while table.len() + columns.len() + label.len() + separators > LONGEST {
        let longer = if table.len() > columns.len() {
            &mut table
        } else {
            &mut columns
        };
        if longer.pop().is_none() {
            break;
        }
    }
    let parts = [table.as_str(), columns.as_str(), label];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("_")
}

/// Returns the names of the columns and expressions of an index, as they are in its name.
pub(super) fn of_index_columns(node: &SyntaxNode) -> Vec<String> {
    let items = node.descendants();
    let items = items.filter(|one| one.kind() == SyntaxKind::PARTITION_ITEM);
    let mut names: Vec<String> = Vec::new();
    for item in items {
        let expression = item.children().next();
        let name = expression.as_ref().and_then(of_expression);
        let name = name.unwrap_or_else(|| "expr".to_owned());
        let numbers =
            std::iter::once(String::new()).chain((1_u32..).map(|number| number.to_string()));
        let mut numbered = numbers.map(|number| format!("{name}{number}"));
        let free = numbered.find(|name| !names.contains(name));
        names.extend(free);
    }
    names
}

fn of_expression(node: &SyntaxNode) -> Option<String> {
    use SyntaxKind as K;
    match node.kind() {
        K::NAME_REF => object_name(node).map(|name| name.name),
        K::FIELD_EXPR => {
            let text = node.text().to_string();
            let last = text.rsplit('.').next()?;
            Some(crate::migrations::statement::fold_name(last.trim()))
        }
        K::CALL_EXPR | K::PAREN_EXPR | K::CAST_EXPR => {
            node.children().next().as_ref().and_then(of_expression)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_that_of_postgres() {
        let long = "a".repeat(40);
        for (table, columns, label, expected) in [
            ("orders", "mail", "idx", "orders_mail_idx".to_owned()),
            ("orders", "", "pkey", "orders_pkey".to_owned()),
            (
                &long,
                &long,
                "idx",
                format!("{0}_{1}_idx", "a".repeat(29), "a".repeat(29)),
            ),
        ] {
            assert_eq!(make(table, columns, label), expected);
        }
    }
}
