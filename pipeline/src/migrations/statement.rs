//! The statements of a migration file, and what a runner has to know of each.

mod escapes;
mod lines;
mod name;
mod nesting;
mod split;
mod token;
mod transaction;

use std::ops::Range;

use squawk_syntax::SourceFile;

pub(crate) use self::escapes::string_text;
use self::lines::LineStarts;
pub use self::name::ObjectName;
pub(crate) use self::name::fold as fold_name;
use self::split::pieces;
pub use self::split::{SplitError, SplitProblem};
use self::token::Token;
pub(crate) use self::token::{Kind, tokenize};
pub use self::transaction::ConcurrentIndex;

/// A statement of a file.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The statement from its first token to its last, without the semicolon and the comments
    /// around it.
    pub text: String,
    /// Its bytes in the file, with the blanks and comments before it and the semicolon. The ranges
    /// of a file's statements are adjacent; the last one reaches to the end of the file.
    pub range: Range<usize>,
    /// The line of its first token, from 1.
    pub line: usize,
    /// The places that the parser does not understand. Postgres may: it knows a syntax sooner.
    pub syntax_errors: Vec<SyntaxError>,
    /// The comments before the statement and in it, with their lines.
    pub comments: Vec<(usize, String)>,
    /// The tokens, with places in the text.
    pub(crate) tokens: Vec<Token>,
}

/// A place that the parser does not understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line of the file, from 1.
    pub line: usize,
    /// The parser's words.
    pub message: String,
}

/// Splits a file into its statements. Empty ones are left out.
///
/// # Errors
///
/// A command of psql, `COPY` with the client, a string or comment without an end, a NUL byte.
pub fn split_statements(sql: &str) -> Result<Vec<Statement>, SplitError> {
    let pieces = pieces(sql)?.into_iter();
    let lines = LineStarts::of(sql);
    Ok(pieces
        .map(|piece| Statement::new(sql, piece, &lines))
        .collect())
}

/// Returns whether a text is nested too deeply for the parser.
pub(crate) fn is_nested_too_deeply(sql: &str) -> bool {
    nesting::too_deep(sql, &tokenize(sql)).is_some()
}

/// Returns the comments before the first token of a file, with their lines.
pub(crate) fn leading_comments(sql: &str) -> Vec<(usize, String)> {
    let lines = LineStarts::of(sql);
    let tokens = tokenize(sql).into_iter();
    let blanks = tokens.map_while(|token| match token.kind {
        Kind::Blank { is_comment } => Some((is_comment, token.range)),
        _ => None,
    });
    let comments = blanks.filter(|(is_comment, _)| *is_comment);
    comments
        .map(|(_, range)| (lines.line_of(range.start), sql[range].to_owned()))
        .collect()
}

impl Statement {
    fn new(sql: &str, piece: split::Piece, lines: &LineStarts) -> Self {
        let start = piece.text.start;
        let text = sql[piece.text].to_owned();
        let syntax_errors = match nesting::too_deep(sql, &piece.tokens) {
            Some(at) => vec![SyntaxError {
                line: lines.line_of(at.start),
                message: format!("nested more than {} levels deep", nesting::DEEPEST),
            }],
            None => {
                let errors = SourceFile::parse(&text).errors().into_iter();
                let errors = errors.map(|error| SyntaxError {
                    line: lines.line_of(start + usize::from(error.range().start()).min(text.len())),
                    message: error.message().to_owned(),
                });
                errors.collect()
            }
        };
        let tokens = piece.tokens.into_iter().map(|token| Token {
            range: token.range.start - start..token.range.end - start,
            ..token
        });
        let comments = piece.comments.into_iter();
        Self {
            syntax_errors,
            tokens: tokens.collect(),
            comments: comments
                .map(|range| (lines.line_of(range.start), sql[range].to_owned()))
                .collect(),
            range: piece.range,
            line: lines.line_of(start),
            text,
        }
    }

    /// Returns the line of the file for a position that the server gives in its error, which counts
    /// the characters of [`text`](Self::text) from 1.
    pub fn line_of_position(&self, position: usize) -> usize {
        let before = self.text.chars().take(position.saturating_sub(1));
        self.line + before.filter(|c| *c == '\n').count()
    }

