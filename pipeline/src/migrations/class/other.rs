//! The statements that neither create nor drop, and are no query.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::domain;
use super::draft::Draft;
use super::facts::SMALL_TABLE_BYTES;
use super::lock::LockMode;
use super::own_code;
use super::rules::{
    CONCURRENT_REINDEX, LOCK_TABLE, REFRESH_VIEW, REWRITE_TABLE, RUNNER_SETTING, SHARED_OBJECT,
    TRUNCATE, UNKNOWN_STATEMENT,
};
use super::safe_form;
use super::scope::{Occasion, Scope};
use super::sequence;
use super::syntax::{child, find, has_token, holds, name_under, names_under};
use crate::migrations::statement::ObjectName;

/// Returns the name after the keyword of a `CALL` or `EXECUTE`.
fn called(node: &SyntaxNode, keyword: &str) -> String {
    let text = node.text().to_string();
    let after = text.get(keyword.len()..).unwrap_or_default().trim_start();
    let name = after.split(|c: char| c == '(' || c == ';' || c.is_whitespace());
    name.take(1).collect()
}

/// The settings with which the runner bounds its work, and those that change its rights.
const RUNNER_SETTINGS: [&str; 20] = [
    "client_connection_check_interval",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "lock_timeout",
    "role",
    "row_security",
    "session_authorization",
    "session_replication_role",
    "statement_timeout",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
    "transaction_timeout",
];

/// Judges the statement.
pub(super) fn judge(draft: &mut Draft<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    match node.kind() {
        K::COMMENT_ON => {
            if let Some(table) = commented_table(node) {
                draft.lock(&table, LockMode::ShareUpdateExclusive, false);
            }
            draft.fits_both = true;
        }
        K::GRANT | K::REVOKE if is_about_shared_objects(node) => draft.add(SHARED_OBJECT, node),
        K::GRANT | K::ALTER_DEFAULT_PRIVILEGES => draft.fits_both = !holds(node, K::REVOKE_KW),
        K::REVOKE
        | K::SHOW
        | K::NOTIFY
        | K::LISTEN
        | K::UNLISTEN
        | K::PREPARE
        | K::DEALLOCATE
        | K::SET_CONSTRAINTS => draft.fits_both = draft.found.is_empty(),
        K::ANALYZE => maintain(draft, node),
        K::VACUUM if !holds(node, K::FULL_KW) => maintain(draft, node),
        K::VACUUM | K::CLUSTER | K::REPACK => {
            draft.add(REWRITE_TABLE, node);
            for table in names_under(node, &[K::TABLE_NAME_REF]) {
                draft.lock(&table, LockMode::AccessExclusive, true);
                draft.relax(&table);
            }
        }
        K::REINDEX => reindex(draft, node),
        K::REFRESH => refresh(draft, node),
        K::LOCK => lock_table(draft, node),
        K::TRUNCATE => truncate(draft, node),
        K::SET => set(draft, node),
        K::RESET => {
            let resets = name_under(node, K::CONFIG_PARAMETER_REF);
            if resets.is_none_or(|name| RUNNER_SETTINGS.contains(&name.name.as_str())) {
                draft.add(RUNNER_SETTING, node);
            }
            draft.fits_both = true;
        }
        K::SET_ROLE | K::SET_SESSION_AUTH | K::RESET_ROLE | K::RESET_SESSION_AUTH | K::DISCARD => {
            draft.add(RUNNER_SETTING, node);
        }
        K::DO => own_code::add(draft, node, "the DO block"),
        K::CALL => {
            let procedure = called(node, "CALL");
            own_code::add(draft, node, &format!("the procedure {procedure}()"));
        }
        K::EXECUTE => {
            let prepared = called(node, "EXECUTE");
            own_code::add(draft, node, &format!("the prepared statement {prepared}"));
        }
        K::EXPLAIN if !holds(node, K::ANALYZE_KW) => {
            draft.fits_both = true;
            // The planner calls functions of constants.
            own_code::judge_query(draft, node);
        }
        K::EXPLAIN => own_code::add(draft, node, "the statement that EXPLAIN ANALYZE runs"),
        K::ALTER_TYPE => {
            let is_harmless = child(node, K::ADD_VALUE).is_some();
            alter(draft, node, K::TYPE_NAME_REF, is_harmless);
        }
        K::ALTER_SEQUENCE => {
            let is_harmless = holds(node, K::OWNED_KW);
            alter(draft, node, K::SEQUENCE_REF, is_harmless);
        }
        K::ALTER_DOMAIN => domain::judge(draft, node),
        K::ALTER_INDEX => alter_index(draft, node),
        K::ALTER_VIEW | K::ALTER_MATERIALIZED_VIEW => {
            if let Some(view) = name_under(node, K::VIEW_REF) {
                draft.lock(&view, LockMode::AccessExclusive, false);
            }
            alter(draft, node, K::VIEW_REF, false);
        }
        K::ALTER_FUNCTION => alter(draft, node, K::FUNCTION_NAME_REF, false),
        K::ALTER_POLICY => {
            if let Some(table) = name_under(node, K::TABLE_NAME_REF) {
                draft.lock(&table, LockMode::AccessExclusive, false);
            }
            alter(draft, node, K::TABLE_NAME_REF, false);
        }
        _ => {
            if draft.found.is_empty() {
                draft.add(UNKNOWN_STATEMENT, node);
            }
        }
    }
}

