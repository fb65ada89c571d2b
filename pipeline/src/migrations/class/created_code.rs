//! The code that a run's statements create, so that later ones run it: with the rows of a table, with a
//! type, with an operator.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::builtin::may_be_own_type;
use super::own_code::{code_of_types, in_expressions, in_query, is_of_type, tied_code, type_name};
use super::query;
use super::scope::{Occasion, Scope};
use super::syntax::{
    child, child_name, columns, find, holds, name_under, names_under, object_name,
};
use crate::migrations::statement::{ObjectName, fold_name};

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
                    if part.kind() == K::PARTITION_OF {
                        scope.inherit_foreign_keys(&parent, table);
                    }
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
                if let Some(other) = child_name(&part, K::TABLE_NAME_REF) {
                    scope.add_foreign_key(table, key_columns(&part), &other);
                }
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

/// Returns the columns of a foreign key: those of its list, or the one that has it.
fn key_columns(key: &SyntaxNode) -> Vec<String> {
    use SyntaxKind as K;
    if let Some(list) = child(key, K::FOREIGN_KEY_COLUMN_LIST) {
        return columns(&list);
    }
    let column = key.parent();
    let name = column.and_then(|column| child_name(&column, K::COLUMN_NAME));
    name.into_iter().map(|name| name.name).collect()
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
