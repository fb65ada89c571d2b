//! The query of a view as the server prints it, the same for each version of Postgres.
//!
//! Of a view with one table Postgres 15 prints the columns as `a.id`, and 16 and newer as `id`. A
//! name for the table is unique in a whole query, so that it says nothing in either place, and goes.
//! All other qualifiers stay: those of schemas, and those of columns where there are several tables.

use std::ops::Range;

use squawk_lexer::TokenKind;

use crate::migrations::drift::deparsed_sql::{Token, after_group, join, normalize, tokens};

/// Returns the query without the qualifier that depends on the version.
pub(super) fn normalize_view(sql: &str) -> String {
    let all = tokens(sql);
    let Some(from) = only_from_item(&all) else {
        return normalize(sql);
    };
    let Some(alias) = alias(&all, &from) else {
        return normalize(sql);
    };
    let is_qualifier = |position: usize| {
        let kind = |at: usize| all.get(at).map(|token| token.kind);
        let names = |at: usize| all.get(at).is_some_and(|token| token.text == alias.text);
        let before = position.checked_sub(1).and_then(kind);
        names(position)
            && kind(position + 1) == Some(TokenKind::Dot)
            && all.get(position + 2).is_some_and(Token::is_name)
            // A function's name is followed by its arguments.
            && kind(position + 3) != Some(TokenKind::OpenParen)
            && !matches!(before, Some(TokenKind::Dot | TokenKind::Colon))
            // The table's own schema.
            && position != from.start
            && !(position == from.start + 1 && all[from.start].is_keyword("ONLY"))
    };
    let mut kept: Vec<Token<'_>> = Vec::with_capacity(all.len());
    let mut position = 0;
    while let Some(token) = all.get(position) {
        if is_qualifier(position) {
            kept.push(all[position + 2].spaced_as(token));
            position += 3;
        } else {
            kept.push(*token);
            position += 1;
        }
    }
    normalize(&join(&kept))
}

/// Returns the place of the only table or other item after FROM; `None` where there are none or several,
/// or several queries.
fn only_from_item(tokens: &[Token<'_>]) -> Option<Range<usize>> {
    let mut start = None;
    let mut position = 0;
    let mut end = tokens.len();
    while let Some(token) = tokens.get(position) {
        let is_distinct = |at: usize| tokens.get(at).is_some_and(|of| of.is_keyword("DISTINCT"));
        match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBracket => {
                position = after_group(tokens, position)?;
                continue;
            }
            TokenKind::Comma if start.is_some() && position < end => return None,
            TokenKind::Semi if start.is_some() => end = end.min(position),
            TokenKind::Ident if ["UNION", "INTERSECT", "EXCEPT", "JOIN"].contains(&token.text) => {
                return None;
            }
            TokenKind::Ident if start.is_some() && AFTER_FROM.contains(&token.text) => {
                end = end.min(position);
            }
            TokenKind::Ident
                if token.text == "FROM"
                    && position.checked_sub(1).is_none_or(|of| !is_distinct(of)) =>
            {
                start = Some(position + 1);
            }
            _ => {}
        }
        position += 1;
    }
    let item = start?..end;
    // A join is in parentheses.
    if tokens.get(item.start)?.kind == TokenKind::OpenParen {
        let inside = item.start + 1..after_group(tokens, item.start)? - 1;
        let mut position = inside.start;
        while position < inside.end {
            let token = tokens.get(position)?;
            position = match token.kind {
                TokenKind::OpenParen | TokenKind::OpenBracket => after_group(tokens, position)?,
                _ if token.is_keyword("JOIN") => return None,
                _ => position + 1,
            };
        }
    }
    Some(item)
}

/// Returns the name by which columns of the item are qualified: its last name outside of parentheses.
fn alias<'a>(tokens: &[Token<'a>], item: &Range<usize>) -> Option<Token<'a>> {
    let mut alias = None;
    let mut position = item.start;
    while position < item.end {
        let token = tokens.get(position)?;
        position = match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBracket => after_group(tokens, position)?,
            _ if token.is_keyword("TABLESAMPLE") => break,
            _ => {
                if token.is_name() {
                    alias = Some(*token);
                }
                position + 1
            }
        };
    }
    alias
}

/// The keywords after the list of tables.
const AFTER_FROM: [&str; 9] = [
    "WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET", "FETCH", "FOR",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_one_table_have_no_qualifier() {
        for (old, new) in [
            (
                " SELECT a.id,\n    a.\"B c\",\n    1.5 AS n\n   FROM public.a\n  WHERE (a.id > 1);",
                "SELECT id, \"B c\", 1.5 AS n FROM public.a WHERE (id > 1);",
            ),
            (
                "SELECT p.id, app.p(p.id) AS x, p.*::app.p AS w FROM ONLY app.people p \
                 ORDER BY p.id;",
                "SELECT id, app.p(id) AS x, p.*::app.p AS w FROM ONLY app.people p ORDER BY id;",
            ),
            ("SELECT app.x FROM app.app;", "SELECT x FROM app.app;"),
            (
                "SELECT a.id FROM a WHERE (EXISTS ( SELECT 1 FROM b.c WHERE (c.x = a.id)));",
                "SELECT id FROM a WHERE (EXISTS ( SELECT 1 FROM b.c WHERE (c.x = id)));",
            ),
            (
                "SELECT q.x FROM ( SELECT t.x FROM (t JOIN u ON ((t.x = u.x)))) q;",
                "SELECT x FROM ( SELECT t.x FROM (t JOIN u ON ((t.x = u.x)))) q;",
            ),
            (
                "SELECT g.n FROM generate_series(1, 3) g(n) LIMIT 1;",
                "SELECT n FROM generate_series(1, 3) g(n) LIMIT 1;",
            ),
            (
                "SELECT a.id FROM a TABLESAMPLE system (10) GROUP BY a.id, a.x;",
                "SELECT id FROM a TABLESAMPLE system (10) GROUP BY id, x;",
            ),
        ] {
            assert_eq!(normalize_view(old), new);
            assert_eq!(normalize_view(new), new);
        }
    }

    #[test]
    fn qualifiers_that_say_something_stay() {
        for same in [
            "SELECT x.id FROM (a x JOIN a y ON ((x.id = y.k)));",
            "SELECT x.id FROM a x, a y;",
            "SELECT a.id FROM a UNION SELECT b.id FROM b;",
            "SELECT 'a.id' AS text, (a.r).z AS z, 1;",
            "SELECT a.x FROM ((a JOIN b ON (true)) JOIN c ON (true));",
            "SELECT (a.id IS DISTINCT FROM 1) FROM (a CROSS JOIN b);",
            "SELECT a.id FROM (a",
        ] {
            assert_eq!(normalize_view(same), same);
        }
    }
}
