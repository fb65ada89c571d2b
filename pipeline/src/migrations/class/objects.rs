//! The objects that a statement uses, by which a run decides whether two files may change places.

use std::collections::BTreeSet;

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::builtin::{is_builtin_type, is_harmless_function};
use super::data;
use super::draft::{Draft, Found};
use super::query;
use super::routine_body;
use super::rules::{RUNS_CODE, SYNTAX_ERROR, UNKNOWN_STATEMENT};
use super::syntax::{child, find, holds, names_under, object_name};
use crate::migrations::statement::{ObjectName, fold_name};

/// The nodes that name a table, a view, a sequence or an index.
const RELATIONS: [SyntaxKind; 12] = {
    use SyntaxKind as K;
    [
        K::INDEX,
        K::INDEX_REF,
        K::RELATION_NAME,
        K::RELATION_NAME_REF,
        K::SEQUENCE,
        K::SEQUENCE_REF,
        K::TABLE_NAME,
        K::TABLE_NAME_REF,
        K::TABLE_RELATION_NAME,
        K::VIEW,
        K::VIEW_REF,
        K::OPTION_SEQUENCE_NAME,
    ]
};

/// The nodes that name a type or a function, of which the facts do not tell the schema.
const OTHERS: [SyntaxKind; 11] = {
    use SyntaxKind as K;
    [
        K::AGGREGATE_NAME,
        K::DOMAIN,
        K::DOMAIN_REF,
        K::FUNCTION_NAME,
        K::FUNCTION_NAME_REF,
        K::PROCEDURE_NAME,
        K::PROCEDURE_NAME_REF,
        K::ROUTINE_NAME,
        K::ROUTINE_NAME_REF,
        K::TYPE_NAME,
        K::TYPE_NAME_REF,
    ]
};

/// Returns the objects that a statement uses; `None` where it may use others, too.
///
/// A type or a function stands without its schema: what has the same name counts as the same.
pub(super) fn of(draft: &Draft<'_>, node: &SyntaxNode) -> Option<BTreeSet<ObjectName>> {
    let hides_its_objects =
        |one: &Found| matches!(one.rule.name, RUNS_CODE | UNKNOWN_STATEMENT | SYNTAX_ERROR);
    if draft.found.iter().any(hides_its_objects) || !names_all(node) {
        return None;
    }
    let scope = draft.scope;
    let mut nodes = vec![node.clone()];
    if routine_body::is_routine(node) {
        nodes.extend(routine_body::statements(node)?);
        if !nodes.iter().skip(1).all(names_all) {
            return None;
        }
    }
    let mut objects: BTreeSet<ObjectName> = BTreeSet::new();
    for node in &nodes {
        let related = names_under(node, &RELATIONS).into_iter();
        objects.extend(related.map(|name| scope.resolve(&name)));
        objects.extend(sequences(node).iter().map(|name| scope.resolve(name)));
    }
    objects.extend(draft.locks.iter().map(|lock| lock.table.clone()));
    if objects.iter().any(|name| scope.is_unresolvable(name)) {
        return None;
    }
    for node in &nodes {
        let others = names_under(node, &OTHERS).into_iter();
        objects.extend(others.map(|name| ObjectName::new(name.name)));
        for name in types(node) {
            // A table is a type, too.
            objects.extend(scope.relations_named(&name));
            objects.insert(ObjectName::new(name.name));
        }
        objects.extend(functions(draft, node));
    }
    Some(objects)
}

