//! Statements that create objects.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::builtin::is_usual_extension;
use super::create_index;
use super::data;
use super::draft::Draft;
use super::effects;
use super::hidden;
use super::lock::LockMode;
use super::numbered;
use super::own_code;
use super::query;
use super::replaced;
use super::routine_body;
use super::rules::{
    ATTACH_PARTITION, BAN_REPLACE, CREATE_RULE, CREATE_TRIGGER, RECREATE, SHARED_OBJECT,
    UNKNOWN_STATEMENT,
};
use super::scope::Scope;
use super::seen_by::RoutineFacts;
use super::sequence;
use super::syntax::{child, child_name, find, name_under, names_under, object_name};
use crate::migrations::statement::ObjectName;

pub(super) fn is_creation(kind: SyntaxKind) -> bool {
    use SyntaxKind as K;
    kind == K::SELECT_INTO || format!("{kind:?}").starts_with("CREATE_")
}

/// Judges the statement.
pub(super) fn judge(draft: &mut Draft<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    match node.kind() {
        K::CREATE_TABLE | K::CREATE_FOREIGN_TABLE => table(draft, node),
        K::CREATE_TABLE_AS | K::SELECT_INTO | K::CREATE_MATERIALIZED_VIEW => {
            query::lock_relations(draft, node);
            draft.is_long = query::may_take_long(node);
            if has_no_data(node) {
                draft.is_long = false;
            } else if find(node, K::EXECUTE).is_some() {
                own_code::add(draft, node, "the prepared statement");
            } else {
                own_code::judge_query(draft, node);
            }
        }
        K::CREATE_VIEW => {
            query::lock_relations(draft, node);
            let view = created(node);
            let exists = view.as_ref().is_none_or(|view| {
                !draft.scope.facts.is_known()
                    || draft.scope.is_unresolvable(view)
                    || draft.scope.relation(view).is_some()
            });
            replace(draft, node, exists);
            if let Some(view) = view.filter(|_| exists && child(node, K::OR_REPLACE).is_some()) {
                draft.lock(&view, LockMode::AccessExclusive, false);
            }
        }
        K::CREATE_FUNCTION | K::CREATE_PROCEDURE | K::CREATE_AGGREGATE => {
            let exists = created(node).is_none_or(|name| {
                let facts = draft.scope.facts;
                !facts.is_known() || facts.routines.contains(&draft.scope.resolve(&name))
            });
            replace(draft, node, exists);
        }
        K::CREATE_INDEX => create_index::judge(draft, node),
        K::CREATE_EXTENSION => extension(draft, node),
        K::CREATE_TRIGGER => on_table(draft, node, CREATE_TRIGGER, LockMode::ShareRowExclusive),
        K::CREATE_RULE => {
            on_table(draft, node, CREATE_RULE, LockMode::AccessExclusive);
            // Its actions run with later statements: they are judged as what they are.
            if let Some(actions) = child(node, K::RULE_DO) {
                data::judge_parts(draft, &actions);
                own_code::judge_query(draft, &actions);
            }
        }
        K::CREATE_POLICY => {
            if let Some(table) = name_under(node, K::TABLE_NAME_REF) {
                draft.lock(&table, LockMode::AccessExclusive, false);
                if draft.scope.is_new(&table) {
                    draft.accept_as_new();
                } else if draft.scope.is_of_run(&table) {
                    draft.accept_as_unused();
                }
            }
        }
        K::CREATE_STATISTICS => {
            for table in names_under(node, &[K::TABLE_NAME_REF]) {
                draft.lock(&table, LockMode::ShareUpdateExclusive, false);
            }
            draft.fits_both = true;
        }
        K::CREATE_TYPE
        | K::CREATE_DOMAIN
        | K::CREATE_SEQUENCE
        | K::CREATE_SCHEMA
        | K::CREATE_COLLATION
        | K::CREATE_TEXT_SEARCH_CONFIGURATION
        | K::CREATE_TEXT_SEARCH_DICTIONARY
        | K::CREATE_TEXT_SEARCH_PARSER
        | K::CREATE_TEXT_SEARCH_TEMPLATE
        | K::CREATE_FOREIGN_DATA_WRAPPER
        | K::CREATE_SERVER
        | K::CREATE_USER_MAPPING
        | K::CREATE_ACCESS_METHOD => {}
        K::CREATE_ROLE | K::CREATE_USER | K::CREATE_GROUP => draft.add(SHARED_OBJECT, node),
        _ => draft.add(UNKNOWN_STATEMENT, node),
    }
    if let Some(name) = created(node) {
        let scope = draft.scope;
        let is_again = match node.kind() {
            K::CREATE_FUNCTION | K::CREATE_PROCEDURE => scope.was_routine_dropped(&name.name),
            _ => scope.was_dropped(&name),
        };
        if is_again {
            draft.add(RECREATE, node);
        }
        if !is_temporary(node) && node.kind() != K::CREATE_INDEX {
            hidden::judge(draft, node, &name);
        }
    }
}

