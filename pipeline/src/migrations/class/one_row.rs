//! Changes of one row: `UPDATE` and `DELETE` with a constant for each column of the primary key.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::facts::ConstraintKind;
use super::query;
use super::scope::Scope;
use super::syntax::child;
use crate::migrations::statement::{ObjectName, fold_name};

/// Returns whether an `UPDATE` or `DELETE` changes one row of the table at the most, and no row of another
/// table with it: no trigger runs, and no foreign key leads to the row.
pub(super) fn changes_one_row(
    scope: &Scope<'_>,
    table: &ObjectName,
    part: &SyntaxNode,
    changes_keys: bool,
) -> bool {
    let is_alone = matches!(part.kind(), SyntaxKind::UPDATE | SyntaxKind::DELETE)
        && query::relations(part).is_empty();
    let Some(facts) = scope.relation(table).filter(|_| is_alone) else {
        return false;
    };
    let name = scope.resolve(table);
    if scope.has_acting_triggers(table)
        || !facts.children.is_empty()
        || scope.proofs.has_lost_any(&name)
    {
        return false;
    }
    let mut own = facts.constraints.iter();
    let refers_to_itself = own.any(|one| one.references.as_ref() == Some(&name));
    if changes_keys && (refers_to_itself || !scope.facts.referencing(&name).is_empty()) {
        return false;
    }
    let mut constraints = facts.constraints.iter();
    let key = constraints.find(|one| one.kind == ConstraintKind::PrimaryKey);
    let compared = child(part, SyntaxKind::WHERE_CLAUSE).and_then(|clause| compared(&clause));
    match (key, compared) {
        (Some(key), Some(compared)) => {
            !key.columns.is_empty() && key.columns.iter().all(|one| compared.contains(one))
        }
        _ => false,
    }
}

/// Returns the columns of `WHERE a = 1 AND b = 'x'`; `None` for a clause of another form.
fn compared(clause: &SyntaxNode) -> Option<Vec<String>> {
    let tokens = clause.descendants_with_tokens();
    let tokens = tokens.filter_map(|one| one.as_token().cloned());
    let tokens =
        tokens.filter(|one| !matches!(one.kind(), SyntaxKind::WHITESPACE | SyntaxKind::COMMENT));
    let words: Vec<String> = tokens.map(|token| token.text().to_owned()).collect();
    let (first, rest) = words.split_first()?;
    if !first.eq_ignore_ascii_case("where") {
        return None;
    }
    let mut columns = Vec::new();
    for comparison in rest.split(|word| word.eq_ignore_ascii_case("and")) {
        let [column, equals, constant] = comparison else {
            return None;
        };
        let is_constant = constant.starts_with(|c: char| c == '\'' || c.is_ascii_digit());
        let is_name = column.starts_with(|c: char| c == '"' || c == '_' || c.is_alphabetic());
        if equals != "=" || !is_constant || !is_name {
            return None;
        }
        columns.push(fold_name(column));
    }
    Some(columns)
}
