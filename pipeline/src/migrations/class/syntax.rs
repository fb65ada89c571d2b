//! Names and parts in the parser's tree of a statement.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use crate::migrations::statement::{ObjectName, fold_name};

/// Returns the first child of the kind.
pub(super) fn child(node: &SyntaxNode, kind: SyntaxKind) -> Option<SyntaxNode> {
    node.children().find(|child| child.kind() == kind)
}

/// Returns the first node of the kind in the tree under the node.
pub(super) fn find(node: &SyntaxNode, kind: SyntaxKind) -> Option<SyntaxNode> {
    node.descendants().find(|one| one.kind() == kind)
}

/// Returns whether a node or token of the kind is anywhere under the node.
pub(super) fn holds(node: &SyntaxNode, kind: SyntaxKind) -> bool {
    let mut all = node.descendants_with_tokens();
    all.any(|one| one.kind() == kind)
}

/// Returns whether a token of the kind is a direct child of the node.
pub(super) fn has_token(node: &SyntaxNode, kind: SyntaxKind) -> bool {
    let mut all = node.children_with_tokens();
    all.any(|one| one.as_token().is_some_and(|token| token.kind() == kind))
}

/// Reads the name of an object with its schema.
pub(super) fn object_name(node: &SyntaxNode) -> Option<ObjectName> {
    let segments = node.descendants().filter(|one| {
        matches!(
            one.kind(),
            SyntaxKind::PATH_SEGMENT | SyntaxKind::PATH_SEGMENT_REF
        )
    });
    let parts: Vec<String> = segments
        .map(|one| fold_name(one.text().to_string().trim()))
        .collect();
    if parts.is_empty() {
        let text = node.text().to_string();
        return ObjectName::from_parts(vec![fold_name(text.trim())]);
    }
    ObjectName::from_parts(parts)
}

/// Reads the name of the first child of the kind.
pub(super) fn child_name(node: &SyntaxNode, kind: SyntaxKind) -> Option<ObjectName> {
    child(node, kind).as_ref().and_then(object_name)
}

/// Reads the name of the first node of the kind under the node.
pub(super) fn name_under(node: &SyntaxNode, kind: SyntaxKind) -> Option<ObjectName> {
    find(node, kind).as_ref().and_then(object_name)
}

/// Reads the names of all nodes of the kinds under the node.
pub(super) fn names_under(node: &SyntaxNode, kinds: &[SyntaxKind]) -> Vec<ObjectName> {
    let found = node.descendants().filter(|one| kinds.contains(&one.kind()));
    found.filter_map(|one| object_name(&one)).collect()
}

/// Reads the columns that the node names.
pub(super) fn columns(node: &SyntaxNode) -> Vec<String> {
    let names = names_under(
        node,
        &[SyntaxKind::COLUMN_NAME_REF, SyntaxKind::COLUMN_NAME],
    );
    names.into_iter().map(|name| name.name).collect()
}

/// Returns the symbol of an operator, without its schema; nothing for a keyword.
pub(super) fn symbols(expression: &SyntaxNode) -> String {
    use SyntaxKind as K;
    let is_operator =
        |one: &SyntaxNode| matches!(one.kind(), K::CUSTOM_OP | K::OP | K::OPERATOR_CALL);
    let own = expression.children().find(is_operator);
    let text = match own {
        Some(operator) => operator.text().to_string(),
        None => {
            let tokens = expression.children_with_tokens();
            let tokens = tokens.filter_map(|one| one.as_token().cloned());
            let tokens = tokens.map(|token| token.text().to_owned());
            tokens.filter(|text| text.chars().all(is_symbol)).collect()
        }
    };
    // OPERATOR(schema.+)
    let from_symbol = text.trim_end_matches([')', ' ']);
    let start = from_symbol.trim_end_matches(is_symbol).len();
    from_symbol[start..].to_owned()
}

fn is_symbol(c: char) -> bool {
    "+-*/<>=~!@#%^&|`?".contains(c)
}

/// Returns the text of `'…'`; `None` for another spelling, and for a string that goes on in a further line.
pub(super) fn plain_string(literal: &str) -> Option<String> {
    let inner = literal.strip_prefix('\'')?.strip_suffix('\'')?;
    let has_end = inner.replace("''", "").contains('\'');
    (!has_end).then(|| inner.replace("''", "'"))
}

/// Returns whether a node is a type.
pub(super) fn is_type(kind: SyntaxKind) -> bool {
    use SyntaxKind as K;
    matches!(
        kind,
        K::ARRAY_TYPE
            | K::BIT_TYPE
            | K::BIT_VARYING_TYPE
            | K::CHARACTER_TYPE
            | K::DOUBLE_TYPE
            | K::INTERVAL_TYPE
            | K::PATH_TYPE
            | K::TIME_TYPE
            | K::TIMESTAMP_TYPE
            | K::VARCHAR_TYPE
    )
}
