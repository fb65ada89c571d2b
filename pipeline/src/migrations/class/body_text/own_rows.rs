//! Rows of a table that a body puts into what has the table's own row type: a variable of it, or the function's result.
//!
//! One more column is at the end of both, so such a `*` keeps its shape. It is taken out of the body, and what is left
//! is read as any other body.

use std::ops::Range;

use super::{BodyText, Word};
use crate::migrations::statement::ObjectName;

/// Words after a table that is alone in its `FROM`.
const AFTER_FROM: [&str; 8] = [
    "fetch", "for", "into", "limit", "loop", "offset", "order", "where",
];

/// Words of queries whose rows have several sources.
const SET_OPERATIONS: [&str; 3] = ["except", "intersect", "union"];

/// Words of statements that take the rows of a query.
const CHANGES: [&str; 5] = ["create", "delete", "insert", "merge", "update"];

/// A body without the uses of rows that keep their shape.
pub(in super::super) struct OwnRows {
    /// The rest of the body.
    pub(in super::super) rest: BodyText,
    /// The variables with such rows.
    pub(in super::super) rows: Vec<String>,
    /// Each row that the function returns is one of its result's type.
    pub(in super::super) returns_own: bool,
}

/// A variable that takes rows.
#[derive(Clone, Debug)]
struct RowVariable {
    name: String,
    /// The table of its type; `None` for a `record`.
    table: Option<ObjectName>,
    /// It takes rows of one of the tables.
    takes_own: bool,
    /// It takes nothing else.
    takes_only_own: bool,
}

/// The place to which the rows of a query go.
enum Goal {
    Variable(usize),
    Result,
}

impl BodyText {
    /// Takes the rows of tables out that go to variables of their types, or to a result of the type of `result`.
    pub(in super::super) fn own_rows(
        mut self,
        tables: &[ObjectName],
        result: Option<&ObjectName>,
        is_sql: bool,
    ) -> OwnRows {
        let mut variables = match is_sql {
            true => Vec::new(),
            false => self.take_declarations(tables),
        };
        let statements = self.statements();
        let is_empty = |range: &Range<usize>| range.clone().all(|at| self.is_symbol(at, ";"));
        let last = statements.iter().rposition(|one| !is_empty(one));
        let mut is_of_result = vec![false; statements.len()];
        for (number, statement) in statements.iter().enumerate() {
            let is_last = is_sql && Some(number) == last;
            for star in statement.clone() {
                if !self.is_symbol(star, "*") {
                    continue;
                }
                let Some(table) = self.source(star, statement, tables) else {
                    continue;
                };
                match self.goal(star, statement, &variables, is_last) {
                    Some(Goal::Variable(variable)) => {
                        let variable = &mut variables[variable];
                        if variable.table.as_ref().is_none_or(|of| of == table) {
                            variable.takes_own = true;
                            self.words[star] = gone();
                        }
                    }
                    Some(Goal::Result) if result == Some(table) => {
                        is_of_result[number] = true;
                        self.words[star] = gone();
                    }
                    _ => {}
                }
            }
        }
        self.take_targets(&mut variables);
        let returns_own = match is_sql {
            true => last.is_some_and(|last| is_of_result[last]),
            false => self.take_returns(&variables, result, &is_of_result),
        };
        let rows = variables.into_iter();
        let rows = rows.filter(|one| one.takes_own || one.table.is_some());
        OwnRows {
            rows: rows.map(|one| one.name).collect(),
            rest: self,
            returns_own,
        }
    }

