//! The statements of functions and procedures that are written in SQL.

use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use super::syntax::{child, find, name_under};
use crate::migrations::statement::is_nested_too_deeply;

/// Returns whether the statement creates a function or a procedure.
pub(super) fn is_routine(node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    matches!(node.kind(), K::CREATE_FUNCTION | K::CREATE_PROCEDURE)
}

/// Returns the statements of the body that stands in a string; none for a body that is part of the
/// statement, and `None` for a body that cannot be read: another language, settings of its own.
pub(super) fn statements(node: &SyntaxNode) -> Option<Vec<SyntaxNode>> {
    use SyntaxKind as K;
    let language = name_under(node, K::LANGUAGE_REF);
    if language.is_some_and(|language| language.name != "sql") {
        return None;
    }
    let Some(options) = child(node, K::FUNC_OPTION_LIST) else {
        return Some(Vec::new());
    };
    if child(&options, K::SET_FUNC_OPTION).is_some() {
        return None;
    }
    let Some(definition) = child(&options, K::AS_FUNC_OPTION) else {
        return Some(Vec::new());
    };
    let literal = find(&definition, K::LITERAL)?;
    let body = content(&literal.text().to_string())?;
    if is_nested_too_deeply(&body) {
        return None;
    }
    let parsed = SourceFile::parse(&body);
    if !parsed.errors().is_empty() {
        return None;
    }
    Some(parsed.syntax_node().children().collect())
}

/// Returns the content of a string in quotes or between dollars; `None` for one with escapes.
fn content(literal: &str) -> Option<String> {
    let literal = literal.trim();
    if let Some(inner) = literal.strip_prefix('\'') {
        return Some(inner.strip_suffix('\'')?.replace("''", "'"));
    }
    let tag_end = literal.strip_prefix('$')?.find('$')? + 2;
    let tag = literal.get(..tag_end)?;
    let inner = literal.strip_prefix(tag)?.strip_suffix(tag)?;
    Some(inner.to_owned())
}
