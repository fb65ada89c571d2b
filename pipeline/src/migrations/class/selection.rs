//! The conditions of `WHERE`: those that choose some rows, and those that hold for all.

use squawk_syntax::{SyntaxKind, SyntaxNode};

/// Returns whether the condition names no column, so that it holds for all rows or for none.
pub(super) fn is_constant(clause: &SyntaxNode) -> bool {
    let mut nodes = clause.descendants().map(|one| one.kind());
    !nodes.any(|kind| matches!(kind, SyntaxKind::NAME_REF | SyntaxKind::FIELD_EXPR))
}

/// Returns whether the condition chooses rows by their values: it compares a column with constants. A
/// condition of another form, such as `id > 0`, `id = id` or `id IS NOT NULL`, may hold for all rows.
pub(super) fn chooses_rows(clause: &SyntaxNode) -> bool {
    let words = words(clause);
    match words.split_first() {
        Some((first, rest)) if is_word(first, "where") => chooses(rest),
        _ => false,
    }
}

/// Returns the tokens without blanks and comments.
fn words(node: &SyntaxNode) -> Vec<String> {
    let tokens = node.descendants_with_tokens();
    let tokens = tokens.filter_map(|one| one.as_token().cloned());
    let tokens = tokens
        .filter(|token| !matches!(token.kind(), SyntaxKind::WHITESPACE | SyntaxKind::COMMENT));
    tokens.map(|token| token.text().to_owned()).collect()
}

fn is_word(word: &str, expected: &str) -> bool {
    word.eq_ignore_ascii_case(expected)
}

/// Each part of an `OR` has to choose rows, and one part of each `AND`.
fn chooses(words: &[String]) -> bool {
    let words = without_parentheses(words);
    let parts = split(words, "or");
    if parts.len() > 1 {
        return parts.into_iter().all(chooses);
    }
    // `a BETWEEN 1 AND 2` is one part.
    if words.iter().any(|word| is_word(word, "between")) {
        return matches!(words, [column, between, from, and, to]
            if is_column(column) && is_word(between, "between") && is_string(from)
                && is_word(and, "and") && is_string(to));
    }
    let parts = split(words, "and");
    match parts.len() {
        0 | 1 => compares(words),
        _ => parts.into_iter().any(chooses),
    }
}

/// Splits at a word outside of parentheses.
fn split<'a>(words: &'a [String], at: &str) -> Vec<&'a [String]> {
    let mut depth = 0_usize;
    words
        .split(|word| {
            match word.as_str() {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && is_word(word, at)
        })
        .collect()
}

/// Removes parentheses around the whole.
fn without_parentheses(words: &[String]) -> &[String] {
    let [open, inner @ .., close] = words else {
        return words;
    };
    let mut depth = 0_usize;
    let closes_early = inner.iter().any(|word| match word.as_str() {
        "(" => {
            depth += 1;
            false
        }
        ")" if depth == 0 => true,
        ")" => {
            depth -= 1;
            false
        }
        _ => false,
    });
    match open == "(" && close == ")" && !closes_early {
        true => without_parentheses(inner),
        false => words,
    }
}

/// Returns whether the words compare a column with constants, in a form that some rows do not meet.
fn compares(words: &[String]) -> bool {
    let [column, rest @ ..] = after_qualifier(words) else {
        return false;
    };
    if !is_column(column) {
        return false;
    }
    match rest {
        [equals, value] if equals == "=" => is_constant_value(value),
        [equals, value, cast, colon, _] if equals == "=" && cast == ":" && colon == ":" => {
            is_constant_value(value)
        }
        [is, null] if is_word(is, "is") => is_word(null, "null"),
        [like, pattern] if is_word(like, "like") || is_word(like, "ilike") => {
            is_string(pattern) && pattern.chars().any(|c| !matches!(c, '\'' | '%'))
        }
        [within, open, values @ .., close]
            if is_word(within, "in") && open == "(" && close == ")" =>
        {
            let mut values = values.iter().filter(|one| *one != ",");
            values.all(|value| is_constant_value(value))
        }
        // A bound in time; any number may be below or above all rows.
        [order, bound, ..] if matches!(order.as_str(), "<" | "<=" | ">" | ">=") => {
            is_string(bound)
                || ["now", "current_date", "current_timestamp", "localtimestamp"]
                    .iter()
                    .any(|word| is_word(bound, word))
        }
        _ => false,
    }
}

/// Removes the table's name before the column's.
fn after_qualifier(words: &[String]) -> &[String] {
    match words {
        [table, dot, rest @ ..] if dot == "." && is_column(table) => rest,
        _ => words,
    }
}

fn is_column(word: &str) -> bool {
    let is_name = word.starts_with(|c: char| c == '"' || c == '_' || c.is_alphabetic());
    let keywords = ["true", "false", "null", "not", "exists", "case"];
    is_name && !keywords.iter().any(|keyword| is_word(word, keyword))
}

fn is_string(word: &str) -> bool {
    word.starts_with('\'')
}

fn is_constant_value(word: &str) -> bool {
    is_string(word)
        || word.starts_with(|c: char| c.is_ascii_digit())
        || is_word(word, "true")
        || is_word(word, "false")
}

#[cfg(test)]
mod tests {
    use squawk_syntax::SourceFile;

    use super::super::syntax::find;
    use super::*;

    #[test]
    fn condition_that_may_hold_for_all_rows_chooses_none() {
        for (condition, expected) in [
            ("id = 5", true),
            ("t.id = 5", true),
            ("kind = 'x'", true),
            ("kind = 'x'::text", true),
            ("(id = 5)", true),
            ("id IN (1, 2)", true),
            ("id = 1 OR id = 2", true),
            ("(id = 1 OR id = 2) AND a > b", true),
            ("a > b AND is_old = true", true),
            ("deleted_at IS NULL", true),
            ("name LIKE 'x%'", true),
            ("expires_at < now()", true),
            ("expires_at < now() - interval '30 days'", true),
            ("made_at >= '2026-01-01'", true),
            ("made_at BETWEEN '2026-01-01' AND '2026-02-01'", true),
            ("true", false),
            ("1 = 1", false),
            ("id = id", false),
            ("true = true", false),
            ("id > 0", false),
            ("id <> 5", false),
            ("id IS NOT NULL", false),
            ("NOT id = 5", false),
            ("id = 5 OR true", false),
            ("id = 5 OR id <> 5", false),
            ("NOT (id = 5 AND a = 1)", false),
            ("id NOT IN (1, 2)", false),
            ("id IN (SELECT id FROM t)", false),
            ("EXISTS (SELECT 1)", false),
            ("name LIKE '%'", false),
            ("b BETWEEN 0 AND 100000", false),
            ("x BETWEEN y AND b = true", false),
            ("CASE WHEN x = 1 AND a = 1 THEN true ELSE true END", false),
            ("(id = 5) OR (true)", false),
        ] {
            let sql = format!("DELETE FROM t WHERE {condition}");
            let root = SourceFile::parse(&sql).syntax_node();
            let clause = find(&root, SyntaxKind::WHERE_CLAUSE).expect("a clause");
            assert_eq!(chooses_rows(&clause), expected, "{condition}");
        }
    }
}
