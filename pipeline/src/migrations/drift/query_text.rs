//! The text of a query as the server prints it, without what differs between versions of Postgres.
//!
//! Postgres 16 and newer print a column without its table where there is only one; 15 prints both. So
//! all qualifiers go, and the tables are compared by the catalog's list of what the query depends on.

use squawk_lexer::TokenKind;

/// Returns the tokens of a query, one space apart, without the names before a dot.
pub(super) fn without_qualifiers(sql: &str) -> String {
    let mut tokens: Vec<(TokenKind, &str)> = Vec::new();
    let mut start = 0;
    for token in squawk_lexer::tokenize(sql) {
        let end = start + token.len as usize;
        let text = sql.get(start..end).unwrap_or_default();
        start = end;
        match token.kind {
            TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment { .. } => {}
            TokenKind::Dot if ends_with_name(&tokens) => {
                tokens.pop();
            }
            kind => tokens.push((kind, text)),
        }
    }
    let texts: Vec<_> = tokens.iter().map(|(_, text)| *text).collect();
    texts.join(" ")
}

fn ends_with_name(tokens: &[(TokenKind, &str)]) -> bool {
    let last = tokens.last();
    last.is_some_and(|(kind, _)| matches!(kind, TokenKind::Ident | TokenKind::QuotedIdent { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_15_and_18_are_the_same() {
        let old =
            " SELECT a.id,\n    a.\"B c\",\n    1.5 AS n\n   FROM public.a\n  WHERE (a.id > 1);";
        let new = " SELECT id,\n    \"B c\",\n    1.5 AS n\n   FROM a\n  WHERE (id > 1);";
        assert_eq!(without_qualifiers(old), without_qualifiers(new));
        assert_eq!(
            without_qualifiers(old),
            "SELECT id , \"B c\" , 1.5 AS n FROM a WHERE ( id > 1 ) ;"
        );
    }

    #[test]
    fn strings_and_fields_of_values_stay() {
        let sql = "SELECT 'a.b  c', (x.y).z, $1 FROM a.b.c";
        assert_eq!(
            without_qualifiers(sql),
            "SELECT 'a.b  c' , ( y ) . z , $1 FROM c"
        );
        assert_eq!(without_qualifiers("SELECT 'no end"), "SELECT 'no end");
    }
}
