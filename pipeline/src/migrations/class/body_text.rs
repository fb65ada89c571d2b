//! The words of a routine's body: does it use the rows of a table as wholes, and which names does it have?
//!
//! A body in SQL or PL/pgSQL is a text that the server reads as it runs. So one more column is in each `*`, in
//! `NEW`, and in a row that is a value. Words are read here, and no syntax: more is found than there is.

mod json_of_row;
mod own_rows;
mod table_rows;
#[cfg(test)]
mod tests;
mod trigger_rows;

use crate::migrations::statement::{Kind, ObjectName, fold_name, string_text, tokenize};

/// A use of a trigger's rows for which it makes a difference which columns they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowUse {
    /// Two rows are compared, which fails for a column of a type without equality.
    Compared,
    /// The row is a value: this part of the body.
    Whole(String),
}

/// The words of a body, without comments.
#[derive(Debug)]
pub(super) struct BodyText {
    words: Vec<Word>,
    /// It ends within a string, a name or a comment.
    is_broken: bool,
}

/// A word of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// A keyword, or a name without quotes, in lower case.
    Plain(String),
    /// A name in quotes.
    Quoted(String),
    /// The content of a string.
    Text(String),
    /// A number, a parameter, or a symbol.
    Symbol(String),
}

/// Functions and statements that run a text as a statement.
const RUN_TEXTS: [&str; 10] = [
    "cursor_to_xml",
    "dblink",
    "dblink_exec",
    "dblink_send_query",
    "execute",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "table_to_xml",
    "ts_stat",
];

impl BodyText {
    /// Reads a body.
    pub(super) fn parse(body: &str) -> Self {
        let mut words = Vec::new();
        let mut is_broken = false;
        for token in tokenize(body) {
            let text = &body[token.range];
            match token.kind {
                Kind::Blank { .. } => {}
                Kind::Word => words.push(Word::Plain(text.to_ascii_lowercase())),
                Kind::QuotedName => words.push(Word::Quoted(fold_name(text))),
                Kind::Text => words.push(Word::Text(string_text(text).unwrap_or_default())),
                Kind::Unterminated(_) => is_broken = true,
                Kind::Other | Kind::Symbol(_) | Kind::Backslash => {
                    words.push(Word::Symbol(text.to_owned()));
                }
            }
        }
        Self { words, is_broken }
    }

    /// Reads the condition in the definition of a trigger. The rows are `new` and `old` there, too.
    pub(super) fn of_condition(definition: &str) -> Self {
        let mut whole = Self::parse(definition);
        let words = &whole.words;
        let end = (0..words.len()).rev().find(|at| {
            whole.is_word(*at, &["execute"]) && whole.is_word(at + 1, &["function", "procedure"])
        });
        let end = end.unwrap_or(words.len());
        let start =
            (0..end).find(|at| whole.is_word(*at, &["when"]) && whole.is_symbol(at + 1, "("));
        whole.words = words[start.unwrap_or(end)..end].to_vec();
        whole
    }

    /// Returns the names of the tables of changed rows in the definition of a trigger.
    pub(super) fn transition_tables(definition: &str) -> Vec<ObjectName> {
        let whole = Self::parse(definition);
        let named = (0..whole.words.len()).filter(|at| {
            whole.is_word(*at, &["new", "old"])
                && whole.is_word(at + 1, &["table"])
                && whole.is_word(at + 2, &["as"])
        });
        let names = named.filter_map(|at| whole.name_at(at + 3).map(ObjectName::new));
        names.collect()
    }

    /// Returns whether the body runs texts as statements, or cannot be read to its end.
    pub(super) fn is_dynamic(&self) -> bool {
        self.is_broken || (0..self.words.len()).any(|at| self.is_word(at, &RUN_TEXTS))
    }

    /// Returns the contents of the body's strings, as bodies.
    pub(super) fn texts(&self) -> impl Iterator<Item = Self> {
        let texts = self.words.iter().filter_map(|word| match word {
            Word::Text(text) => Some(text),
            _ => None,
        });
        texts.map(|text| Self::parse(text))
    }

    /// Returns the words; `None` for a body that cannot be read to its end.
    pub(super) fn into_words(self) -> Option<Vec<Word>> {
        (!self.is_broken).then_some(self.words)
    }