    /// Returns the variables of `DECLARE` that are records, or of the row type of one of the tables, and takes these
    /// types out.
    fn take_declarations(&mut self, tables: &[ObjectName]) -> Vec<RowVariable> {
        let mut variables = Vec::new();
        let mut is_declaring = false;
        for at in 0..self.words.len() {
            match () {
                () if self.is_word(at, &["declare"]) => is_declaring = true,
                () if self.is_word(at, &["begin"]) => is_declaring = false,
                () => {}
            }
            let begins =
                at > 0 && (self.is_before(at, &["declare"]) || self.is_symbol(at - 1, ";"));
            if !is_declaring || !begins {
                continue;
            }
            let Some(name) = self.name_at(at).map(str::to_owned) else {
                continue;
            };
            let start = at + 1;
            let of_type = start + 2 * usize::from(self.is_symbol(start + 1, "."));
            let is_rowtype =
                self.is_symbol(of_type + 1, "%") && self.is_word(of_type + 2, &["rowtype"]);
            let end = of_type + 1 + 2 * usize::from(is_rowtype);
            let ends = self.is_symbol(end, ";") || self.is_symbol(end, ":");
            let table = tables.iter().find(|table| self.is_table(of_type, table));
            let is_record = self.is_word(start, &["record"]) && self.is_symbol(start + 1, ";");
            if let Some(table) = table.filter(|_| ends).cloned() {
                self.words[at..end].fill(gone());
                variables.push(RowVariable {
                    name,
                    table: Some(table),
                    takes_own: true,
                    takes_only_own: true,
                });
            } else if is_record {
                self.words[at] = gone();
                variables.push(RowVariable {
                    name,
                    table: None,
                    takes_own: false,
                    takes_only_own: true,
                });
            }
        }
        variables
    }