    /// Returns whether the parser understands the statement.
    pub(crate) fn is_understood(&self) -> bool {
        self.syntax_errors.is_empty()
    }

    /// Returns the encoding that `SET client_encoding` or `SET NAMES` gives the session, as it is
    /// spelled without its quotes.
    pub(crate) fn client_encoding(&self) -> Option<&str> {
        let at = 1 + usize::from(self.is_scoped());
        match self.begins(&["SET"]) && self.is_word(at, "NAMES") {
            true => Some(self.spelled(at + 1)?.trim_matches(['\'', '"'])),
            false => self.value_set_for("client_encoding"),
        }
    }

    /// Returns the value that a `SET` gives a parameter, as it is spelled without its quotes.
    pub(crate) fn value_set_for(&self, parameter: &str) -> Option<&str> {
        if !self.begins(&["SET"]) {
            return None;
        }
        let at = 1 + usize::from(self.is_scoped());
        let name = self.spelled(at)?.trim_matches('"');
        match name.eq_ignore_ascii_case(parameter) {
            true => Some(self.spelled(at + 2)?.trim_matches(['\'', '"'])),
            false => None,
        }
    }

    fn is_scoped(&self) -> bool {
        self.is_word(1, "SESSION") || self.is_word(1, "LOCAL")
    }

    /// Returns the text with blanks for comments, so that all places stay.
    pub(crate) fn without_comments(&self) -> String {
        let blank = |text: &str| -> String {
            let bytes = text.bytes();
            bytes
                .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
                .collect()
        };
        let mut result = String::with_capacity(self.text.len());
        let mut at = 0;
        for token in &self.tokens {
            result.push_str(&blank(&self.text[at..token.range.start]));
            result.push_str(&self.text[token.range.clone()]);
            at = token.range.end;
        }
        result
    }

    /// Returns the table of `ALTER TABLE`, as far as the tokens say it.
    pub(crate) fn altered_table(&self) -> Option<ObjectName> {
        let mut at = 2;
        if self.is_word(at, "IF") && self.is_word(at + 1, "EXISTS") {
            at += 2;
        }
        if self.is_word(at, "ONLY") {
            at += 1;
        }
        self.name_at(at).map(|(name, _)| name)
    }

    /// Returns the first words in upper case, up to a token that is none.
    fn first_words(&self, count: usize) -> Vec<String> {
        let tokens = self.tokens.iter().take(count);
        let words = tokens.take_while(|token| token.kind == Kind::Word);
        words
            .map(|token| self.text[token.range.clone()].to_ascii_uppercase())
            .collect()
    }

    /// Returns whether the statement begins with the words.
    pub(crate) fn begins(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(at, word)| self.is_word(at, word))
    }

    /// Returns whether the words stand next to each other anywhere in the statement.
    pub(crate) fn has(&self, words: &[&str]) -> bool {
        (0..self.tokens.len()).any(|start| {
            words
                .iter()
                .zip(start..)
                .all(|(word, at)| self.is_word(at, word))
        })
    }

    /// Returns whether the token is the word, in any case.
    pub(crate) fn is_word(&self, at: usize, word: &str) -> bool {
        self.tokens
            .get(at)
            .is_some_and(|token| token.kind == Kind::Word)
            && self
                .spelled(at)
                .is_some_and(|spelled| spelled.eq_ignore_ascii_case(word))
    }

    fn is_symbol(&self, at: usize, symbol: char) -> bool {
        self.tokens
            .get(at)
            .is_some_and(|token| token.kind == Kind::Symbol(symbol))
    }

    fn spelled(&self, at: usize) -> Option<&str> {
        self.tokens
            .get(at)
            .map(|token| &self.text[token.range.clone()])
    }

    /// Returns the name that begins at the token, and the place after it.
    pub(crate) fn name_at(&self, at: usize) -> Option<(ObjectName, usize)> {
        let mut parts = Vec::new();
        let mut at = at;
        loop {
            let token = self.tokens.get(at)?;
            if !matches!(token.kind, Kind::Word | Kind::QuotedName) {
                return None;
            }
            parts.push(name::fold(&self.text[token.range.clone()]));
            at += 1;
            if !self.is_symbol(at, '.') {
                return Some((ObjectName::from_parts(parts)?, at));
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests;