/// Returns whether a `GRANT` or `REVOKE` is about the members of a role, or about privileges on what several
/// databases share.
fn is_about_shared_objects(node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let shared = [
        K::PRIVILEGE_DATABASE,
        K::PRIVILEGE_PARAMETER,
        K::PRIVILEGE_TABLESPACE,
    ];
    child(node, K::ON_PRIVILEGE_OBJECTS_CLAUSE).is_none()
        || shared.iter().any(|kind| find(node, *kind).is_some())
}

/// Records a new search path.
pub(super) fn apply(scope: &mut Scope<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    if node.kind() == K::ALTER_DOMAIN
        && let Some(domain) = name_under(node, K::DOMAIN_REF)
    {
        scope.constrain_domain(&scope.resolve(&domain));
    }
    if node.kind() == K::GRANT {
        sequence::apply_grant(scope, node);
    }
    let sets = name_under(node, K::CONFIG_PARAMETER_REF);
    let is_of_path = sets.as_ref().is_none_or(|name| name.name == "search_path");
    if node.kind() == K::RESET && is_of_path {
        scope.reset_search_path();
    }
    let sets_schema = node.kind() == K::SET && sets.is_none() && holds(node, K::SCHEMA_KW);
    if node.kind() == K::SET && (sets_schema || (is_of_path && sets.is_some())) {
        if has_default(node) {
            return scope.reset_search_path();
        }
        match schemas(node) {
            Some(path) => scope.set_search_path(path),
            None => scope.lose_search_path(),
        }
    }
}

/// Returns the schemas that a `SET` names; `None` where one cannot be read.
fn schemas(node: &SyntaxNode) -> Option<Vec<String>> {
    use SyntaxKind as K;
    let mut path = Vec::new();
    for value in node.descendants() {
        match value.kind() {
            K::CONFIG_VALUE_NAME => path.push(super::syntax::object_name(&value)?.name),
            K::LITERAL => {
                let text = value.text().to_string();
                let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
                path.push(inner.replace("''", "'"));
            }
            _ => {}
        }
    }
    (!path.is_empty()).then_some(path)
}

/// Returns whether a statement that is no `SET` may change the search path: by `set_config`, or by a
/// block of code.
pub(super) fn may_change_search_path(node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let runs = super::data::is_query(node.kind())
        || matches!(
            node.kind(),
            K::DO | K::CALL | K::EXECUTE | K::CREATE_TABLE_AS
        );
    let text = || node.text().to_string().to_ascii_lowercase();
    runs && text().contains("search_path")
}

