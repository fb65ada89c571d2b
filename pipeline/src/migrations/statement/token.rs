//! The tokens of a SQL text, as Postgres's scanner reads them.

use std::ops::Range;

use squawk_lexer::{LiteralKind, TokenKind};

/// A token and its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) range: Range<usize>,
}

/// The kinds of tokens, as far as the splitter and the questions tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// White space, or a comment.
    Blank { is_comment: bool },
    /// A keyword, or a name without quotes.
    Word,
    /// A name in double quotes.
    QuotedName,
    /// A string in any of its spellings.
    Text,
    /// A number, an operator or a parameter.
    Other,
    /// A symbol of one character that structures a statement.
    Symbol(char),
    /// A backslash, with which a command of psql begins.
    Backslash,
    /// A string, a name or a comment without an end.
    Unterminated(&'static str),
}

/// Returns all tokens of the text. Their ranges are adjacent and cover it.
pub(crate) fn tokenize(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while start < sql.len() {
        let restart = scan(sql, start, &mut tokens);
        debug_assert!(restart > start, "the scanner moves on");
        start = restart;
    }
    tokens
}

/// Scans from `start`, at most to the end of an escape string with a continuation: the lexer takes
/// `E'a'`, a line break and `'\''` for two strings of which the second has no escapes.
///
/// Returns where it stopped.
fn scan(sql: &str, start: usize, tokens: &mut Vec<Token>) -> usize {
    let mut at = start;
    for token in squawk_lexer::tokenize(&sql[start..]) {
        let end = at + token.len as usize;
        let mut range = at..end;
        let is_escape = matches!(
            token.kind,
            TokenKind::Literal {
                kind: LiteralKind::EscStr { terminated: true }
            }
        );
        if is_escape {
            while let Some(part) = continuation(&sql[range.end..]) {
                range.end += part;
            }
        }
        at = range.end;
        let kind = kind(token.kind, &sql[range.clone()]);
        tokens.push(Token { kind, range });
        if at > end {
            return at;
        }
    }
    at
}

/// Returns the length of a string's continuation: white space with a line break, comments, and a
/// quoted part in which a backslash escapes a quote.
fn continuation(rest: &str) -> Option<usize> {
    let mut at = 0;
    let mut has_line_break = false;
    let bytes = rest.as_bytes();
    loop {
        match bytes.get(at)? {
            b'\n' | b'\r' => {
                has_line_break = true;
                at += 1;
            }
            b' ' | b'\t' | 0x0b | 0x0c => at += 1,
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at += rest[at..].find(['\n', '\r'])?;
            }
            b'\'' if has_line_break => break,
            _ => return None,
        }
    }
    at += 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

fn kind(kind: TokenKind, text: &str) -> Kind {
    match kind {
        TokenKind::Whitespace => Kind::Blank { is_comment: false },
        TokenKind::LineComment => Kind::Blank { is_comment: true },
        TokenKind::BlockComment { terminated: true } => Kind::Blank { is_comment: true },
        TokenKind::BlockComment { .. } => Kind::Unterminated("comment"),
        TokenKind::Ident => Kind::Word,
        TokenKind::QuotedIdent {
            terminated: true, ..
        } => Kind::QuotedName,
        TokenKind::QuotedIdent { .. } => Kind::Unterminated("quoted name"),
        TokenKind::Literal { kind } => literal(kind),
        TokenKind::Semi => Kind::Symbol(';'),
        TokenKind::OpenParen => Kind::Symbol('('),
        TokenKind::CloseParen => Kind::Symbol(')'),
        TokenKind::Comma => Kind::Symbol(','),
        TokenKind::Dot => Kind::Symbol('.'),
        TokenKind::Unknown if text == "\\" => Kind::Backslash,
        _ => Kind::Other,
    }
}

fn literal(kind: LiteralKind) -> Kind {
    let terminated = match kind {
        LiteralKind::Int { .. } | LiteralKind::Numeric { .. } => return Kind::Other,
        LiteralKind::Str { terminated }
        | LiteralKind::NationalStr { terminated }
        | LiteralKind::ByteStr { terminated }
        | LiteralKind::BitStr { terminated }
        | LiteralKind::UnicodeEscStr { terminated }
        | LiteralKind::EscStr { terminated } => terminated,
        LiteralKind::DollarQuotedString { terminated: true } => true,
        LiteralKind::DollarQuotedString { terminated: false } => {
            return Kind::Unterminated("dollar-quoted string");
        }
    };
    if terminated {
        Kind::Text
    } else {
        Kind::Unterminated("string")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(sql: &str) -> Vec<(Kind, &str)> {
        let tokens = tokenize(sql).into_iter();
        let spelled = tokens.map(|token| (token.kind, &sql[token.range]));
        spelled
            .filter(|(kind, _)| !matches!(kind, Kind::Blank { .. }))
            .collect()
    }

    #[test]
    fn escape_string_goes_on_after_a_line_break() {
        let sql = "E'a' -- it's\n 'b\\'; c' ; d";
        let found = kinds(sql);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0].1, "E'a' -- it's\n 'b\\'; c'");
        assert_eq!(found[2], (Kind::Word, "d"));
        // Without a line break Postgres sees two strings, which is an error of the statement.
        assert_eq!(kinds("E'a' 'b' ; d").len(), 4);
    }

    #[test]
    fn text_is_covered_by_its_tokens() {
        let sql = "\u{feff}SELECT $1, $a$;$a$, \"ä;\" /* /* ; */ */ , 'it''s' \\g";
        let joined = tokenize(sql).into_iter().map(|token| &sql[token.range]);
        assert_eq!(joined.collect::<String>(), sql);
    }

    #[test]
    fn missing_end_is_a_kind_of_its_own() {
        for (sql, what) in [
            ("'a", "string"),
            ("E'a\\'", "string"),
            ("\"a", "quoted name"),
            ("$x$ a $y$", "dollar-quoted string"),
            ("/* /* */", "comment"),
        ] {
            let last = kinds(sql).pop().map(|(kind, _)| kind);
            assert_eq!(last, Some(Kind::Unterminated(what)), "{sql}");
        }
    }
}
