//! The answer to one question: does a function of the database compute as it runs, or do little besides, or more than
//! is known here?
//!
//! The parser's tree of the body is read. Each statement and each call of it has to be of a closed list: what is not
//! known to be harmless is not.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::facts::RelationKind;
use super::own_code;
use super::query;
use super::routine_body;
use super::scope::Scope;
use super::seen_by::{RoutineEffects, RoutineFacts};
use super::syntax::{child, child_name, find, holds};

/// Functions that a body may call besides those that only compute.
const HARMLESS: [&str; 11] = [
    "current_query",
    "current_setting",
    "hstore",
    "inet_client_addr",
    "pg_backend_pid",
    "pg_current_xact_id",
    "pg_event_trigger_ddl_commands",
    "pg_event_trigger_dropped_objects",
    "pg_notify",
    "pg_trigger_depth",
    "txid_current",
];

/// Functions of an event trigger, which list what the statement did.
const OF_THE_STATEMENT: [&str; 2] = [
    "pg_event_trigger_ddl_commands",
    "pg_event_trigger_dropped_objects",
];

/// Functions of Postgres that compute, but change something as they do.
const ACTS: [&str; 2] = ["nextval", "setval"];

/// The things that a body may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowed {
    /// To compute a value.
    Compute,
    /// Also to insert rows of values, to notify, and to raise an error.
    Little,
}

/// A body that is read.
struct Reader<'a> {
    scope: &'a Scope<'a>,
    allowed: Allowed,
}

/// Returns what a function does, by what is known of those that it calls, and of the triggers of tables that it
/// writes.
pub(super) fn of(scope: &Scope<'_>, routine: &RoutineFacts) -> RoutineEffects {
    let Some(tree) = routine_body::tree(routine) else {
        return RoutineEffects::Unknown;
    };
    // A body in SQL is an expression: one that reads a table may take its time.
    if routine.language == "sql" && routine_body::expression(&tree).is_none() {
        return RoutineEffects::Unknown;
    }
    let accepts = |allowed: Allowed| Reader { scope, allowed }.accepts(&tree);
    match () {
        () if accepts(Allowed::Compute) => RoutineEffects::Computes,
        () if accepts(Allowed::Little) => RoutineEffects::Little,
        () => RoutineEffects::Unknown,
    }
}

impl Reader<'_> {
    /// Returns whether a statement, or a part of one, does no more than is allowed.
    fn accepts(&self, node: &SyntaxNode) -> bool {
        use SyntaxKind as K;
        let is_known = match node.kind() {
            K::PLPGSQL_EXEC_SQL_STMT => {
                let mut statements = node.children();
                let is_little = statements.next().is_some_and(|one| self.is_little(&one));
                return is_little && statements.next().is_none();
            }
            K::PLPGSQL_FOR_QUERY_STMT => find(node, K::FROM_CLAUSE).is_some_and(|from| {
                let is_function = |one: SyntaxNode| one.kind() == K::FUNCTION_FROM_ITEM;
                let called = query::called(&from);
                from.children().all(is_function)
                    && called
                        .iter()
                        .all(|name| OF_THE_STATEMENT.contains(&name.as_str()))
            }),
            K::PLPGSQL_RAISE_STMT | K::PLPGSQL_EXCEPTION_SECTION => self.allowed == Allowed::Little,
            K::PLPGSQL_EXPR | K::PLPGSQL_PERFORM_STMT => find(node, K::FROM_CLAUSE).is_none(),
            K::CALL_EXPR if self.is_harmless_call(node) => true,
            kind if is_loop(kind) => false,
            K::PLPGSQL_VAR_DECL => own_code::code_of_types(self.scope, node).is_none(),
            kind if format!("{kind:?}").starts_with("PLPGSQL_") => is_plain(kind),
            K::INSERT | K::UPDATE | K::DELETE | K::MERGE | K::SELECT_INTO | K::INTO_CLAUSE => false,
            _ => own_code::in_node(self.scope, node).is_none() && !acts(node),
        };
        is_known && node.children().all(|one| self.accepts(&one))
    }

    /// Returns whether a call is one of the closed list, or of a function that only computes.
    fn is_harmless_call(&self, call: &SyntaxNode) -> bool {
        let Some(name) = query::function_name(call) else {
            return false;
        };
        let plain = name.strip_prefix("pg_catalog.").unwrap_or(&name);
        let scope = self.scope;
        if HARMLESS.contains(&plain) {
            let notifies = plain == "pg_notify";
            return !scope.has_routine_named(plain)
                && (!notifies || self.allowed == Allowed::Little);
        }
        scope.only_computes(&name)
    }

    /// Returns whether a statement in SQL is a notification, or inserts rows of values.
    fn is_little(&self, node: &SyntaxNode) -> bool {
        use SyntaxKind as K;
        let is_allowed = self.allowed == Allowed::Little;
        match node.kind() {
            K::NOTIFY => is_allowed,
            K::INSERT => {
                let table = child_name(node, K::RELATION_NAME_REF);
                let is_table = |one: &_| {
                    let facts = self.scope.relation(one);
                    facts.is_some_and(|facts| facts.kind == RelationKind::Table)
                };
                let values = child(node, K::VALUES);
                let is_of_values = values.is_some_and(|values| {
                    find(&values, K::FROM_CLAUSE).is_none()
                        && values.children().all(|one| self.accepts(&one))
                });
                is_allowed
                    && is_of_values
                    && !holds(node, K::CONFLICT_DO_UPDATE_SET)
                    && find(node, K::WITH_CLAUSE).is_none()
                    && table
                        .filter(is_table)
                        .is_some_and(|table| self.scope.code_of_writes(&table, false).is_none())
            }
            _ => false,
        }
    }
}

