//! A column's `CHECK` on the one value that an `INSERT` gives the column: its default.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::column_type::ColumnType;
use super::null_check;
use super::query;
use super::syntax::{has_token, object_name, plain_string, symbols};

/// Returns whether a `CHECK` of a new column is known to accept the rows of the code that runs now, which
/// get the default, or NULL without one. A table without rows has not proved it by the statement itself.
pub(super) fn accepts_default(
    check: &SyntaxNode,
    spelled_type: &str,
    default: Option<&SyntaxNode>,
) -> bool {
    let Some(default) = default else {
        return null_check::accepts_null(check);
    };
    let column_type = ColumnType::parse(spelled_type);
    let value = constant(default).filter(|value| value.is_stored_as_it_is(&column_type));
    let mut conditions = check.children().filter(null_check::is_expression);
    match (value, conditions.next(), conditions.next()) {
        (Some(value), Some(condition), None) => matches!(
            evaluate(&condition, &value),
            Some(Value::Truth(true) | Value::Null)
        ),
        _ => false,
    }
}

/// The largest number up to which each whole number is one of `real`, and one of `double precision`.
const EXACT_IN_REAL: u64 = 1 << 24;
const EXACT_IN_DOUBLE: u64 = 1 << 53;

/// A value of an expression.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Truth(bool),
    /// A whole number.
    Number(i64),
    Text(String),
}

impl Value {
    /// Returns whether a column of the type holds just this value, and its values compare as this one does. The
    /// server rounds numbers, and takes trailing blanks from texts that are too long.
    fn is_stored_as_it_is(&self, column_type: &ColumnType) -> bool {
        let modifiers = column_type.modifiers();
        match (self, column_type.name.as_str()) {
            (Self::Null, _) | (Self::Truth(_), "boolean") => true,
            (Self::Number(_), "smallint" | "integer" | "bigint") => true,
            (Self::Number(_), "numeric") => modifiers.get(1).is_none_or(|scale| *scale >= 0),
            (Self::Number(number), "real") => number.unsigned_abs() <= EXACT_IN_REAL,
            (Self::Number(number), "double precision") => number.unsigned_abs() <= EXACT_IN_DOUBLE,
            (Self::Text(_), "text") => true,
            (Self::Text(text), "character varying") => {
                let length = i64::try_from(text.chars().count());
                let most = column_type.first_modifier();
                most.is_none_or(|most| length.is_ok_and(|length| length <= most))
            }
            _ => false,
        }
    }
}

/// Returns the value of a constant; `None` where it is none, or one of another form.
fn constant(node: &SyntaxNode) -> Option<Value> {
    use SyntaxKind as K;
    let text = node.text().to_string();
    let text = text.trim();
    match node.kind() {
        K::PAREN_EXPR => {
            let mut parts = node.children();
            let inner = parts.next()?;
            parts.next().is_none().then(|| constant(&inner)).flatten()
        }
        K::LITERAL if has_token(node, K::NULL_KW) => Some(Value::Null),
        K::LITERAL if has_token(node, K::TRUE_KW) => Some(Value::Truth(true)),
        K::LITERAL if has_token(node, K::FALSE_KW) => Some(Value::Truth(false)),
        K::LITERAL if text.starts_with('\'') => plain_string(text).map(Value::Text),
        K::LITERAL | K::PREFIX_EXPR => {
            let digits: String = text.split_whitespace().collect();
            digits.parse().ok().map(Value::Number)
        }
        _ => None,
    }
}

/// Evaluates a condition on a row whose only named column has this value. `None` for a form that is not
/// known.
fn evaluate(node: &SyntaxNode, value: &Value) -> Option<Value> {
    use SyntaxKind as K;
    let operands: Vec<SyntaxNode> = node.children().filter(null_check::is_expression).collect();
    match (node.kind(), operands.as_slice()) {
        (K::NAME_REF, _) => object_name(node).map(|_| value.clone()),
        (K::PAREN_EXPR, [inner]) => evaluate(inner, value),
        (K::LITERAL | K::PREFIX_EXPR, _) if constant(node).is_some() => constant(node),
        (K::PREFIX_EXPR, [inner]) if has_token(node, K::NOT_KW) => match evaluate(inner, value)? {
            Value::Truth(truth) => Some(Value::Truth(!truth)),
            Value::Null => Some(Value::Null),
            _ => None,
        },
        (K::CALL_EXPR, _) => length(node, value),
        (K::BETWEEN_EXPR, [of, least, most]) if !holds_not(node) => {
            let of = evaluate(of, value)?;
            let least = compare(">=", &of, &evaluate(least, value)?)?;
            let most = compare("<=", &of, &evaluate(most, value)?)?;
            and(&least, &most)
        }
        (K::BIN_EXPR, [left, right]) => binary(node, left, right, value),
        (K::BIN_EXPR, [of]) => is_null_test(node, &evaluate(of, value)?),
        _ => None,
    }
}