/// Returns whether the value of a `SET` is `DEFAULT`.
fn has_default(node: &SyntaxNode) -> bool {
    holds(node, SyntaxKind::DEFAULT_KW)
}

fn commented_table(node: &SyntaxNode) -> Option<ObjectName> {
    use SyntaxKind as K;
    if let Some(table) = find(node, K::OBJECT_TABLE) {
        return name_under(&table, K::TABLE_NAME_REF);
    }
    let column = find(node, K::OBJECT_COLUMN)?;
    let name = column.descendants().find(|one| one.kind() == K::PATH_REF)?;
    // The path is that of the column: its qualifier is the table.
    child(&name, K::PATH_REF)
        .as_ref()
        .and_then(super::syntax::object_name)
}

fn maintain(draft: &mut Draft<'_>, node: &SyntaxNode) {
    for table in names_under(node, &[SyntaxKind::TABLE_NAME_REF]) {
        draft.lock(&table, LockMode::ShareUpdateExclusive, true);
    }
    draft.fits_both = true;
    draft.is_long = true;
    let text = node.text().to_string().to_ascii_uppercase();
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    if words.any(|word| matches!(word, "ANALYZE" | "ANALYSE")) {
        let tables = names_under(node, &[SyntaxKind::TABLE_NAME_REF]);
        let scope = draft.scope;
        let code = match tables.is_empty() {
            true => scope.code_of_any(&[Occasion::Index, Occasion::Analysis]),
            false => tables
                .iter()
                .find_map(|table| scope.code_of_analysis(table)),
        };
        if let Some(code) = code {
            own_code::add(draft, node, &code);
            draft.fits_both = false;
        }
    }
}

fn reindex(draft: &mut Draft<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    // squawk takes (CONCURRENTLY FALSE) for concurrent.
    let concurrently = draft.statement.needs_no_transaction() == Some("REINDEX CONCURRENTLY");
    if !concurrently {
        draft.add(CONCURRENT_REINDEX, node);
        let form = safe_form::concurrent_reindex(draft, node);
        draft.advise(CONCURRENT_REINDEX, node, form);
    }
    let mode = if concurrently {
        LockMode::ShareUpdateExclusive
    } else {
        LockMode::Share
    };
    draft.is_long = true;
    draft.fits_both = true;
    let mut tables = names_under(node, &[K::TABLE_NAME_REF]);
    let scope = draft.scope;
    let indexes = names_under(node, &[K::INDEX_REF]);
    let mut code = match (tables.is_empty(), indexes.is_empty()) {
        (true, true) => scope.code_of_any(&[Occasion::Index]),
        _ => tables.iter().find_map(|table| scope.code_of_indexes(table)),
    };
    for index in indexes {
        let index = scope.resolve_index(&index);
        let table = index
            .as_ref()
            .and_then(|index| scope.facts.table_of_index(index));
        if let (Some(index), Some(table)) = (&index, table) {
            code = code.or_else(|| scope.code_of_index(table, index));
            tables.push(table.clone());
        }
    }
    if let Some(code) = code {
        own_code::add(draft, node, &code);
        draft.fits_both = false;
    }
    for table in &tables {
        draft.lock(table, mode, true);
        draft.relax(table);
    }
}

fn refresh(draft: &mut Draft<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    let concurrently = has_token(node, K::CONCURRENTLY_KW);
    let mode = if concurrently {
        LockMode::Exclusive
    } else {
        LockMode::AccessExclusive
    };
    if !concurrently {
        draft.add(REFRESH_VIEW, node);
        let form = safe_form::refresh(draft, node);
        draft.advise(REFRESH_VIEW, node, form);
    }
    if let Some(view) = name_under(node, K::VIEW_REF) {
        draft.lock(&view, mode, !concurrently);
        // A small view may come of a large table.
        let sources = draft
            .scope
            .relation(&view)
            .and_then(|facts| facts.source_bytes);
        if draft.scope.is_new(&view) {
            draft.dismiss_all("the same file creates it");
        } else if sources.is_some_and(|bytes| bytes <= SMALL_TABLE_BYTES) {
            draft.relax(&view);
        }
        let scope = draft.scope;
        let code = scope.code_of_refresh(&view);
        if let Some(code) = code.or_else(|| scope.code_of_indexes(&view)) {
            own_code::add(draft, node, &code);
        }
    }
    draft.fits_both = draft.found.is_empty();
    draft.is_long = true;
}

