//! The split of a file into statements, at the places where Postgres splits it.

use std::fmt;
use std::ops::Range;

use super::lines::LineStarts;
use super::token::{Kind, Token, tokenize};

/// The reason why a file cannot be run statement by statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitError {
    /// The line of the file, from 1.
    pub line: usize,
    /// The fault.
    pub problem: SplitProblem,
}

/// The faults that leave open where a statement ends, or that no server can run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SplitProblem {
    /// A command of psql, with its backslash.
    MetaCommand(String),
    /// `COPY` from or to the client, whose data a migration does not have.
    CopyWithClient,
    /// A string, a quoted name or a comment that does not end.
    Unterminated(&'static str),
    /// A NUL byte, which no text of Postgres holds.
    NulByte,
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            SplitProblem::MetaCommand(name) => write!(
                f,
                "{name} is a command of psql, which the server does not know: write it as SQL"
            ),
            SplitProblem::CopyWithClient => f.write_str(
                "COPY FROM STDIN and COPY TO STDOUT need a client with the data: use INSERT",
            ),
            SplitProblem::Unterminated(what) => {
                write!(f, "unterminated {what}, begun in this line")
            }
            SplitProblem::NulByte => f.write_str("the file holds a NUL byte: save it as UTF-8"),
        }
    }
}

impl std::error::Error for SplitError {}

/// A statement's place in the file, and its tokens.
#[derive(Debug)]
pub(super) struct Piece {
    /// All of it: the blanks and comments before, and the semicolon. The pieces of a file are
    /// adjacent, and the last one reaches to the file's end.
    pub(super) range: Range<usize>,
    /// From the first token to the last, without the semicolon.
    pub(super) text: Range<usize>,
    /// The tokens without blanks and comments, with places in the file.
    pub(super) tokens: Vec<Token>,
    /// The comments before the statement and in it.
    pub(super) comments: Vec<Range<usize>>,
}

/// Splits the file.
///
/// # Errors
///
/// A text that leaves open where a statement ends, and one that no server runs.
pub(super) fn pieces(sql: &str) -> Result<Vec<Piece>, SplitError> {
    if let Some(at) = sql.find('\0') {
        return Err(error(sql, at, SplitProblem::NulByte));
    }
    let mut pieces: Vec<Piece> = Vec::new();
    let mut open = Open::default();
    let mut start = 0;
    for token in tokenize(sql) {
        let spelled = &sql[token.range.clone()];
        match token.kind {
            Kind::Blank { is_comment } => {
                if is_comment {
                    open.comments.push(token.range);
                }
                continue;
            }
            Kind::Unterminated(what) => {
                let problem = SplitProblem::Unterminated(what);
                return Err(error(sql, token.range.start, problem));
            }
            Kind::Backslash => {
                let rest = &sql[token.range.start..];
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let problem = SplitProblem::MetaCommand(rest[..end].to_owned());
                return Err(error(sql, token.range.start, problem));
            }
            Kind::Symbol(';') if !open.holds_semicolons() => {
                let end = token.range.end;
                if open.tokens.is_empty() {
                    continue;
                }
                pieces.push(std::mem::take(&mut open).close(sql, start..end)?);
                start = end;
            }
            _ => open.push(token, spelled),
        }
    }
    if !open.tokens.is_empty() {
        pieces.push(open.close(sql, start..sql.len())?);
    } else if let Some(last) = pieces.last_mut() {
        last.range.end = sql.len();
    }
    Ok(pieces)
}

/// The statement that the splitter is in.
#[derive(Default)]
struct Open {
    tokens: Vec<Token>,
    comments: Vec<Range<usize>>,
    /// The first words in upper case, up to a symbol; no more than those of
    /// `CREATE OR REPLACE PROCEDURE`.
    head: Vec<String>,
    head_is_over: bool,
    /// The depth of parentheses in `CREATE RULE`, whose actions may be several in parentheses.
    depth: usize,
    /// Between `BEGIN ATOMIC` and its `END`.
    is_atomic: bool,
    last_word: Option<String>,
}

impl Open {
    /// Returns whether a semicolon does not end the statement here.
    fn holds_semicolons(&self) -> bool {
        self.is_atomic || self.depth > 0
    }

    fn push(&mut self, token: Token, spelled: &str) {
        let word = (token.kind == Kind::Word).then(|| spelled.to_ascii_uppercase());
        if self.head.len() < 4 && !self.head_is_over {
            match &word {
                Some(word) => self.head.push(word.clone()),
                None => self.head_is_over = true,
            }
        }
        match (token.kind, word.as_deref()) {
            (Kind::Symbol('('), _) if self.creates(&["RULE"]) => self.depth += 1,
            (Kind::Symbol(')'), _) => self.depth = self.depth.saturating_sub(1),
            (_, Some("ATOMIC"))
                if self.last_word.as_deref() == Some("BEGIN")
                    && self.creates(&["FUNCTION", "PROCEDURE"]) =>
            {
                self.is_atomic = true;
            }
            // An END of CASE never begins a statement of the body.
            (_, Some("END")) if self.is_atomic && self.begins_statement_of_body() => {
                self.is_atomic = false;
            }
            _ => {}
        }
        self.last_word = word;
        self.tokens.push(token);
    }

    fn begins_statement_of_body(&self) -> bool {
        let last = self.tokens.last().map(|token| token.kind);
        last == Some(Kind::Symbol(';')) || self.last_word.as_deref() == Some("ATOMIC")
    }

    /// Returns whether the statement is `CREATE` or `CREATE OR REPLACE` of one of the kinds.
    fn creates(&self, kinds: &[&str]) -> bool {
        let words: Vec<&str> = self.head.iter().map(String::as_str).collect();
        let kind = match words.as_slice() {
            ["CREATE", "OR", "REPLACE", kind, ..] => kind,
            ["CREATE", kind, ..] => kind,
            _ => return false,
        };
        kinds.contains(kind)
    }

    fn close(self, sql: &str, range: Range<usize>) -> Result<Piece, SplitError> {
        let first = self
            .tokens
            .first()
            .map_or(range.start, |token| token.range.start);
        let last = self
            .tokens
            .last()
            .map_or(range.end, |token| token.range.end);
        if self.copies_with_client(sql) {
            return Err(error(sql, first, SplitProblem::CopyWithClient));
        }
        Ok(Piece {
            range,
            text: first..last,
            tokens: self.tokens,
            comments: self.comments,
        })
    }

    fn copies_with_client(&self, sql: &str) -> bool {
        let is = |index: usize, word: &str| {
            self.tokens.get(index).is_some_and(|token: &Token| {
                token.kind == Kind::Word && sql[token.range.clone()].eq_ignore_ascii_case(word)
            })
        };
        is(0, "COPY")
            && (1..self.tokens.len()).any(|at| {
                (is(at - 1, "FROM") && is(at, "STDIN")) || (is(at - 1, "TO") && is(at, "STDOUT"))
            })
    }
}

fn error(sql: &str, at: usize, problem: SplitProblem) -> SplitError {
    SplitError {
        line: LineStarts::of(sql).line_of(at),
        problem,
    }
}
