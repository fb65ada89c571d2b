//! The code that a statement runs and that cannot be read here: functions, operators, casts, and what the
//! database runs by itself as rows are read or written.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::builtin::{is_harmless_function, may_act};
use super::draft::Draft;
use super::query;
use super::rules::RUNS_CODE;
use super::scope::Scope;
use super::syntax::{child, child_name, find, name_under, object_name, symbols};
use crate::migrations::statement::{ObjectName, fold_name};

/// Adds the finding of code that cannot be read, under its name: `the function sync()`.
pub(super) fn add(draft: &mut Draft<'_>, node: &SyntaxNode, code: &str) {
    draft.add(RUNS_CODE, node);
    let advice = format!("plain statements; or read {code}, then override the rule");
    draft.advise(RUNS_CODE, node, Some(advice));
}

/// Adds a finding where a query runs code that may do anything, in its expressions or as it reads.
pub(super) fn judge_query(draft: &mut Draft<'_>, node: &SyntaxNode) {
    if let Some(code) = in_query(draft.scope, node) {
        add(draft, node, &code);
    }
}

/// Returns the code that a query runs, in its expressions or as it reads.
pub(super) fn in_query(scope: &Scope<'_>, node: &SyntaxNode) -> Option<String> {
    let read = || {
        let mut relations = query::names_read(node).into_iter();
        relations.find_map(|relation| scope.code_of_reads(&relation))
    };
    in_expressions(scope, node).or_else(read)
}

/// Adds a finding where a table is written anew, or its indexes are, with code in their expressions.
pub(super) fn judge_rebuild(draft: &mut Draft<'_>, node: &SyntaxNode, table: &ObjectName) {
    if let Some(code) = draft.scope.code_of_indexes(table) {
        draft.fits_both = false;
        add(draft, node, &code);
    }
}

/// Adds a finding where the expressions of a part of a statement, or the types that it names, run code.
pub(super) fn judge_values(draft: &mut Draft<'_>, node: &SyntaxNode) {
    if let Some(code) = tied_code(draft.scope, node) {
        add(draft, node, &code);
    }
}

/// Adds a finding where the expressions of a part of a statement run code that may do anything.
pub(super) fn judge_expressions(draft: &mut Draft<'_>, node: &SyntaxNode) {
    if let Some(code) = in_expressions(draft.scope, node) {
        add(draft, node, &code);
    }
}

/// Adds a finding where a change of a table's rows runs code that may do anything.
pub(super) fn judge_write(
    draft: &mut Draft<'_>,
    part: &SyntaxNode,
    table: &ObjectName,
    changes_keys: bool,
) {
    if let Some(code) = draft.scope.code_of_writes(table, changes_keys) {
        add(draft, part, &code);
    }
}

/// Returns the first code of a node's expressions that may do anything, as `the function sync()`. The body
/// of a function is none of them: it runs later.
pub(super) fn in_expressions(scope: &Scope<'_>, node: &SyntaxNode) -> Option<String> {
    if matches!(
        node.kind(),
        SyntaxKind::CREATE_FUNCTION | SyntaxKind::CREATE_PROCEDURE
    ) {
        return None;
    }
    let own = in_node(scope, node);
    own.or_else(|| node.children().find_map(|one| in_expressions(scope, &one)))
}

/// Returns the code that a node of an expression runs by itself, without the nodes below it.
pub(super) fn in_node(scope: &Scope<'_>, node: &SyntaxNode) -> Option<String> {
    match node.kind() {
        SyntaxKind::CALL_EXPR => in_call(scope, node),
        SyntaxKind::FIELD_EXPR => in_field(scope, node),
        SyntaxKind::CAST_EXPR => in_cast(scope, node),
        // These forms convert to the types that they name.
        SyntaxKind::JSON_RETURNING_CLAUSE
        | SyntaxKind::JSON_TABLE_VALUE_COLUMN
        | SyntaxKind::XML_TABLE_COLUMN => code_of_types(scope, node),
        kind => in_operator(scope, node, kind),
    }
}

fn in_call(scope: &Scope<'_>, call: &SyntaxNode) -> Option<String> {
    let Some(function) = call.children().next() else {
        return Some("the function".to_owned());
    };
    let called = function.text().to_string();
    let is_unknown = match function.kind() {
        SyntaxKind::NAME_REF | SyntaxKind::FIELD_EXPR => {
            let name = called.to_ascii_lowercase();
            match name.strip_prefix("pg_catalog.") {
                Some(name) => !is_harmless_function(name.trim()),
                None => {
                    let name = name.trim();
                    let provided = scope.provided_name(name);
                    let is_provided = provided.is_some_and(|name| is_harmless_function(&name));
                    (!is_harmless_function(name) || scope.has_routine_named(name))
                        && !is_provided
                        && !scope.only_computes(name)
                }
            }
        }
        // Forms with keywords: EXISTS, EXTRACT, SUBSTRING.
        _ => false,
    };
    is_unknown.then(|| format!("the function {}()", called.trim()))
}

/// `row.function` and `(value).function` are calls, unless the row has a column of that name.
fn in_field(scope: &Scope<'_>, field: &SyntaxNode) -> Option<String> {
    let is_of_call = field.parent().is_some_and(|parent| {
        parent.kind() == SyntaxKind::CALL_EXPR && parent.children().next().as_ref() == Some(field)
    });
    let mut parts = field.children();
    let (base, name) = (parts.next()?, parts.last()?);
    if is_of_call || name.kind() != SyntaxKind::NAME_REF {
        return None;
    }
    let name = fold_name(name.text().to_string().trim());
    let may_call = scope.has_routine_named(&name) || may_act(scope.facts, &name);
    let has_column = || match base.kind() {
        SyntaxKind::NAME_REF => rows_have_column(scope, field, &base, &name),
        _ => false,
    };
    let call = || {
        format!(
            "the function {name}() of {}",
            field.text().to_string().trim()
        )
    };
    (may_call && !has_column()).then(call)
}

