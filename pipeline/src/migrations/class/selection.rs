//! The conditions of `WHERE`.

use squawk_syntax::{SyntaxKind, SyntaxNode};

/// Returns whether the condition names no column, so that it holds for all rows or for none.
pub(super) fn is_constant(clause: &SyntaxNode) -> bool {
    let mut nodes = clause.descendants().map(|one| one.kind());
    !nodes.any(|kind| matches!(kind, SyntaxKind::NAME_REF | SyntaxKind::FIELD_EXPR))
}
