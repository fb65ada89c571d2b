//! `CHECK` constraints that accept a row in which all of their columns are NULL.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::query;
use super::syntax::{has_token, holds, symbols};

/// Operators of Postgres that are NULL for a NULL on either side, and look at nothing else then.
const STRICT: [&str; 17] = [
    "!=", "!~", "!~*", "!~~", "!~~*", "%", "*", "+", "-", "<", "<=", "<>", "=", ">", ">=", "~",
    "~*",
];

/// Functions of Postgres that are NULL for NULL.
const STRICT_FUNCTIONS: [&str; 9] = [
    "abs",
    "char_length",
    "character_length",
    "json_typeof",
    "jsonb_typeof",
    "length",
    "lower",
    "octet_length",
    "upper",
];

/// Returns whether a `CHECK` is known to be TRUE or NULL where its columns are NULL: only forms of a closed
/// list are. A row constructor, an array or a call may be FALSE, and arithmetic of constants may fail.
pub(super) fn accepts_null(check: &SyntaxNode) -> bool {
    let mut conditions = check.children().filter(is_expression);
    conditions.next().is_some_and(|one| accepts(&one)) && conditions.next().is_none()
}

/// Returns whether a node is none of the constraint's name and options.
pub(super) fn is_expression(node: &SyntaxNode) -> bool {
    let name = format!("{:?}", node.kind());
    name.ends_with("_EXPR") || matches!(node.kind(), SyntaxKind::LITERAL | SyntaxKind::NAME_REF)
}

/// Returns whether a condition is TRUE or NULL.
fn accepts(node: &SyntaxNode) -> bool {
    let operands: Vec<SyntaxNode> = node.children().filter(is_expression).collect();
    match node.kind() {
        SyntaxKind::PAREN_EXPR => matches!(operands.as_slice(), [inner] if accepts(inner)),
        SyntaxKind::BIN_EXPR if is_junction(node) => operands.iter().all(accepts),
        _ => is_null(node),
    }
}

fn is_junction(node: &SyntaxNode) -> bool {
    has_token(node, SyntaxKind::AND_KW) || has_token(node, SyntaxKind::OR_KW)
}

/// Returns whether an expression is NULL.
fn is_null(node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let operands: Vec<SyntaxNode> = node.children().filter(is_expression).collect();
    match (node.kind(), operands.as_slice()) {
        (K::NAME_REF, _) => true,
        (K::PAREN_EXPR, [inner]) => is_null(inner),
        (K::CALL_EXPR, _) => is_strict_call(node),
        (K::PREFIX_EXPR, [inner]) => has_token(node, K::NOT_KW) && is_null(inner),
        (K::BETWEEN_EXPR, [value, bounds @ ..]) => is_null(value) && bounds.iter().all(is_value),
        (K::BIN_EXPR, [left, right]) if is_membership(node) => is_null(left) && is_list(right),
        (K::BIN_EXPR, [left, right]) if is_strict(node) => {
            (is_null(left) || is_null(right)) && is_value(left) && is_value(right)
        }
        _ => false,
    }
}

/// Returns whether a function of the closed list is called with NULL alone. One of the database's own name
/// is another question.
fn is_strict_call(node: &SyntaxNode) -> bool {
    let name = query::function_name(node).unwrap_or_default();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    let arguments = query::arguments(node);
    STRICT_FUNCTIONS.contains(&name) && matches!(arguments.as_slice(), [one] if is_null(one))
}

fn is_membership(node: &SyntaxNode) -> bool {
    node.children_with_tokens()
        .any(|one| matches!(one.kind(), SyntaxKind::IN_KW | SyntaxKind::NOT_IN))
}

/// Returns whether an operator of the closed list compares or computes.
fn is_strict(node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let symbols = symbols(node);
    if !symbols.is_empty() {
        return STRICT.contains(&symbols.as_str());
    }
    let direct = node.children_with_tokens().any(|one| {
        matches!(
            one.kind(),
            K::LIKE_KW | K::ILIKE_KW | K::NOT_LIKE | K::NOT_ILIKE
        )
    });
    direct && !holds(node, K::ESCAPE_KW)
}

/// Returns whether the right side of `IN` is a list of values.
fn is_list(node: &SyntaxNode) -> bool {
    let operands: Vec<SyntaxNode> = node.children().filter(is_expression).collect();
    let is_list = matches!(node.kind(), SyntaxKind::TUPLE_EXPR | SyntaxKind::PAREN_EXPR);
    is_list
        && !operands.is_empty()
        && operands.len() == node.children().count()
        && operands.iter().all(is_value)
}

/// Returns whether an expression is a constant, or NULL: it cannot fail.
fn is_value(node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    match node.kind() {
        K::LITERAL => true,
        K::PREFIX_EXPR => {
            let operands: Vec<SyntaxNode> = node.children().filter(is_expression).collect();
            let is_sign = matches!(symbols(node).as_str(), "+" | "-");
            is_sign && matches!(operands.as_slice(), [one] if one.kind() == K::LITERAL)
        }
        K::PAREN_EXPR => {
            let mut operands = node.children();
            operands.next().is_some_and(|one| is_value(&one)) && operands.next().is_none()
        }
        _ => is_null(node),
    }
}