/// Returns whether the statement names all that it uses: its kind is known to, and it has no clause
/// by which it reaches more.
fn names_all(node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let reaches_more = node.descendants().any(|one| match one.kind() {
        K::CASCADE => !of_foreign_key(&one),
        K::PRIVILEGE_ALL_FUNCTIONS_IN_SCHEMA
        | K::PRIVILEGE_ALL_PROCEDURES_IN_SCHEMA
        | K::PRIVILEGE_ALL_ROUTINES_IN_SCHEMA
        | K::PRIVILEGE_ALL_SEQUENCES_IN_SCHEMA
        | K::PRIVILEGE_ALL_TABLES_IN_SCHEMA
        | K::ALL_IN_TABLESPACE
        | K::PRIVILEGE_SCHEMA
        | K::PRIVILEGE_DATABASE => true,
        _ => false,
    });
    if reaches_more {
        return false;
    }
    match node.kind() {
        kind if data::is_query(kind) => true,
        K::SELECT_INTO
        | K::CREATE_TABLE
        | K::CREATE_TABLE_AS
        | K::CREATE_VIEW
        | K::CREATE_MATERIALIZED_VIEW
        | K::CREATE_INDEX
        | K::CREATE_SEQUENCE
        | K::CREATE_TYPE
        | K::CREATE_DOMAIN
        | K::CREATE_STATISTICS
        | K::CREATE_POLICY
        | K::CREATE_TRIGGER
        | K::CREATE_RULE
        | K::CREATE_FUNCTION
        | K::CREATE_PROCEDURE
        | K::ALTER_TABLE
        | K::ALTER_INDEX
        | K::ALTER_SEQUENCE
        | K::ALTER_TYPE
        | K::ALTER_DOMAIN
        | K::ALTER_VIEW
        | K::ALTER_MATERIALIZED_VIEW
        | K::ALTER_POLICY
        | K::ALTER_TRIGGER
        | K::DROP_TABLE
        | K::DROP_VIEW
        | K::DROP_MATERIALIZED_VIEW
        | K::DROP_INDEX
        | K::DROP_SEQUENCE
        | K::DROP_TYPE
        | K::DROP_DOMAIN
        | K::DROP_FUNCTION
        | K::DROP_PROCEDURE
        | K::DROP_ROUTINE
        | K::DROP_TRIGGER
        | K::DROP_RULE
        | K::DROP_POLICY
        | K::TRUNCATE
        | K::ANALYZE
        | K::VACUUM
        | K::CLUSTER
        | K::REINDEX
        | K::REFRESH
        | K::LOCK
        | K::SET
        | K::RESET
        | K::SHOW => true,
        K::GRANT | K::REVOKE => child(node, K::ON_PRIVILEGE_OBJECTS_CLAUSE).is_some(),
        // Its elements are in the new schema, whatever the search path is.
        K::CREATE_SCHEMA => node.children().all(|one| {
            matches!(
                one.kind(),
                K::IF_NOT_EXISTS | K::NAMED_SCHEMA | K::AUTHORIZATION_SCHEMA
            )
        }),
        K::COMMENT_ON => {
            let kinds = [
                K::OBJECT_COLUMN,
                K::OBJECT_INDEX,
                K::OBJECT_MATERIALIZED_VIEW,
                K::OBJECT_SEQUENCE,
                K::OBJECT_TABLE,
                K::OBJECT_VIEW,
            ];
            kinds.iter().any(|kind| child(node, *kind).is_some())
        }
        _ => false,
    }
}

/// Returns whether a `CASCADE` is an action of a foreign key.
fn of_foreign_key(cascade: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let mut above = cascade.ancestors().map(|one| one.kind());
    above.any(|kind| matches!(kind, K::ON_DELETE_ACTION | K::ON_UPDATE_ACTION))
}

/// Returns the types of columns, parameters and casts that are none of Postgres.
fn types(node: &SyntaxNode) -> Vec<ObjectName> {
    let paths = node
        .descendants()
        .filter(|one| one.kind() == SyntaxKind::PATH_TYPE);
    let names = paths.filter_map(|one| object_name(&find(&one, SyntaxKind::PATH_REF)?));
    let foreign = names.filter(|name| {
        name.schema.as_deref() != Some("pg_catalog") && !is_builtin_type(&name.name)
    });
    foreign.collect()
}

/// Returns the called functions that may be the database's own.
fn functions(draft: &Draft<'_>, node: &SyntaxNode) -> Vec<ObjectName> {
    let called = query::called(node).into_iter();
    let own = called.filter(|name| match draft.scope.facts.is_known() {
        true => draft.scope.has_routine_named(name),
        false => !is_harmless_function(name),
    });
    own.map(ObjectName::new).collect()
}

/// Returns the sequences that a statement names in a string: `nextval('numbers')`.
fn sequences(node: &SyntaxNode) -> Vec<ObjectName> {
    use SyntaxKind as K;
    let calls = node
        .descendants()
        .filter(|one| one.kind() == K::CALL_EXPR && !holds(one, K::SELECT_KW));
    let of_sequence = calls.filter(|call| {
        let name = query::function_name(call);
        name.is_some_and(|name| matches!(name.as_str(), "nextval" | "currval" | "setval"))
    });
    let literals = of_sequence.filter_map(|call| find(&call, K::LITERAL));
    let names = literals.filter_map(|literal| {
        let text = literal.text().to_string();
        let parts = text.trim_matches('\'').split('.').map(fold_name);
        ObjectName::from_parts(parts.collect())
    });
    names.collect()
}