/// Returns whether each table that a statement calls by this name has the column.
fn rows_have_column(scope: &Scope<'_>, within: &SyntaxNode, base: &SyntaxNode, name: &str) -> bool {
    let called = fold_name(base.text().to_string().trim());
    let Some(statement) = within.ancestors().last() else {
        return false;
    };
    let mut tables = tables_called(&statement, &called).into_iter().peekable();
    let has_column = |table: Option<ObjectName>| {
        let facts = table.and_then(|table| scope.relation(&table));
        facts.is_some_and(|facts| facts.columns.contains_key(name))
    };
    tables.peek().is_some() && tables.all(has_column)
}

/// Returns the tables of a statement that are called by a name or an alias; `None` for a subquery, a
/// function, or another item whose columns are not known here.
fn tables_called(statement: &SyntaxNode, called: &str) -> Vec<Option<ObjectName>> {
    use SyntaxKind as K;
    let mut tables = Vec::new();
    let own_names: Vec<String> = statement
        .descendants()
        .filter(|one| one.kind() == K::CTE_NAME)
        .map(|one| fold_name(one.text().to_string().trim()))
        .collect();
    for item in statement.descendants() {
        let table = match item.kind() {
            K::RELATION_FROM_ITEM => name_under(&item, K::RELATION_NAME_REF),
            K::INSERT | K::UPDATE | K::DELETE => child_name(&item, K::RELATION_NAME_REF)
                .or_else(|| name_under(&child(&item, K::RELATION_NAME)?, K::RELATION_NAME_REF)),
            K::MERGE | K::ALTER_TABLE | K::CREATE_INDEX => {
                child_name(&item, K::TABLE_RELATION_NAME)
            }
            K::PAREN_FROM_ITEM | K::FUNCTION_FROM_ITEM | K::ROWS_FROM_ITEM => None,
            _ => continue,
        };
        let alias = item.children().find(|one| {
            matches!(
                one.kind(),
                K::FROM_ALIAS | K::OPTIONAL_AS_ALIAS | K::REQUIRED_AS_ALIAS
            )
        });
        // An alias may rename the columns.
        let renames = alias
            .as_ref()
            .is_some_and(|alias| find(alias, K::COLUMN_LIST).is_some());
        let alias = alias.and_then(|alias| find(&alias, K::TABLE_ALIAS));
        let alias = alias.map(|alias| fold_name(alias.text().to_string().trim()));
        let is_own = table
            .as_ref()
            .is_some_and(|table| table.schema.is_none() && own_names.contains(&table.name));
        let is_called = match &alias {
            Some(alias) => alias == called,
            None => table.as_ref().is_some_and(|table| table.name == called),
        };
        let is_excluded = item.kind() == K::INSERT && called == "excluded";
        if is_called || is_excluded {
            tables.push(table.filter(|_| !renames && !is_own));
        }
    }
    tables
}

/// A cast to a domain runs its constraints, and one that the database has of its own a function.
fn in_cast(scope: &Scope<'_>, cast: &SyntaxNode) -> Option<String> {
    let target = cast.children().find(|one| is_of_type(one.kind()))?;
    let name = type_name(&target)?;
    scope
        .runs_code_of_type(&name)
        .then(|| format!("the cast to {name}"))
}

pub(super) fn is_of_type(kind: SyntaxKind) -> bool {
    matches!(kind, SyntaxKind::PATH_TYPE | SyntaxKind::ARRAY_TYPE)
}

/// Returns the name of a type, or of an array's elements.
pub(super) fn type_name(node: &SyntaxNode) -> Option<ObjectName> {
    object_name(&find(node, SyntaxKind::PATH_REF)?)
}

fn in_operator(scope: &Scope<'_>, node: &SyntaxNode, kind: SyntaxKind) -> Option<String> {
    use SyntaxKind as K;
    let operator: String = match kind {
        K::BIN_EXPR | K::PREFIX_EXPR | K::POSTFIX_EXPR | K::SORT_USING => symbols(node),
        // Forms with keywords compare by operators, too.
        K::BETWEEN_EXPR | K::JOIN_USING_CLAUSE | K::CASE_EXPR => String::new(),
        _ => return None,
    };
    let is_unknown = match operator.is_empty() {
        // `LIKE`, `IN` and `IS DISTINCT FROM`, too.
        true => scope.has_own_operator_of_postgres(),
        false => scope.has_own_operator(&operator),
    };
    is_unknown.then(|| match operator.is_empty() {
        true => "the database's own operators".to_owned(),
        false => format!("the operator {operator}"),
    })
}

/// Returns the code of a statement's expressions, or of the types that it gives to columns.
pub(super) fn tied_code(scope: &Scope<'_>, node: &SyntaxNode) -> Option<String> {
    in_expressions(scope, node).or_else(|| code_of_types(scope, node))
}

/// Returns the type of a statement whose values are checked or converted by code.
pub(super) fn code_of_types(scope: &Scope<'_>, node: &SyntaxNode) -> Option<String> {
    let types = node.descendants().filter(|one| is_of_type(one.kind()));
    let mut names = types.filter_map(|one| type_name(&one));
    let name = names.find(|name| scope.facts.is_known() && scope.runs_code_of_type(name))?;
    Some(format!("the type {name}"))
}