/// Records the new object.
pub(super) fn apply(scope: &mut Scope<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    if node.kind() == K::CREATE_SCHEMA
        && let Some(schema) = schema_of(scope, node)
    {
        return scope.create_schema(&schema);
    }
    let Some(mut name) = created(node) else {
        return;
    };
    match node.kind() {
        K::CREATE_FUNCTION | K::CREATE_PROCEDURE | K::CREATE_AGGREGATE => {
            let facts = match node.kind() {
                K::CREATE_AGGREGATE => None,
                _ => {
                    let facts = routine_body::facts_of(node, &name);
                    let effects = effects::of(scope, &facts);
                    Some(RoutineFacts { effects, ..facts })
                }
            };
            return scope.create_routine(&name, facts);
        }
        K::CREATE_DOMAIN => scope.constrain_domain(&name),
        K::CREATE_SEQUENCE => sequence::apply_new(scope, node),
        // An index is in the schema of its table.
        K::CREATE_INDEX => name.schema = create_index::apply(scope, node, &name),
        _ => {}
    }
    let is_filled = matches!(node.kind(), K::CREATE_TABLE_AS | K::SELECT_INTO);
    if is_filled && query::reads_many_rows(scope, node) {
        scope.fill(&scope.creation_name(&name));
    }
    if is_temporary(node) {
        return scope.create_temporary(&name);
    }
    let name = scope.creation_name(&name);
    if node.kind() == K::CREATE_TABLE {
        for column in numbered::columns_of_new(node) {
            scope.number(&name, column);
        }
        for column in first_columns_of_keys(node) {
            scope.begin_key(&name, column);
        }
    }
    let may_exist = child(node, K::IF_NOT_EXISTS).is_some() || child(node, K::OR_REPLACE).is_some();
    let is_unclear = !scope.facts.is_known() && child(node, K::OR_REPLACE).is_some()
        || scope.is_unresolvable(&name);
    if !(may_exist && (is_unclear || scope.has(&name))) {
        scope.create(&name);
    }
}

/// Returns the columns with which the unique keys of a new table begin.
fn first_columns_of_keys(node: &SyntaxNode) -> Vec<String> {
    use SyntaxKind as K;
    let keys = node
        .descendants()
        .filter(|one| matches!(one.kind(), K::PRIMARY_KEY_CONSTRAINT | K::UNIQUE_CONSTRAINT));
    let first = keys.filter_map(|key| {
        let listed = name_under(&key, K::COLUMN_NAME_REF);
        listed.or_else(|| child_name(&key.parent()?, K::COLUMN_NAME))
    });
    first.map(|name| name.name).collect()
}

/// Returns the name of the schema that a statement creates: that of its owner, if it has no other.
pub(super) fn schema_of(scope: &Scope<'_>, node: &SyntaxNode) -> Option<String> {
    use SyntaxKind as K;
    if let Some(named) = child(node, K::NAMED_SCHEMA) {
        return named
            .children()
            .next()
            .as_ref()
            .and_then(object_name)
            .map(|one| one.name);
    }
    let owner = child_name(&child(node, K::AUTHORIZATION_SCHEMA)?, K::ROLE)?.name;
    match owner.as_str() {
        "current_user" | "current_role" | "session_user" => Some(scope.facts.role.clone()),
        _ => Some(owner),
    }
}

/// Returns the statements in a `CREATE SCHEMA`, which create objects in the new schema.
pub(super) fn elements_of_schema(node: &SyntaxNode) -> Vec<SyntaxNode> {
    use SyntaxKind as K;
    let is_statement = |kind: SyntaxKind| is_creation(kind) || matches!(kind, K::GRANT | K::REVOKE);
    if node.kind() != K::CREATE_SCHEMA {
        return Vec::new();
    }
    node.children()
        .filter(|one| is_statement(one.kind()))
        .collect()
}

/// Returns whether the statement creates a temporary table, view or sequence. The keyword is a part of
/// the statement: in a name it says nothing.
fn is_temporary(node: &SyntaxNode) -> bool {
    let is_given = |node: &SyntaxNode| child(node, SyntaxKind::TEMP).is_some();
    is_given(node) || find(node, SyntaxKind::INTO_CLAUSE).is_some_and(|into| is_given(&into))
}

/// Returns whether the query of the statement does not run: `WITH NO DATA`.
fn has_no_data(node: &SyntaxNode) -> bool {
    let text = node.text().to_string().to_ascii_uppercase();
    let mut words = text.trim_end_matches(';').split_whitespace().rev();
    [words.next(), words.next(), words.next()] == [Some("DATA"), Some("NO"), Some("WITH")]
}

