//! SQL as the server prints it, without what differs between versions of Postgres, or after a dump.
//!
//! - A name is quoted where a version of Postgres has a keyword of it: `json_value` by 17, and not by
//!   15. A name that could stand without quotes has none here.
//! - A cast of an array is pushed into its elements as the text is read again:
//!   `(ARRAY['a'::character varying])::text[]` becomes `ARRAY[('a'::character varying)::text]` in a
//!   database that is restored from a dump.
//! - Line breaks depend on the length of names.

use squawk_lexer::TokenKind;

/// A token, borrowed from the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind,
    pub(super) text: &'a str,
    /// True if white space comes before it.
    is_spaced: bool,
}

impl<'a> Token<'a> {
    pub(super) fn is_name(&self) -> bool {
        matches!(self.kind, TokenKind::Ident | TokenKind::QuotedIdent { .. })
    }

    /// Returns whether it is this keyword. The server prints those of a query in capitals, and quotes a
    /// name in capitals.
    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        self.kind == TokenKind::Ident && self.text == keyword
    }

    /// Returns this token with the white space of another.
    pub(super) fn spaced_as(self, other: &Token<'_>) -> Self {
        Self {
            is_spaced: other.is_spaced,
            ..self
        }
    }

    fn of(kind: TokenKind, text: &'a str) -> Self {
        Self {
            kind,
            text,
            is_spaced: false,
        }
    }
}

/// Returns the text in the form that all versions of Postgres share.
pub(super) fn normalize(sql: &str) -> String {
    join(&spread_array_casts(&tokens(sql)))
}

/// Returns the tokens of a text, with quotes only around names that need them in each version.
pub(super) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut is_spaced = false;
    for token in squawk_lexer::tokenize(sql) {
        let end = start + token.len as usize;
        let text = sql.get(start..end).unwrap_or_default();
        start = end;
        let (kind, text) = match token.kind {
            TokenKind::Whitespace => {
                is_spaced = true;
                continue;
            }
            TokenKind::QuotedIdent { .. } => match unquoted(text) {
                Some(name) => (TokenKind::Ident, name),
                None => (token.kind, text),
            },
            kind => (kind, text),
        };
        tokens.push(Token {
            kind,
            text,
            is_spaced,
        });
        is_spaced = false;
    }
    tokens
}

/// Returns a quoted name without its quotes, if it has only characters that need none.
fn unquoted(quoted: &str) -> Option<&str> {
    let name = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let is_plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_');
    let starts_well = !name.starts_with(|c: char| c.is_ascii_digit());
    (!name.is_empty() && starts_well && name.chars().all(is_plain)).then_some(name)
}

