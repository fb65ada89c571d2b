//! Statements that use the tables of stagelink's own.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::data;
use super::draft::Draft;
use super::rules::{OWN_TABLE, UNKNOWN_STATEMENT};
use super::syntax::holds;
use crate::migrations::OWN_TABLES;
use crate::migrations::statement::{fold_name, string_text};

/// Adds a finding where a statement names such a table, but for a query that only reads it.
pub(super) fn judge(draft: &mut Draft<'_>, node: &SyntaxNode) {
    let reads = data::is_query(node.kind())
        && !data::changes_rows(draft.statement)
        && !holds(node, SyntaxKind::LOCKING_CLAUSE);
    let is_own = |name: &str| OWN_TABLES.iter().any(|own| name.starts_with(own));
    let mut names = names(node).into_iter();
    let names_own = names.any(|name| match name {
        Name::Text(text) => text.split('.').any(|part| is_own(&fold_name(part.trim()))),
        Name::Word(word) => !reads && is_own(&fold_name(&word)),
    });
    if names_own {
        draft.add(OWN_TABLE, node);
        draft.fits_both = false;
    }
    if holds(node, SyntaxKind::UESCAPE_KW) {
        // The names and texts are not those that they look like.
        draft.add(UNKNOWN_STATEMENT, node);
        draft.fits_both = false;
    }
}

/// A part of a statement that may name a table.
enum Name {
    Word(String),
    /// A string, with its continuations: `setval('stagelink_deploys_id_seq', 1)`.
    Text(String),
}

fn names(node: &SyntaxNode) -> Vec<Name> {
    let mut names = Vec::new();
    let tokens = node.descendants_with_tokens();
    let tokens = tokens.filter_map(|one| one.as_token().cloned());
    for token in tokens {
        if matches!(token.kind(), SyntaxKind::WHITESPACE | SyntaxKind::COMMENT) {
            continue;
        }
        match (string_text(token.text()), names.last_mut()) {
            (Some(text), Some(Name::Text(before))) => before.push_str(&text),
            (Some(text), _) => names.push(Name::Text(text)),
            (None, _) => names.push(Name::Word(token.text().to_owned())),
        }
    }
    names
}