/// Returns the name of the object that the statement creates.
fn created(node: &SyntaxNode) -> Option<ObjectName> {
    use SyntaxKind as K;
    let kinds = [
        K::TABLE_NAME,
        K::VIEW,
        K::FUNCTION_NAME,
        K::PROCEDURE_NAME,
        K::AGGREGATE_NAME,
        K::TYPE_NAME,
        K::DOMAIN,
        K::SEQUENCE,
        K::INDEX,
    ];
    let node = match node.kind() {
        K::SELECT_INTO => find(node, K::INTO_CLAUSE)?,
        _ => node.clone(),
    };
    kinds.into_iter().find_map(|kind| child_name(&node, kind))
}

/// Judges `OR REPLACE`: without an object of that name it creates one.
fn replace(draft: &mut Draft<'_>, node: &SyntaxNode, exists: bool) {
    if !exists {
        draft.dismiss(BAN_REPLACE, node, "there is none of that name");
    } else if created(node).is_some_and(|name| is_new_of_its_kind(draft, node, &name)) {
        draft.dismiss(BAN_REPLACE, node, "the same file creates it");
    } else if let Some(because) =
        created(node).and_then(|name| replaced::is_harmless(draft.scope, node, &name))
    {
        draft.dismiss(BAN_REPLACE, node, because);
    }
}

fn is_new_of_its_kind(draft: &Draft<'_>, node: &SyntaxNode, name: &ObjectName) -> bool {
    match node.kind() {
        SyntaxKind::CREATE_VIEW => draft.scope.is_new(name),
        _ => draft.scope.is_new_routine(name),
    }
}

fn table(draft: &mut Draft<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    let own = created(node);
    if child(node, K::IF_NOT_EXISTS).is_some()
        && own
            .as_ref()
            .is_some_and(|name| draft.scope.relation(name).is_some())
    {
        draft.dismiss_all("the table exists");
        return;
    }
    for part in node.descendants() {
        let table = match part.kind() {
            K::REFERENCES_CONSTRAINT | K::FOREIGN_KEY_CONSTRAINT => {
                child_name(&part, K::TABLE_NAME_REF)
            }
            _ => None,
        };
        if let Some(table) = table.filter(|table| Some(table) != own.as_ref()) {
            draft.lock(&table, LockMode::ShareRowExclusive, false);
        }
    }
    if let Some(part) = child(node, K::PARTITION_OF)
        && let Some(parent) = name_under(&part, K::TABLE_NAME_REF)
    {
        draft.lock(&parent, LockMode::AccessExclusive, false);
        lock_tied_by_keys(draft, &parent);
        if draft
            .scope
            .relation(&parent)
            .is_some_and(|facts| facts.has_default_partition)
        {
            draft.add(ATTACH_PARTITION, node);
            if let Some(code) = draft.scope.code_of_key(&parent) {
                own_code::add(draft, node, &code);
            }
        }
    }
    if let Some(part) = child(node, K::INHERITS) {
        for parent in names_under(&part, &[K::TABLE_NAME_REF, K::RELATION_NAME_REF]) {
            draft.lock(&parent, LockMode::ShareUpdateExclusive, false);
        }
    }
    let likes: Vec<SyntaxNode> = node
        .descendants()
        .filter(|one| one.kind() == K::LIKE_CLAUSE)
        .collect();
    for like in likes {
        if let Some(name) = name_under(&like, K::RELATION_NAME_REF) {
            draft.lock(&name, LockMode::AccessShare, false);
        }
    }
}

/// Records the locks of a new partition on the tables that its foreign keys reference, and on those that reference
/// the partitioned table.
pub(super) fn lock_tied_by_keys(draft: &mut Draft<'_>, parent: &ObjectName) {
    let scope = draft.scope;
    let mut tied = scope.referenced_by_rows(parent, None);
    let referencing = scope.facts.referencing(&scope.resolve(parent)).into_iter();
    tied.extend(referencing.cloned());
    for other in tied {
        draft.lock(&other, LockMode::ShareRowExclusive, false);
    }
}

/// The script of an extension that is not known may do anything.
fn extension(draft: &mut Draft<'_>, node: &SyntaxNode) {
    let name = name_under(node, SyntaxKind::EXTENSION);
    if let Some(name) = name.filter(|name| !is_usual_extension(&name.name)) {
        own_code::add(draft, node, &format!("the script of the extension {name}"));
    }
}

fn on_table(draft: &mut Draft<'_>, node: &SyntaxNode, rule: &'static str, mode: LockMode) {
    use SyntaxKind as K;
    let relation = find(node, K::ON_RELATION).or_else(|| find(node, K::RULE_ON));
    let table = relation.and_then(|one| name_under(&one, K::RELATION_NAME_REF));
    let Some(table) = table else {
        draft.add(UNKNOWN_STATEMENT, node);
        return;
    };
    if draft.scope.is_new(&table) {
        draft.accept_as_new();
        return;
    }
    draft.dismiss(BAN_REPLACE, node, "create-trigger or create-rule says it");
    draft.add(rule, node);
    draft.lock(&table, mode, false);
    if draft.scope.is_of_run(&table) {
        draft.accept_as_unused();
    }
}
