//! The tables in the statements of a body: columns by their names, or rows as wholes.

use std::ops::Range;

use super::BodyText;
use crate::migrations::statement::ObjectName;

/// Words before the name of a table that is read or changed.
const BEFORE_TABLE: [&str; 10] = [
    "analyze", "from", "into", "join", "lock", "of", "only", "truncate", "update", "using",
];

/// Words before `TABLE` in statements that name a table and do not read its rows.
const BEFORE_THE_WORD_TABLE: [&str; 5] = ["alter", "create", "drop", "lock", "truncate"];

/// Words that may come after the name of a table, and are no alias of it.
const NO_ALIAS: [&str; 39] = [
    "as",
    "cascade",
    "cross",
    "default",
    "do",
    "end",
    "except",
    "fetch",
    "for",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "into",
    "join",
    "left",
    "limit",
    "loop",
    "natural",
    "offset",
    "on",
    "order",
    "overriding",
    "returning",
    "right",
    "select",
    "set",
    "tablesample",
    "then",
    "union",
    "using",
    "values",
    "when",
    "where",
    "window",
    "with",
];

/// Words that begin a clause of values, in which the name of a table is a row.
const OF_VALUES: [&str; 18] = [
    "and",
    "by",
    "case",
    "distinct",
    "else",
    "having",
    "limit",
    "not",
    "on",
    "or",
    "perform",
    "return",
    "returning",
    "select",
    "set",
    "values",
    "when",
    "where",
];

impl BodyText {
    /// Returns whether a statement of the body has a bare name beside one of the tables. With such a column of
    /// the table it is ambiguous, or means that column.
    pub(in super::super) fn has_bare_name_beside(&self, tables: &[ObjectName], name: &str) -> bool {
        let bare = |at: usize| {
            self.name_at(at) == Some(name)
                && self.qualifier(at).is_none()
                && !self.is_symbol(at + 1, "(")
                && !self.is_symbol(at + 1, ".")
        };
        self.statements().into_iter().any(|statement| {
            let is_beside = |at| tables.iter().any(|table| self.is_table(at, table));
            statement.clone().any(is_beside) && statement.clone().any(bare)
        })
    }

    /// Returns the part of the body that has a row of one of the tables as a value, or all of its columns.
    /// `rows` are names of rows, such as that of an argument.
    pub(in super::super) fn use_of_tables(
        &self,
        tables: &[ObjectName],
        rows: &[String],
    ) -> Option<String> {
        let is_of_tables = |at: usize| tables.iter().any(|table| self.is_table(at, table));
        for statement in self.statements() {
            let named: Vec<usize> = statement.clone().filter(|at| is_of_tables(*at)).collect();
            let (read, values): (Vec<usize>, Vec<usize>) =
                named.iter().partition(|at| self.is_read(**at, &statement));
            let is_value =
                |at: &&usize| !self.is_symbol(**at + 1, ".") && !self.is_kept_as_json(**at);
            if let Some(at) = values.iter().find(is_value) {
                return Some(self.part(*at));
            }
            let is_ours = |at: &usize| {
                self.is_of_all(*at) && !self.is_of_other_table(*at, &statement, tables)
            };
            let mut of_all = statement.clone().filter(is_ours);
            let star = of_all.next().filter(|_| !named.is_empty());
            if let Some(at) = star {
                return Some(self.part(at));
            }
            let aliases: Vec<(usize, &str)> =
                read.iter().filter_map(|at| self.alias(*at)).collect();
            let is_row = |at: usize| {
                let Some(name) = self.row_name(at) else {
                    return false;
                };
                let is_alias = aliases.iter().any(|(_, alias)| *alias == name);
                let is_declared = aliases.iter().any(|(declared, _)| *declared == at);
                let is_locked = self.is_before(at, &["of"]);
                let is_of_column = self.is_symbol(at + 1, ".") && !self.is_symbol(at + 2, "*");
                let is_alias = is_alias && !self.is_kept_as_json(at);
                (is_alias || rows.iter().any(|row| row == name))
                    && self.qualifier(at).is_none()
                    && !is_declared
                    && !is_locked
                    && !is_of_column
            };
            if let Some(at) = statement.clone().find(|at| is_row(*at)) {
                return Some(self.part(at));
            }
        }
        None
    }