fn lock_table(draft: &mut Draft<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    let clause = child(node, K::LOCK_MODE_CLAUSE);
    let words = clause.map_or_else(String::new, |one| {
        one.text().to_string().to_ascii_uppercase()
    });
    let named = LockMode::ALL.into_iter().find(|mode| {
        let words: Vec<&str> = words.split_whitespace().collect();
        words.join(" ") == format!("IN {mode} MODE")
    });
    let mode = named.unwrap_or(LockMode::AccessExclusive);
    let tables = names_under(node, &[K::RELATION_NAME_REF]);
    for table in &tables {
        draft.lock_tree(table, mode, false);
    }
    let is_harmless = tables.iter().all(|table| draft.scope.is_new(table));
    if mode.is_strong() && !is_harmless {
        draft.add(LOCK_TABLE, node);
    }
}

fn truncate(draft: &mut Draft<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    let scope = draft.scope;
    let tables = names_under(node, &[K::TABLE_NAME_REF]);
    for table in &tables {
        draft.lock_tree(table, LockMode::AccessExclusive, false);
        if holds(node, K::CASCADE_KW) {
            let referencing = scope.facts.referencing(&scope.resolve(table));
            let others: Vec<ObjectName> = referencing.into_iter().cloned().collect();
            for other in others {
                draft.lock(&other, LockMode::AccessExclusive, false);
            }
        }
    }
    if tables.iter().all(|table| scope.is_new(table)) {
        draft.dismiss_all("the same file creates the tables");
    } else {
        draft.add(TRUNCATE, node);
    }
}

/// `ATTACH PARTITION` and options look at no row; the rest is squawk's, or unknown.
fn alter_index(draft: &mut Draft<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    let kinds = [
        K::ATTACH_INDEX_PARTITION,
        K::SET_OPTIONS,
        K::RESET_OPTIONS,
        K::ALTER_SET_STATISTICS,
    ];
    let is_harmless = kinds.iter().any(|kind| child(node, *kind).is_some());
    let names = names_under(node, &[K::INDEX_REF]);
    if !names.is_empty() && names.iter().all(|name| draft.scope.is_new(name)) {
        draft.dismiss_all("the same file creates it");
    } else if draft.found.is_empty() && !is_harmless {
        draft.add(UNKNOWN_STATEMENT, node);
    }
}

fn set(draft: &mut Draft<'_>, node: &SyntaxNode) {
    let sets = name_under(node, SyntaxKind::CONFIG_PARAMETER_REF);
    if sets.is_some_and(|name| RUNNER_SETTINGS.contains(&name.name.as_str())) {
        draft.add(RUNNER_SETTING, node);
    }
    draft.fits_both = true;
}

/// Judges `ALTER` of an object that is no table: by squawk, or harmless, or unknown.
fn alter(draft: &mut Draft<'_>, node: &SyntaxNode, kind: SyntaxKind, is_harmless: bool) {
    let is_new = |name: ObjectName| match kind {
        SyntaxKind::FUNCTION_NAME_REF => draft.scope.is_new_routine(&name),
        _ => draft.scope.is_new(&name),
    };
    if name_under(node, kind).is_some_and(is_new) {
        draft.dismiss_all("the same file creates it");
    } else if draft.found.is_empty() && !is_harmless {
        draft.add(UNKNOWN_STATEMENT, node);
    }
}