fn holds_not(node: &SyntaxNode) -> bool {
    let text = node.text().to_string().to_ascii_lowercase();
    text.split_whitespace()
        .any(|word| matches!(word, "not" | "symmetric"))
}

fn binary(
    node: &SyntaxNode,
    left: &SyntaxNode,
    right: &SyntaxNode,
    value: &Value,
) -> Option<Value> {
    use SyntaxKind as K;
    if has_token(node, K::AND_KW) {
        return and(&evaluate(left, value)?, &evaluate(right, value)?);
    }
    if has_token(node, K::OR_KW) {
        let (left, right) = (evaluate(left, value)?, evaluate(right, value)?);
        return and(&not(&left)?, &not(&right)?).and_then(|both| not(&both));
    }
    let is_in = |kind| node.children_with_tokens().any(|one| one.kind() == kind);
    if is_in(K::IN_KW) || is_in(K::NOT_IN) {
        let of = evaluate(left, value)?;
        let mut found = Value::Truth(false);
        for one in right.children().filter(null_check::is_expression) {
            let same = compare("=", &of, &constant(&one)?)?;
            found = and(&not(&found)?, &not(&same)?).and_then(|none| not(&none))?;
        }
        return if is_in(K::NOT_IN) {
            not(&found)
        } else {
            Some(found)
        };
    }
    let operator = symbols(node);
    if operator.is_empty() {
        return is_null_test(node, &evaluate(left, value)?);
    }
    compare(&operator, &evaluate(left, value)?, &evaluate(right, value)?)
}

/// Evaluates `IS NULL` and `IS NOT NULL`.
fn is_null_test(node: &SyntaxNode, of: &Value) -> Option<Value> {
    let text = node.text().to_string().to_ascii_uppercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_null = *of == Value::Null;
    match words.as_slice() {
        [.., "IS", "NOT", "NULL"] => Some(Value::Truth(!is_null)),
        [.., "IS", "NULL"] => Some(Value::Truth(is_null)),
        _ => None,
    }
}

/// Evaluates the length of a text.
fn length(call: &SyntaxNode, value: &Value) -> Option<Value> {
    let name = query::function_name(call)?;
    let is_length = matches!(&*name, "length" | "char_length" | "character_length");
    let arguments = query::arguments(call);
    let [argument] = arguments.as_slice() else {
        return None;
    };
    match evaluate(argument, value)? {
        _ if !is_length => None,
        Value::Text(text) => i64::try_from(text.chars().count()).ok().map(Value::Number),
        Value::Null => Some(Value::Null),
        _ => None,
    }
}

/// Compares two values. The order of texts is their collation's, which is not known here.
fn compare(operator: &str, left: &Value, right: &Value) -> Option<Value> {
    let is_known = matches!(operator, "=" | "<>" | "!=" | "<" | "<=" | ">" | ">=");
    if is_known && (*left == Value::Null || *right == Value::Null) {
        return Some(Value::Null);
    }
    let truth = match (left, right, operator) {
        (Value::Number(left), Value::Number(right), "<") => left < right,
        (Value::Number(left), Value::Number(right), "<=") => left <= right,
        (Value::Number(left), Value::Number(right), ">") => left > right,
        (Value::Number(left), Value::Number(right), ">=") => left >= right,
        (Value::Number(_), Value::Number(_), "=")
        | (Value::Text(_), Value::Text(_), "=")
        | (Value::Truth(_), Value::Truth(_), "=") => left == right,
        (Value::Number(_), Value::Number(_), "<>" | "!=")
        | (Value::Text(_), Value::Text(_), "<>" | "!=")
        | (Value::Truth(_), Value::Truth(_), "<>" | "!=") => left != right,
        _ => return None,
    };
    Some(Value::Truth(truth))
}

fn and(left: &Value, right: &Value) -> Option<Value> {
    match (left, right) {
        (Value::Truth(false), Value::Truth(_) | Value::Null)
        | (Value::Null, Value::Truth(false)) => Some(Value::Truth(false)),
        (Value::Truth(true), Value::Truth(truth)) => Some(Value::Truth(*truth)),
        (Value::Truth(true) | Value::Null, Value::Null) | (Value::Null, Value::Truth(true)) => {
            Some(Value::Null)
        }
        _ => None,
    }
}

fn not(value: &Value) -> Option<Value> {
    match value {
        Value::Truth(truth) => Some(Value::Truth(!truth)),
        Value::Null => Some(Value::Null),
        _ => None,
    }
}
