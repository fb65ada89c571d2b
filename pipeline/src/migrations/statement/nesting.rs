//! The depth of a statement's nesting. A parser goes one level down for each, and its stack ends.

use std::ops::Range;

use super::token::{Kind, Token};

/// The greatest depth that the parser is given. It fits a stack of two megabytes without optimizations.
pub(super) const DEEPEST: usize = 400;

/// Returns the place at which the statement is nested deeper than [`DEEPEST`]: in parentheses and
/// brackets, and in operators, each of which has the ones before it below.
pub(super) fn too_deep(sql: &str, tokens: &[Token]) -> Option<Range<usize>> {
    // The operators of each open parenthesis so far.
    let mut open = vec![0];
    let mut depth = 0_usize;
    for token in tokens {
        let spelled = &sql[token.range.clone()];
        match (token.kind, spelled) {
            (Kind::Symbol('('), _) | (Kind::Other, "[") => {
                open.push(0);
                depth += 1;
            }
            (Kind::Symbol(')'), _) | (Kind::Other, "]") if open.len() > 1 => {
                depth -= 1 + open.pop().unwrap_or(0);
            }
            // What follows is no operand of the operators before.
            (Kind::Symbol(',' | ';'), _) => {
                if let Some(operators) = open.last_mut() {
                    depth -= std::mem::take(operators);
                }
            }
            (kind, _) if nests(kind, spelled) => {
                depth += 1;
                if let Some(operators) = open.last_mut() {
                    *operators += 1;
                }
            }
            _ => {}
        }
        if depth > DEEPEST {
            return Some(token.range.clone());
        }
    }
    None
}

/// Returns whether a token makes a level of its own of what is beside it.
fn nests(kind: Kind, spelled: &str) -> bool {
    match kind {
        Kind::Other => !spelled.starts_with(|c: char| c.is_ascii_digit() || c == '$'),
        Kind::Word => WORDS.iter().any(|word| spelled.eq_ignore_ascii_case(word)),
        _ => false,
    }
}

/// The words that join operands, or open a part that may hold another of its kind.
const WORDS: [&str; 19] = [
    "AND",
    "AT",
    "BETWEEN",
    "CASE",
    "COLLATE",
    "EXCEPT",
    "ILIKE",
    "IN",
    "INTERSECT",
    "IS",
    "ISNULL",
    "JOIN",
    "LIKE",
    "NOT",
    "NOTNULL",
    "OR",
    "SELECT",
    "UNION",
    "WITH",
];
