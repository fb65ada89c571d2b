//! Operators in symbols and in words that fail for no value.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::value::{Kind, Value};
use super::{Failing, Judge, is_operand};
use crate::migrations::class::syntax::{has_token, symbols};

/// Operators that give a truth value, and fail for no value.
const TRUTHS: [&str; 27] = [
    "!=", "&&", "-|-", "<", "<<", "<=", "<>", "<@", "=", ">", ">=", ">>", "?", "?&", "?|", "@>",
    "@?", "@@", "@@@", "^@", "~<=~", "~<~", "~>=~", "~>~", "&<", "&>", "<<=",
];

/// Operators whose right side is a pattern, which a value of a column may be no valid one of.
const PATTERNS: [&str; 8] = ["!~", "!~*", "!~~", "!~~*", "~", "~*", "~~", "~~*"];

impl Judge<'_> {
    pub(super) fn prefix(self, node: &SyntaxNode) -> Result<Value, Failing> {
        let value = self.values(node)?.pop();
        let value = value.ok_or_else(|| node.clone())?;
        if has_token(node, SyntaxKind::NOT_KW) {
            return Ok(Value::of(Kind::Truth));
        }
        let is_sign = matches!(symbols(node).as_str(), "+" | "-");
        // The smallest whole number has no opposite.
        let has_opposite =
            value.kind == Kind::Constant || value.is_of(&["numeric", "real", "double precision"]);
        match is_sign && has_opposite {
            true => Ok(value),
            false => Err(node.clone()),
        }
    }

    pub(super) fn binary(self, node: &SyntaxNode) -> Result<Value, Failing> {
        let symbols = symbols(node);
        let operands: Vec<SyntaxNode> = node.children().filter(is_operand).collect();
        let right = operands.last().ok_or_else(|| node.clone())?;
        if symbols.is_empty() {
            return self.by_word(node, &operands);
        }
        let values = self.values(node)?;
        let kinds: Vec<Kind> = values.iter().map(|one| one.kind).collect();
        let kind = match symbols.as_str() {
            "->" | "#>" => Kind::Json,
            "->>" | "#>>" => Kind::Text,
            symbol if TRUTHS.contains(&symbol) => Kind::Truth,
            symbol if PATTERNS.contains(&symbol) && is_pattern(right) => Kind::Truth,
            "||" => match kinds.as_slice() {
                [Kind::Text, other] | [other, Kind::Text]
                    if !matches!(other, Kind::Array | Kind::Other | Kind::Words) =>
                {
                    Kind::Text
                }
                [Kind::Json, Kind::Json | Kind::Constant] | [Kind::Constant, Kind::Json] => {
                    Kind::Json
                }
                [Kind::Words, Kind::Words] => Kind::Words,
                [Kind::Constant, Kind::Constant] => Kind::Text,
                _ => return Err(node.clone()),
            },
            _ => return Err(node.clone()),
        };
        Ok(Value::of(kind))
    }

    /// Returns what an operator of a word gives: `AND`, `IS`, `IN`, `LIKE`, `AT TIME ZONE`.
    fn by_word(self, node: &SyntaxNode, operands: &[SyntaxNode]) -> Result<Value, Failing> {
        let text = node.children_with_tokens().filter_map(|one| {
            let is_word = match (one.as_node(), one.as_token()) {
                (Some(node), _) => !is_operand(node),
                (_, Some(token)) => {
                    !matches!(token.kind(), SyntaxKind::WHITESPACE | SyntaxKind::COMMENT)
                }
                _ => false,
            };
            is_word.then(|| one.to_string().to_lowercase())
        });
        let text: Vec<String> = text.collect();
        let text = text.join(" ");
        let words: Vec<&str> = text.split_whitespace().collect();
        let (Some(left), Some(right)) = (operands.first(), operands.last()) else {
            return Err(node.clone());
        };
        match words.as_slice() {
            ["like" | "ilike"] | ["not", "like" | "ilike"] if is_pattern(right) => {
                self.value(left)?;
                Ok(Value::of(Kind::Truth))
            }
            ["at", "time", "zone"] if right.kind() == SyntaxKind::LITERAL => {
                self.value(left)?;
                Ok(Value::of(Kind::Time))
            }
            ["in"] | ["not", "in"] => {
                self.value(left)?;
                self.values(right)?;
                Ok(Value::of(Kind::Truth))
            }
            ["and" | "or" | "is"]
            | ["is", "not"]
            | ["is", "distinct", "from"]
            | ["is", "not", "distinct", "from"] => {
                self.values(node)?;
                Ok(Value::of(Kind::Truth))
            }
            _ => Err(node.clone()),
        }
    }
}

/// Returns whether the right side of a comparison is a constant that is a pattern: with balanced brackets, and with no
/// escape at its end.
pub(super) fn is_pattern(right: &SyntaxNode) -> bool {
    let literal = match right.kind() {
        SyntaxKind::LITERAL => Some(right.clone()),
        // As Postgres prints it: 'x'::text.
        SyntaxKind::CAST_EXPR | SyntaxKind::PAREN_EXPR => {
            let mut operands = right.children().filter(is_operand);
            let operand = operands.next().filter(|_| operands.next().is_none());
            return operand.is_some_and(|one| is_pattern(&one));
        }
        _ => None,
    };
    literal.is_some_and(|literal| {
        let text = literal.text().to_string();
        let inner = text.trim().trim_matches('\'');
        let count = |c: char| inner.matches(c).count();
        let is_balanced = [('(', ')'), ('[', ']'), ('{', '}')]
            .iter()
            .all(|(open, close)| count(*open) == count(*close));
        is_balanced && !inner.ends_with('\\') && !inner.starts_with(['*', '+', '?'])
    })
}