/// Returns the text of tokens, with one space where the server had white space.
pub(super) fn join(tokens: &[Token<'_>]) -> String {
    let mut text = String::new();
    for token in tokens {
        if token.is_spaced && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(token.text);
    }
    text
}

/// Returns the position after the bracket that closes the one at `open`.
pub(super) fn after_group(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (position, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBracket => depth += 1,
            TokenKind::CloseParen | TokenKind::CloseBracket => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(position + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Returns the tokens with `(ARRAY[a, b])::type[]` as `ARRAY[(a)::type, (b)::type]`.
fn spread_array_casts<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut spread = Vec::with_capacity(tokens.len());
    let mut position = 0;
    while let Some(token) = tokens.get(position) {
        match ArrayCast::at(tokens, position) {
            Some(cast) => {
                let first = spread.len();
                cast.spread(&mut spread);
                if let Some(first) = spread.get_mut(first) {
                    first.is_spaced = token.is_spaced;
                }
                position = cast.end;
            }
            None => {
                spread.push(*token);
                position += 1;
            }
        }
    }
    spread
}

/// The parts of `(ARRAY[a, b])::type[]`.
struct ArrayCast<'t, 'a> {
    elements: &'t [Token<'a>],
    element_type: &'t [Token<'a>],
    /// The position after it.
    end: usize,
}

impl<'t, 'a> ArrayCast<'t, 'a> {
    fn at(tokens: &'t [Token<'a>], open: usize) -> Option<Self> {
        let kind = |position: usize| tokens.get(position).map(|token| token.kind);
        let starts = kind(open)? == TokenKind::OpenParen
            && tokens.get(open + 1)?.is_keyword("ARRAY")
            && kind(open + 2)? == TokenKind::OpenBracket;
        if !starts {
            return None;
        }
        let after_array = after_group(tokens, open + 2)?;
        let is_cast = kind(after_array)? == TokenKind::CloseParen
            && kind(after_array + 1)? == TokenKind::Colon
            && kind(after_array + 2)? == TokenKind::Colon;
        if !is_cast {
            return None;
        }
        let start = after_array + 3;
        let mut end = start;
        while kind(end)? != TokenKind::OpenBracket {
            end = match kind(end)? {
                TokenKind::OpenParen => after_group(tokens, end)?,
                TokenKind::Ident | TokenKind::QuotedIdent { .. } | TokenKind::Dot => end + 1,
                _ => return None,
            };
        }
        (kind(end + 1)? == TokenKind::CloseBracket).then_some(Self {
            elements: tokens.get(open + 3..after_array - 1)?,
            element_type: tokens.get(start..end)?,
            end: end + 2,
        })
    }

    fn spread(&self, to: &mut Vec<Token<'a>>) {
        to.push(Token::of(TokenKind::Ident, "ARRAY"));
        to.push(Token::of(TokenKind::OpenBracket, "["));
        let mut depth = 0_usize;
        let elements = self.elements.split(|token| {
            match token.kind {
                TokenKind::OpenParen | TokenKind::OpenBracket => depth += 1,
                TokenKind::CloseParen | TokenKind::CloseBracket => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && token.kind == TokenKind::Comma
        });
        for (number, element) in elements.enumerate() {
            let mut open = Token::of(TokenKind::OpenParen, "(");
            if number > 0 {
                to.push(Token::of(TokenKind::Comma, ","));
                open.is_spaced = true;
            }
            to.push(open);
            let inside = to.len();
            to.extend_from_slice(element);
            if let Some(first) = to.get_mut(inside) {
                first.is_spaced = false;
            }
            to.push(Token::of(TokenKind::CloseParen, ")"));
            to.push(Token::of(TokenKind::Colon, ":"));
            to.push(Token::of(TokenKind::Colon, ":"));
            to.extend_from_slice(self.element_type);
        }
        to.push(Token::of(TokenKind::CloseBracket, "]"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_quotes_only_where_each_version_has_them() {
        for (sql, expected) in [
            (r#"public."json_value".a"#, "public.json_value.a"),
            (
                r#""Upper"."with ""x""" ."9""#,
                r#""Upper"."with ""x""" ."9""#,
            ),
            (r#"'"a"' || E'\'"b"' || "c""#, r#"'"a"' || E'\'"b"' || c"#),
            (r#""ä" + "a$" + """#, r#""ä" + "a$" + """#),
            (" SELECT a,\n    b\n   FROM c; ", "SELECT a, b FROM c;"),
            ("(a <> 1)", "(a <> 1)"),
            ("'no end", "'no end"),
        ] {
            assert_eq!(normalize(sql), expected);
        }
    }

    #[test]
    fn cast_of_an_array_is_that_of_its_elements() {
        for (before, restored) in [
            (
                "CHECK (((a)::text = ANY ((ARRAY['x'::character varying, 'y,]'::character \
                 varying])::text[])))",
                "CHECK (((a)::text = ANY (ARRAY[('x'::character varying)::text, \
                 ('y,]'::character varying)::text])))",
            ),
            (
                "f((ARRAY[g(a, b), c[1]])::app.\"T\"[])",
                "f(ARRAY[(g(a, b))::app.\"T\", (c[1])::app.\"T\"])",
            ),
            ("(ARRAY[a])::numeric(3,1)[]", "ARRAY[(a)::numeric(3,1)]"),
        ] {
            assert_eq!(normalize(before), restored);
            assert_eq!(normalize(restored), restored);
        }
        for same in [
            "(ARRAY[a])::text",
            "(ARRAY[a])",
            "((ARRAY[a])::text)[1]",
            "(ARRAY[a",
        ] {
            assert_eq!(normalize(same), same);
        }
    }
}
