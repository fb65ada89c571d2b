//! Statements that use the tables of stagelink's own.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::data;
use super::draft::Draft;
use super::rules::OWN_TABLE;
use super::syntax::holds;
use crate::migrations::OWN_TABLES;
use crate::migrations::statement::fold_name;

/// Adds a finding where a statement names such a table, but for a query that only reads it.
pub(super) fn judge(draft: &mut Draft<'_>, node: &SyntaxNode) {
    let reads = data::is_query(node.kind())
        && !data::changes_rows(draft.statement)
        && !holds(node, SyntaxKind::LOCKING_CLAUSE);
    let tokens = node.descendants_with_tokens();
    let mut tokens = tokens.filter_map(|one| one.as_token().cloned());
    let is_own = |name: &str| OWN_TABLES.iter().any(|own| name.starts_with(own));
    let names_own = |token: &str| match token.strip_prefix('\'') {
        // `setval('stagelink_deploys_id_seq', 1)`
        Some(text) => text.split('.').any(|part| is_own(&fold_name(part))),
        None => !reads && is_own(&fold_name(token)),
    };
    if tokens.any(|token| names_own(token.text())) {
        draft.add(OWN_TABLE, node);
        draft.fits_both = false;
    }
}