    /// Returns whether the body empties the table by a `TRUNCATE` that another table's foreign key would refuse.
    pub(super) fn truncates(&self, table: &ObjectName) -> bool {
        let refused = |body: &Self, may_be_any: bool| {
            body.statements().into_iter().any(|statement| {
                let has = |words: &[&str]| statement.clone().any(|at| body.is_word(at, words));
                let names = statement.clone().any(|at| body.is_table(at, table));
                let is_open = may_be_any && statement.clone().any(|at| body.is_symbol(at, "%"));
                has(&["truncate"]) && !has(&["cascade"]) && (names || is_open)
            })
        };
        refused(self, false) || (self.is_dynamic() && self.texts().any(|text| refused(&text, true)))
    }

    /// Returns whether the body asks the catalog for columns, of which it may build a statement.
    pub(super) fn reads_catalog(&self) -> bool {
        let catalogs = ["information_schema", "pg_attribute"];
        (0..self.words.len()).any(|at| self.is_word(at, &catalogs))
    }

    /// Returns whether the body has the name, whatever it means there.
    pub(super) fn has_name(&self, name: &str) -> bool {
        (0..self.words.len()).any(|at| self.name_at(at) == Some(name))
    }

    /// Returns whether a string of the body has the word.
    pub(super) fn has_text(&self, word: &str) -> bool {
        let mut words = self.words.iter();
        words.any(|one| matches!(one, Word::Text(text) if text.contains(word)))
    }

    /// Returns whether the body calls a function of this name.
    pub(super) fn calls(&self, name: &str) -> bool {
        (0..self.words.len())
            .any(|at| self.name_at(at) == Some(name) && self.is_symbol(at + 1, "("))
    }

    /// Returns whether the body names the table, or may.
    pub(super) fn has_table(&self, table: &ObjectName) -> bool {
        (0..self.words.len()).any(|at| self.is_table(at, table))
    }

    /// Returns the places of each statement: what is between two semicolons.
    fn statements(&self) -> Vec<std::ops::Range<usize>> {
        let mut statements = Vec::new();
        let mut start = 0;
        for at in 0..self.words.len() {
            if self.is_symbol(at, ";") {
                statements.push(start..at + 1);
                start = at + 1;
            }
        }
        statements.push(start..self.words.len());
        statements
    }

    /// Returns whether the name at this place may be the table's: without a schema, or with its own.
    fn is_table(&self, at: usize, table: &ObjectName) -> bool {
        self.name_at(at) == Some(&table.name)
            && match self.qualifier(at) {
                None => true,
                schema => schema == table.schema.as_deref(),
            }
    }

    /// Returns the name before the point that is before this place.
    fn qualifier(&self, at: usize) -> Option<&str> {
        let before = at.checked_sub(2)?;
        let is_qualified = self.is_symbol(at - 1, ".");
        is_qualified.then(|| self.name_at(before).unwrap_or_default())
    }

    fn name_at(&self, at: usize) -> Option<&str> {
        match self.words.get(at)? {
            Word::Plain(name) | Word::Quoted(name) => Some(name),
            Word::Text(_) | Word::Symbol(_) => None,
        }
    }

    /// Returns the name, or the parameter, at this place.
    fn row_name(&self, at: usize) -> Option<&str> {
        match self.words.get(at)? {
            Word::Symbol(symbol) if symbol.starts_with('$') => Some(symbol),
            _ => self.name_at(at),
        }
    }

    fn is_word(&self, at: usize, words: &[&str]) -> bool {
        matches!(self.words.get(at), Some(Word::Plain(word)) if words.contains(&word.as_str()))
    }

    fn is_before(&self, at: usize, words: &[&str]) -> bool {
        at > 0 && self.is_word(at - 1, words)
    }

    fn is_symbol(&self, at: usize, symbol: &str) -> bool {
        matches!(self.words.get(at), Some(Word::Symbol(one)) if one == symbol)
    }

    /// Returns a few words of the body, for a message. Strings are left out.
    fn part(&self, at: usize) -> String {
        let around = at.saturating_sub(3)..(at + 3).min(self.words.len());
        let mut part = String::new();
        for (number, word) in self.words[around].iter().enumerate() {
            let text = match word {
                Word::Plain(text) => text.clone(),
                Word::Quoted(text) => format!("\"{text}\""),
                Word::Symbol(text) => text.clone(),
                Word::Text(_) => "'…'".to_owned(),
            };
            let is_joined = matches!(text.as_str(), "." | "," | ";" | ")" | "(" | "*")
                || part.ends_with(['.', '('])
                || number == 0;
            if !is_joined {
                part.push(' ');
            }
            part.push_str(&text);
        }
        part
    }
}
