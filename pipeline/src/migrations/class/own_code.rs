//! The code that a statement runs and that cannot be read here: functions, operators, casts, and what the
//! database runs by itself as rows are read or written.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::builtin::{is_harmless_function, may_act, may_be_own_type};
use super::draft::Draft;
use super::query;
use super::rules::RUNS_CODE;
use super::scope::{Occasion, Scope};
use super::syntax::{
    child, child_name, find, holds, name_under, names_under, object_name, symbols,
};
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
fn in_query(scope: &Scope<'_>, node: &SyntaxNode) -> Option<String> {
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
    let own = match node.kind() {
        SyntaxKind::CREATE_FUNCTION | SyntaxKind::CREATE_PROCEDURE => return None,
        SyntaxKind::CALL_EXPR => in_call(scope, node),
        SyntaxKind::FIELD_EXPR => in_field(scope, node),
        SyntaxKind::CAST_EXPR => in_cast(scope, node),
        // These forms convert to the types that they name.
        SyntaxKind::JSON_RETURNING_CLAUSE
        | SyntaxKind::JSON_TABLE_VALUE_COLUMN
        | SyntaxKind::XML_TABLE_COLUMN => code_of_types(scope, node),
        kind => in_operator(scope, node, kind),
    };
    own.or_else(|| node.children().find_map(|one| in_expressions(scope, &one)))
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
                    !is_harmless_function(name) || scope.has_routine_named(name)
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

fn is_of_type(kind: SyntaxKind) -> bool {
    matches!(kind, SyntaxKind::PATH_TYPE | SyntaxKind::ARRAY_TYPE)
}

/// Returns the name of a type, or of an array's elements.
fn type_name(node: &SyntaxNode) -> Option<ObjectName> {
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

/// Records the code that a statement ties to a table, a type or an operator, so that later ones run it.
pub(super) fn apply(scope: &mut Scope<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    let named = |kind: K| name_under(node, kind);
    match node.kind() {
        K::CREATE_OPERATOR => {
            if let Some(operator) = find(node, K::OP) {
                let text = operator.text().to_string();
                let name = text.rsplit('.').next().unwrap_or_default();
                scope.add_own_operator(name.trim());
            }
        }
        K::CREATE_CAST => {
            let types = node.descendants().filter(|one| is_of_type(one.kind()));
            let types: Vec<ObjectName> = types.filter_map(|one| type_name(&one)).collect();
            for name in types.iter().filter(|name| may_be_own_type(name)) {
                scope.add_code_of_type(name);
            }
        }
        K::CREATE_DOMAIN | K::ALTER_DOMAIN => {
            if let Some(domain) = named(K::DOMAIN).or_else(|| named(K::DOMAIN_REF))
                && tied_code(scope, node).is_some()
            {
                scope.add_code_of_type(&domain);
            }
        }
        K::CREATE_TRIGGER | K::CREATE_RULE => {
            let relation = find(node, K::ON_RELATION).or_else(|| find(node, K::RULE_ON));
            let table = relation.and_then(|one| name_under(&one, K::RELATION_NAME_REF));
            if let Some(table) = table
                && let Some(words) = trigger(scope, node)
            {
                scope.tie_code(Occasion::Write, &table, words);
            }
        }
        K::CREATE_TYPE => {
            let text = node.text().to_string().to_ascii_lowercase();
            let parts = ["canonical", "subtype_diff", "subtype_opclass"];
            let is_range = holds(node, K::RANGE_KW) && parts.iter().any(|one| text.contains(one));
            if let Some(name) = child_name(node, K::TYPE_NAME)
                && (is_range || tied_code(scope, node).is_some())
            {
                scope.add_code_of_type(&name);
                if holds(node, K::RANGE_KW) {
                    for multirange in multiranges(node, &name) {
                        scope.add_code_of_type(&multirange);
                    }
                }
            }
        }
        K::CREATE_STATISTICS => {
            if let Some(words) = in_expressions(scope, node) {
                for table in names_under(node, &[K::TABLE_NAME_REF, K::RELATION_NAME_REF]) {
                    scope.tie_code(Occasion::Analysis, &table, words.clone());
                }
            }
        }
        K::CREATE_VIEW | K::CREATE_MATERIALIZED_VIEW => apply_view(scope, node),
        K::CREATE_TABLE_AS | K::SELECT_INTO => {
            if let Some(table) = name_under(node, K::TABLE_NAME) {
                scope.write(&table);
            }
        }
        K::ALTER_VIEW | K::ALTER_MATERIALIZED_VIEW => {
            let is_rename = |one: &SyntaxNode| format!("{:?}", one.kind()).ends_with("RENAME_TO");
            let to = node.descendants().find(is_rename);
            let to = to.and_then(|one| object_name(&one.children().next()?));
            if let (Some(view), Some(to)) = (named(K::VIEW_REF), to) {
                scope.rename(&view, &to);
            }
        }
        K::CREATE_TABLE
        | K::CREATE_FOREIGN_TABLE
        | K::ALTER_TABLE
        | K::CREATE_INDEX
        | K::CREATE_POLICY => {
            let table = child_name(node, K::TABLE_NAME)
                .or_else(|| child_name(node, K::TABLE_RELATION_NAME))
                .or_else(|| child_name(node, K::TABLE_NAME_REF))
                .or_else(|| named(K::TABLE_NAME_REF).filter(|_| node.kind() == K::CREATE_POLICY));
            if let Some(table) = table {
                apply_table(scope, node, &table);
            }
        }
        _ => {}
    }
}

/// Returns the names that the multirange of a range may have: one that is given, or one by the range's.
fn multiranges(node: &SyntaxNode, range: &ObjectName) -> Vec<ObjectName> {
    let name = match range.name.contains("range") {
        true => range.name.replacen("range", "multirange", 1),
        false => format!("{}_multirange", range.name),
    };
    let text = node.text().to_string();
    let lower = text.to_ascii_lowercase();
    let given = lower.find("multirange_type_name").map(|at| {
        let rest = text[at..].split_once('=').map_or("", |(_, rest)| rest);
        let end = rest.find([',', ')']).unwrap_or(rest.len());
        let last = rest[..end].rsplit('.').next().unwrap_or_default();
        fold_name(last.trim())
    });
    let names = [Some(name), given].into_iter().flatten();
    let in_schema = |name| ObjectName {
        schema: range.schema.clone(),
        name,
    };
    names.map(in_schema).collect()
}

/// Records what runs with a view. A row that is written through it goes elsewhere.
fn apply_view(scope: &mut Scope<'_>, node: &SyntaxNode) {
    let Some(view) = child_name(node, SyntaxKind::VIEW) else {
        return;
    };
    let code = tied_code(scope, node).or_else(|| in_query(scope, node));
    if let Some(words) = code {
        // The rows of a materialized view are there already.
        let occasion = match node.kind() {
            SyntaxKind::CREATE_MATERIALIZED_VIEW => Occasion::Refresh,
            _ => Occasion::Read,
        };
        scope.tie_code(occasion, &view, words);
    }
    scope.tie_code(Occasion::Write, &view, format!("the view {view}"));
    scope.write(&view);
}

/// Records the code that a statement ties to a table, and the tables whose rows change with others.
fn apply_table(scope: &mut Scope<'_>, node: &SyntaxNode, table: &ObjectName) {
    use SyntaxKind as K;
    let enables = || {
        let text = node.text().to_string().to_ascii_uppercase();
        let words: Vec<&str> = text.split_whitespace().collect();
        let of_trigger = words
            .windows(2)
            .any(|pair| matches!(pair, ["ENABLE" | "ALWAYS" | "REPLICA", "TRIGGER" | "RULE"]));
        (node.kind() == K::ALTER_TABLE && of_trigger).then(|| "a trigger".to_owned())
    };
    let is_foreign = node.kind() == K::CREATE_FOREIGN_TABLE;
    let code = tied_code(scope, node)
        .or_else(|| code_of_parents(scope, node))
        .or_else(|| is_foreign.then(|| format!("the foreign table {table}")))
        .or_else(enables);
    if let Some(words) = code {
        let occasion = match node.kind() {
            K::CREATE_POLICY => Occasion::Policy,
            _ => Occasion::Write,
        };
        scope.tie_code(occasion, table, words);
    }
    apply_occasions(scope, node, table);
    for part in node.descendants() {
        match part.kind() {
            K::PARTITION_OF | K::INHERITS | K::INHERIT_TABLE => {
                for parent in names_under(&part, &[K::TABLE_NAME_REF, K::RELATION_NAME_REF]) {
                    scope.add_child(&parent, table);
                }
            }
            K::ATTACH_PARTITION => {
                if let Some(partition) = child_name(&part, K::TABLE_NAME_REF) {
                    attach(scope, table, &partition);
                    scope.add_child(table, &partition);
                }
            }
            K::ENABLE_RLS => scope.enable_row_security(table),
            K::FORCE_RLS => scope.force_row_security(table),
            K::REFERENCES_CONSTRAINT | K::FOREIGN_KEY_CONSTRAINT => {
                let text = part.text().to_string().to_ascii_uppercase();
                let acts = ["CASCADE", "SET NULL", "SET DEFAULT"];
                if let Some(other) = child_name(&part, K::TABLE_NAME_REF)
                    && acts.iter().any(|action| text.contains(action))
                {
                    scope.add_referencing(&other, table);
                }
            }
            _ => {}
        }
    }
}

/// Records the code that runs as indexes of a table are built, as it is analyzed, and as the key of its
/// partitions is computed.
fn apply_occasions(scope: &mut Scope<'_>, node: &SyntaxNode, table: &ObjectName) {
    use SyntaxKind as K;
    if node.kind() == K::CREATE_INDEX
        && let Some(words) = tied_code(scope, node)
    {
        scope.tie_code(Occasion::Index, table, words);
    }
    if matches!(node.kind(), K::CREATE_TABLE | K::ALTER_TABLE)
        && let Some(words) = code_of_types(scope, node)
    {
        scope.tie_code(Occasion::Analysis, table, words);
    }
    if let Some(key) = find(node, K::PARTITION_BY)
        && let Some(words) = in_expressions(scope, &key)
    {
        scope.tie_code(Occasion::Key, table, words);
    }
    for part in node.descendants() {
        if matches!(part.kind(), K::PARTITION_OF | K::LIKE_CLAUSE) {
            for parent in names_under(&part, &[K::TABLE_NAME_REF, K::RELATION_NAME_REF]) {
                if let Some(words) = scope.code_of_indexes(&parent) {
                    scope.tie_code(Occasion::Index, table, words);
                }
            }
        }
    }
}

/// Records what a partition has from its new parent: the check of its rows, triggers, indexes.
fn attach(scope: &mut Scope<'_>, table: &ObjectName, partition: &ObjectName) {
    if let Some(words) = scope.code_of_writes(table, false) {
        scope.tie_code(Occasion::Write, partition, words);
    }
    if let Some(words) = scope.code_of_indexes(table) {
        scope.tie_code(Occasion::Index, partition, words);
    }
}

/// Returns the trigger or rule that a statement creates, unless its function is one of Postgres.
fn trigger(scope: &Scope<'_>, node: &SyntaxNode) -> Option<String> {
    let harmless = [
        "suppress_redundant_updates_trigger",
        "tsvector_update_trigger",
    ];
    let call =
        child(node, SyntaxKind::CALL_EXPR).filter(|_| node.kind() == SyntaxKind::CREATE_TRIGGER);
    let function = call.and_then(|call| query::function_name(&call));
    let mut conditions = node
        .children()
        .filter(|one| one.kind() != SyntaxKind::CALL_EXPR);
    let is_harmless = function
        .is_some_and(|name| harmless.contains(&name.as_str()) && !scope.has_routine_named(&name))
        && conditions.all(|one| in_expressions(scope, &one).is_none());
    let name = name_under(node, SyntaxKind::TRIGGER);
    let words = name.map_or("the rule".to_owned(), |name| format!("the trigger {name}"));
    (!is_harmless).then_some(words)
}

/// Returns the code of a statement's expressions, or of the types that it gives to columns.
fn tied_code(scope: &Scope<'_>, node: &SyntaxNode) -> Option<String> {
    in_expressions(scope, node).or_else(|| code_of_types(scope, node))
}

/// Returns the type of a statement whose values are checked or converted by code.
fn code_of_types(scope: &Scope<'_>, node: &SyntaxNode) -> Option<String> {
    let types = node.descendants().filter(|one| is_of_type(one.kind()));
    let mut names = types.filter_map(|one| type_name(&one));
    let name = names.find(|name| scope.facts.is_known() && scope.runs_code_of_type(name))?;
    Some(format!("the type {name}"))
}

/// Returns the code of the tables whose defaults and constraints a new table has.
fn code_of_parents(scope: &Scope<'_>, node: &SyntaxNode) -> Option<String> {
    use SyntaxKind as K;
    let parents = node
        .descendants()
        .filter(|one| matches!(one.kind(), K::PARTITION_OF | K::INHERITS | K::LIKE_CLAUSE));
    let names =
        parents.flat_map(|one| names_under(&one, &[K::TABLE_NAME_REF, K::RELATION_NAME_REF]));
    names
        .into_iter()
        .find_map(|parent| scope.code_of_writes(&parent, false))
}