    /// Returns the table of which a `*` is all that a query selects, or that a change returns.
    fn source<'a>(
        &self,
        star: usize,
        statement: &Range<usize>,
        tables: &'a [ObjectName],
    ) -> Option<&'a ObjectName> {
        let alias = (star >= 2 && self.is_symbol(star - 1, "."))
            .then(|| self.name_at(star - 2))
            .flatten();
        let first = star - 2 * usize::from(alias.is_some());
        let is_query = self.is_before(first, &["select"]);
        let is_returned = self.is_before(first, &["returning"]);
        let next = star + 1;
        let is_all = next >= statement.end
            || self.is_symbol(next, ";")
            || self.is_word(next, &["from", "into"]);
        let mixes = statement
            .clone()
            .any(|at| self.is_word(at, &SET_OPERATIONS));
        // The rows of `INSERT … SELECT` go to another table.
        let feeds = is_query
            && (statement.start..star)
                .any(|at| self.is_word(at, &CHANGES) && self.depth(at, statement) == 0);
        if !(is_query || is_returned)
            || !is_all
            || mixes
            || feeds
            || self.depth(star, statement) != 0
        {
            return None;
        }
        let at_top = |at: &usize| self.depth(*at, statement) == 0;
        // The tables of the statement's own FROM, with the names by which it calls them.
        let mut named = statement.clone().filter(at_top).filter_map(|at| {
            let table: &'a ObjectName = tables.iter().find(|table| self.is_table(at, table))?;
            self.is_read(at, statement).then_some((at, table))
        });
        if let Some(alias) = alias {
            let found = named.find(|(at, table)| match self.alias(*at) {
                Some((_, other)) => other == alias,
                None => table.name == alias,
            });
            return found.map(|(_, table)| table);
        }
        let (at, table) = named.next()?;
        let after = match self.alias(at) {
            Some((alias, _)) => alias + 1,
            None => at + 1,
        };
        let is_alone = match is_query {
            true => {
                after >= statement.end
                    || self.is_symbol(after, ";")
                    || self.is_word(after, &AFTER_FROM)
            }
            false => {
                let first = at - 2 * usize::from(self.qualifier(at).is_some());
                let is_changed = self.is_before(first, &["into", "update"])
                    || (self.is_before(first, &["from"])
                        && first > 1
                        && self.is_before(first - 1, &["delete"]));
                let others = (after..star)
                    .filter(at_top)
                    .any(|at| self.is_word(at, &["from", "using"]));
                is_changed && !others
            }
        };
        is_alone.then_some(table)
    }

    /// Returns where the rows of a query go: into a variable, or to the function's result.
    fn goal(
        &self,
        star: usize,
        statement: &Range<usize>,
        variables: &[RowVariable],
        is_last: bool,
    ) -> Option<Goal> {
        let variable = |at: usize| {
            let name = self.name_at(at)?;
            let is_alone = !self.is_symbol(at + 1, ",") && !self.is_symbol(at + 1, ".");
            let found = variables.iter().position(|one| one.name == name);
            found.filter(|_| is_alone).map(Goal::Variable)
        };
        let mut after = star + 1..statement.end;
        let into = after.find(|at| self.is_word(*at, &["into"]) && self.depth(*at, statement) == 0);
        if let Some(into) = into {
            return variable(into + 1 + usize::from(self.is_word(into + 1, &["strict"])));
        }
        let mut start = star;
        while start > statement.start && !self.is_word(start, &["select"]) {
            start -= 1;
        }
        if self.is_word(start, &["select"]) {
            let is_loop =
                start >= 3 && self.is_before(start, &["in"]) && self.is_before(start - 2, &["for"]);
            if is_loop {
                return variable(start - 2);
            }
        }
        let mut words = statement.clone();
        let is_query =
            words.any(|at| self.is_word(at, &["query"]) && self.is_before(at, &["return"]));
        (is_query || is_last).then_some(Goal::Result)
    }

    /// Takes the variables out where they get a value.
    fn take_targets(&mut self, variables: &mut [RowVariable]) {
        for at in 0..self.words.len() {
            let Some(name) = self.name_at(at) else {
                continue;
            };
            let Some(variable) = variables.iter_mut().find(|one| one.name == name) else {
                continue;
            };
            let is_target =
                self.is_before(at, &["into", "strict", "for"]) && !self.is_symbol(at + 1, ".");
            let is_assigned = self.is_symbol(at + 1, ":")
                && self.is_symbol(at + 2, "=")
                && (at == 0
                    || self.is_symbol(at - 1, ";")
                    || self.is_before(at, &["begin", "else", "loop", "then"]));
            if is_target || is_assigned {
                variable.takes_only_own &= is_target && self.gets_own_rows(at);
                self.words[at] = gone();
            }
        }
    }

    /// Returns whether the query beside a target had a `*` that was taken out.
    fn gets_own_rows(&self, target: usize) -> bool {
        let statements = self.statements();
        let statement = statements.into_iter().find(|one| one.contains(&target));
        statement.is_some_and(|mut one| {
            one.any(|at| {
                self.words[at] == gone()
                    && (self.is_before(at, &["select", "returning"])
                        || (at > 0 && self.is_symbol(at - 1, ".")))
            })
        })
    }

    /// Takes the returned variables out. Returns whether all that the function returns is of its result's type.
    fn take_returns(
        &mut self,
        variables: &[RowVariable],
        result: Option<&ObjectName>,
        is_of_result: &[bool],
    ) -> bool {
        let mut returns_own = true;
        for (number, statement) in self.statements().into_iter().enumerate() {
            for at in statement {
                if !self.is_word(at, &["return"]) {
                    continue;
                }
                let value = at + 1 + usize::from(self.is_word(at + 1, &["next"]));
                let is_value = self.is_symbol(value + 1, ";");
                let name = self.name_at(value);
                let variable = variables.iter().find(|one| Some(one.name.as_str()) == name);
                let is_own = variable.is_some_and(|one| match &one.table {
                    Some(table) => result == Some(table),
                    None => one.takes_own && one.takes_only_own,
                });
                if is_value && is_own && result.is_some() {
                    self.words[value] = gone();
                } else {
                    let is_nothing =
                        self.is_symbol(value, ";") || (is_value && self.is_word(value, &["null"]));
                    let is_query = self.is_word(value, &["query"]) && is_of_result[number];
                    returns_own &= is_nothing || is_query;
                }
            }
        }
        returns_own
    }

    /// Returns how many parentheses of the statement are open before this place.
    fn depth(&self, at: usize, statement: &Range<usize>) -> usize {
        let mut depth = 0_usize;
        for at in statement.start..at {
            if self.is_symbol(at, "(") {
                depth += 1;
            } else if self.is_symbol(at, ")") {
                depth = depth.saturating_sub(1);
            }
        }
        depth
    }
}

/// Returns the word in the place of one that was taken out.
fn gone() -> Word {
    Word::Symbol("_".to_owned())
}
