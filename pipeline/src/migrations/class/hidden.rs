//! New objects that are found by a name which meant another object until now.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::draft::Draft;
use super::rules::HIDES_OBJECT;
use super::scope::Scope;
use super::syntax::{child, holds};
use crate::migrations::statement::ObjectName;

/// The schema that Postgres searches first, unless the search path lists it.
const CATALOG: &str = "pg_catalog";

/// Adds a finding where the code that runs now may get the new object by the name of another one.
pub(super) fn judge(draft: &mut Draft<'_>, node: &SyntaxNode, created: &ObjectName) {
    use SyntaxKind as K;
    let scope = draft.scope;
    let created = scope.creation_name(created);
    if !scope.facts.is_known() || scope.is_unresolvable(&created) {
        return;
    }
    let hides = match node.kind() {
        K::CREATE_FUNCTION | K::CREATE_PROCEDURE | K::CREATE_AGGREGATE => {
            let replaces = child(node, K::OR_REPLACE).is_some();
            let is_replaced = replaces && scope.facts.routines.contains(&created);
            !is_trigger_function(node) && !is_replaced && overloads(scope, &created)
        }
        K::CREATE_TYPE | K::CREATE_DOMAIN => {
            let types = &scope.facts.types;
            hides(scope, &created, |name| {
                types.contains(name) || scope.has(name)
            })
        }
        _ => hides(scope, &created, |name| scope.has(name)),
    };
    if hides {
        draft.add(HIDES_OBJECT, node);
    }
}

/// Returns whether the object comes before another one of its name in the search path.
fn hides(scope: &Scope<'_>, created: &ObjectName, exists: impl Fn(&ObjectName) -> bool) -> bool {
    let schemas = scope.facts.listed_schemas.iter();
    let mut at_or_after = schemas.skip_while(|schema| Some(*schema) != created.schema.as_ref());
    let is_listed = at_or_after.next().is_some();
    let mut later = at_or_after.map(|schema| ObjectName::in_schema(schema, &created.name));
    let is_hidden_itself = {
        let before = scope.facts.listed_schemas.iter();
        let mut before = before.take_while(|schema| Some(*schema) != created.schema.as_ref());
        before.any(|schema| exists(&ObjectName::in_schema(schema, &created.name)))
    };
    is_listed && !is_hidden_itself && !exists(created) && later.any(|name| exists(&name))
}

/// Returns whether calls of another function may become calls of the new one, or ambiguous.
fn overloads(scope: &Scope<'_>, created: &ObjectName) -> bool {
    let listed = &scope.facts.listed_schemas;
    let is_listed = |schema: &Option<String>| {
        schema
            .as_deref()
            .is_some_and(|schema| schema == CATALOG || listed.iter().any(|one| one == schema))
    };
    let own = scope.facts.routines.iter();
    let mut routines = own.chain(&scope.facts.provided_routines);
    !scope.was_routine_dropped(&created.name)
        && routines.any(|routine| {
            routine.name == created.name
                && (routine.schema == created.schema
                    || (is_listed(&routine.schema) && is_listed(&created.schema)))
        })
}

/// Returns whether the function returns `trigger`, so that no query can call it.
fn is_trigger_function(node: &SyntaxNode) -> bool {
    let returned = child(node, SyntaxKind::RET_TYPE);
    returned.is_some_and(|returned| {
        let words = returned.text().to_string().to_ascii_lowercase();
        let is_trigger = words
            .split_whitespace()
            .last()
            .is_some_and(|word| matches!(word, "trigger" | "event_trigger"));
        is_trigger && !holds(&returned, SyntaxKind::TABLE_KW)
    })
}
