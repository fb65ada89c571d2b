//! Numbers that are written by hand into a column that a sequence fills.

use std::collections::BTreeSet;

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::column_type::ColumnType;
use super::draft::Draft;
use super::query;
use super::scope::Scope;
use super::sequence;
use super::syntax::{child, child_name, find, holds, is_type};
use crate::migrations::statement::ObjectName;

/// Functions of the next number of a sequence, besides constants and sums.
const OF_NUMBERS: [&str; 4] = ["coalesce", "greatest", "max", "nextval"];

/// Returns what a reader of the plan should know about rows with numbers that their sequence has not given.
pub(super) fn remark(scope: &Scope<'_>, part: &SyntaxNode, table: &ObjectName) -> Option<String> {
    let listed = query::written_columns(part)?;
    let column = listed
        .iter()
        .find(|column| scope.is_numbered(table, column))?;
    if child(part, SyntaxKind::VALUES).is_none() && query::relations(part).is_empty() {
        return None;
    }
    Some(format!(
        "the sequence of {column} of {table} does not know of these numbers, so that a later INSERT may get one of them \
         and fail: SELECT setval(pg_get_serial_sequence('{table}', '{column}'), (SELECT max({column}) FROM {table})) \
         after it"
    ))
}

/// Returns the columns of a new table that a sequence fills.
pub(super) fn columns_of_new(node: &SyntaxNode) -> BTreeSet<String> {
    use SyntaxKind as K;
    let columns = node.descendants().filter(|one| one.kind() == K::COLUMN);
    let numbered = columns.filter(|column| {
        let is_serial = column.children().any(|one| {
            is_type(one.kind()) && ColumnType::parse(&one.text().to_string()).is_serial()
        });
        is_serial || holds(column, K::IDENTITY_KW)
    });
    let names = numbered.filter_map(|column| child_name(&column, K::COLUMN_NAME));
    names.map(|name| name.name).collect()
}

/// Judges a query that sets a sequence to the largest number of a table. Returns whether it is one, with what a reader
/// of the plan should know.
///
/// A session may have taken a number whose row is not committed, and so is not seen: a sequence that goes back gives it
/// again. So the table is one of the run, or small, or the sequence does not go back.
pub(super) fn sets_to_largest(draft: &mut Draft<'_>, node: &SyntaxNode) -> bool {
    let Some(call) = call_of_setval(node) else {
        return false;
    };
    let arguments = query::arguments(&call);
    let [sequence, value, ..] = arguments.as_slice() else {
        return false;
    };
    let scope = draft.scope;
    let tables = query::relations(node);
    let is_unused = |table: &ObjectName| scope.is_new(table) || scope.is_of_run(table);
    let names_sequence = match query::function_name(sequence) {
        Some(name) => name.ends_with("pg_get_serial_sequence"),
        None => sequence::literal(sequence).is_some(),
    };
    let calls = query::called(value);
    let is_number = calls.iter().all(|name| OF_NUMBERS.contains(&name.as_str()));
    let runs_code = scope.has_own_operator_of_postgres()
        || calls.iter().any(|name| scope.has_routine_named(name))
        || tables.iter().any(|one| scope.code_of_reads(one).is_some());
    if !names_sequence || !is_number || runs_code || arguments.len() > 3 {
        return false;
    }
    let has_largest = calls.iter().any(|name| name == "max");
    let never_goes_back = calls.iter().any(|name| name == "greatest")
        && (calls.iter().any(|name| name == "nextval")
            || value.text().to_string().contains("last_value"));
    let is_of_run = match tables.is_empty() {
        true => of_new_table(scope, sequence),
        false => tables.iter().all(is_unused),
    };
    let are_small = || !tables.is_empty() && tables.iter().all(|one| scope.size(one).is_small());
    if is_of_run || never_goes_back {
        return true;
    }
    if has_largest && are_small() {
        draft.remarks.push(
            "a number that a session has taken, and whose row is not committed, may be given again: \
             setval(…, GREATEST((SELECT max(…) FROM …), (SELECT last_value FROM the sequence))) never goes back"
                .to_owned(),
        );
        return true;
    }
    false
}

/// Returns the one call of a query that is `SELECT setval(…)`.
fn call_of_setval(node: &SyntaxNode) -> Option<SyntaxNode> {
    use SyntaxKind as K;
    let select = Some(node).filter(|one| one.kind() == K::SELECT)?;
    let targets = find(&child(select, K::SELECT_CLAUSE)?, K::TARGET_LIST)?;
    let mut targets = targets.children();
    let call = child(&targets.next()?, K::CALL_EXPR)?;
    let name = query::function_name(&call)?;
    let is_setval = name.strip_prefix("pg_catalog.").unwrap_or(&name) == "setval";
    (is_setval && targets.next().is_none()).then_some(call)
}

/// Returns whether a sequence is that of a column of a table that the run creates.
fn of_new_table(scope: &Scope<'_>, sequence: &SyntaxNode) -> bool {
    let arguments = query::arguments(sequence);
    let named = match arguments.first() {
        Some(table) => sequence::literal(table),
        None => return false,
    };
    let name = named.and_then(|text| sequence::name_in(&text));
    name.is_some_and(|table| scope.is_new(&table) || scope.is_of_run(&table))
}