/// Returns whether a call changes something, though its function counts as one that computes.
fn acts(node: &SyntaxNode) -> bool {
    node.kind() == SyntaxKind::CALL_EXPR
        && query::function_name(node).is_some_and(|name| {
            let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
            ACTS.contains(&name)
        })
}

fn is_loop(kind: SyntaxKind) -> bool {
    use SyntaxKind as K;
    matches!(
        kind,
        K::PLPGSQL_LOOP_STMT
            | K::PLPGSQL_WHILE_STMT
            | K::PLPGSQL_FOR_I_STMT
            | K::PLPGSQL_FOR_EACH_STMT
            | K::PLPGSQL_FOR_CURSOR_STMT
            | K::PLPGSQL_FOR_DYN_STMT
    )
}

/// Returns whether a part of a body in PL/pgSQL does nothing by itself.
fn is_plain(kind: SyntaxKind) -> bool {
    use SyntaxKind as K;
    let name = format!("{kind:?}");
    name.starts_with("PLPGSQL_RAISE_")
        || matches!(
            kind,
            K::PLPGSQL_ALIAS_DECL
                | K::PLPGSQL_ALIAS_TARGET
                | K::PLPGSQL_ASSIGN_STMT
                | K::PLPGSQL_ASSIGN_TARGET
                | K::PLPGSQL_BLOCK
                | K::PLPGSQL_BODY
                | K::PLPGSQL_CASE_STMT
                | K::PLPGSQL_CASE_WHEN
                | K::PLPGSQL_CONDITION
                | K::PLPGSQL_DECLARE_SECTION
                | K::PLPGSQL_ELSE_CLAUSE
                | K::PLPGSQL_ELSIF_CLAUSE
                | K::PLPGSQL_EXCEPTION_HANDLER
                | K::PLPGSQL_FOR_VARIABLE
                | K::PLPGSQL_IF_STMT
                | K::PLPGSQL_NOT_NULL
                | K::PLPGSQL_NULL_STMT
                | K::PLPGSQL_PERCENT_ROWTYPE
                | K::PLPGSQL_RETURN_STMT
                | K::PLPGSQL_VAR_DECL
                | K::PLPGSQL_VAR_INIT
                | K::PLPGSQL_VAR_NAME
                | K::PLPGSQL_VAR_NAME_REF
        )
}