    /// Returns whether a `*` is `name.*` of a table that the statement reads and that is none of these.
    fn is_of_other_table(
        &self,
        star: usize,
        statement: &Range<usize>,
        tables: &[ObjectName],
    ) -> bool {
        let qualifier = self.qualifier(star).unwrap_or_default();
        if !self.is_symbol(star, "*") || qualifier.is_empty() || self.qualifier(star - 2).is_some()
        {
            return false;
        }
        let mut called = statement.clone().filter(|at| {
            let is_relation = self.is_read(*at, statement)
                && !self.is_symbol(at + 1, "(")
                && !self.is_symbol(at + 1, ".");
            is_relation
                && match self.alias(*at) {
                    Some((_, alias)) => alias == qualifier,
                    None => self.name_at(*at) == Some(qualifier),
                }
        });
        let is_other = |at: usize| !tables.iter().any(|table| self.is_table(at, table));
        called.next().is_some_and(is_other) && called.all(is_other)
    }

    /// Returns the part of the body that has all columns of a table, whichever it is.
    pub(in super::super) fn use_of_any(&self) -> Option<String> {
        let at = (0..self.words.len()).find(|at| self.is_of_all(*at))?;
        Some(self.part(at))
    }

    /// Returns whether all columns of what is read are meant: `*`, but for `count(*)` and a product, or
    /// `NATURAL`.
    fn is_of_all(&self, at: usize) -> bool {
        if self.is_word(at, &["natural"]) || self.is_word(at, &["rowtype"]) {
            return true;
        }
        if !self.is_symbol(at, "*") {
            return false;
        }
        let exists = self.is_before(at, &["select"])
            && at >= 3
            && self.is_symbol(at - 2, "(")
            && self.is_word(at - 3, &["exists"]);
        let is_after = |symbol: &str| at > 0 && self.is_symbol(at - 1, symbol);
        let begins = is_after(".")
            || is_after(",")
            || self.is_before(at, &["select", "distinct", "all", "returning"]);
        let is_last = at + 1 == self.words.len()
            || [",", ";", ")"]
                .iter()
                .any(|one| self.is_symbol(at + 1, one))
            || self.is_word(at + 1, &["from", "into"]);
        !exists && (begins || (is_last && !is_after("(")))
    }

    /// Returns whether the table at this place is one that its statement reads or changes, and not a row.
    pub(super) fn is_read(&self, at: usize, statement: &Range<usize>) -> bool {
        let first = if self.qualifier(at).is_some() {
            at - 2
        } else {
            at
        };
        let Some(before) = first.checked_sub(1).filter(|at| *at >= statement.start) else {
            return false;
        };
        if self.is_word(before, &["table"]) {
            return before > 0 && self.is_word(before - 1, &BEFORE_THE_WORD_TABLE);
        }
        if self.is_word(before, &BEFORE_TABLE) {
            return true;
        }
        let is_listed = self.is_symbol(before, ",") || self.is_symbol(before, "(");
        is_listed && self.is_in_from(before, statement.start)
    }

    /// Returns whether a comma or a parenthesis is one of a list of tables.
    fn is_in_from(&self, from: usize, start: usize) -> bool {
        let mut depth = 0_usize;
        for at in (start..=from).rev() {
            if self.is_symbol(at, ")") {
                depth += 1;
            } else if self.is_symbol(at, "(") {
                let opens_list = at > start
                    && (self.is_word(at - 1, &["from", "join", "using"])
                        || [",", "("].iter().any(|one| self.is_symbol(at - 1, one)));
                match depth.checked_sub(1) {
                    Some(outer) => depth = outer,
                    None if opens_list => {}
                    None => return false,
                }
            } else if depth == 0 && self.is_word(at, &BEFORE_TABLE) {
                return true;
            } else if depth == 0 && self.is_word(at, &OF_VALUES) {
                return false;
            }
        }
        false
    }

    /// Returns the alias of a table that is read, with its place.
    pub(super) fn alias(&self, table: usize) -> Option<(usize, &str)> {
        let at = table + 1 + usize::from(self.is_word(table + 1, &["as"]));
        if self.is_word(at, &NO_ALIAS) {
            return None;
        }
        self.name_at(at).map(|name| (at, name))
    }
}
