//! A file's SQL as it runs: its statements, in a transaction or without one.

use crate::migrations::class::changes_rows;
use crate::migrations::file::MigrationFile;
use crate::migrations::statement::{
    ConcurrentIndex, Statement, leading_comments, split_statements,
};

/// The statements of a file, and how they run.
#[derive(Clone, Debug)]
pub(super) enum Script {
    /// All of them in one transaction, which also records the file.
    Transaction(Vec<Statement>),
    /// One statement that Postgres refuses in a transaction, or that its file wants in none.
    Alone(Box<Statement>),
    /// `CREATE INDEX CONCURRENTLY`.
    Index(Box<Statement>, ConcurrentIndex),
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The reasons why it cannot run, each with its line and what to do.
    pub(super) fn read(file: &MigrationFile) -> Result<Self, Vec<String>> {
        let at = |line: usize, text: &str| format!("{} line {line}: {text}", file.path());
        let mut wants_none = false;
        for (line, instruction) in leading_comments(file.sql())
            .into_iter()
            .flat_map(instructions)
        {
            if !is_no_transaction(&instruction) {
                let known = format!(
                    "`stagelink: {instruction}` is no instruction: `{NO_TRANSACTION}` is the only one"
                );
                return Err(vec![at(line, &known)]);
            }
            wants_none = true;
        }
        let statements = split_statements(file.sql())
            .map_err(|error| vec![at(error.line, &error.to_string())])?;
        let Some(first) = statements.first() else {
            return Err(vec![format!(
                "{} has no statement: write one, or remove the file",
                file.path()
            )]);
        };
        let mut problems = Vec::new();
        for statement in &statements {
            if let Some(command) = statement.transaction_control() {
                let text = format!(
                    "{command} does not belong into a migration, whose transaction begins before \
                     the file and ends with it: remove it"
                );
                problems.push(at(statement.line, &text));
            }
            if statement.begins(&["DISCARD"]) {
                let text = "DISCARD does not belong into a migration: it may release the lock of \
                            migrations, and each file has a fresh session already: remove it";
                problems.push(at(statement.line, text));
            }
            if let Some(encoding) = statement.client_encoding().filter(|name| !is_utf8(name)) {
                let text = format!(
                    "SET client_encoding to {encoding} does not belong into a migration, whose text the \
                     runner sends in UTF-8, so that the server would take each letter beyond ASCII for \
                     another: save the file as UTF-8, and remove it"
                );
                problems.push(at(statement.line, &text));
            }
            let strings = statement.value_set_for("standard_conforming_strings");
            if strings.is_some_and(|value| !is_on(value)) {
                let text = "a file is judged and run with standard_conforming_strings, as each Postgres \
                            since 9.1 has it: remove the SET, and write E'…' for a string with escapes";
                problems.push(at(statement.line, text));
            }
        }
        if !wants_none {
            let comments = statements.iter().flat_map(|statement| &statement.comments);
            let late = comments.cloned().flat_map(instructions);
            let late = late.filter(|(_, instruction)| is_no_transaction(instruction));
            problems.extend(late.map(|(line, _)| {
                let text = format!(
                    "`{NO_TRANSACTION}` holds only before the first statement of a file: move it there"
                );
                at(line, &text)
            }));
        }
        let alone = statements
            .iter()
            .find_map(|statement| Some((statement, statement.needs_no_transaction()?)));
        match (alone, statements.len()) {
            (Some((statement, command)), count) if count > 1 => {
                let text = format!(
                    "{command} runs without a transaction, and so has a file of its own: split \
                     this file, which has {count} statements"
                );
                problems.push(at(statement.line, &text));
            }
            (None, _) if wants_none && first.is_understood() && changes_rows(first) => {
                let text = format!(
                    "a file with `{NO_TRANSACTION}` that changes rows would change them again where \
                     a run ends before it records the file: remove the instruction"
                );
                problems.push(at(first.line, &text));
            }
            (None, count) if wants_none && count > 1 => {
                let text = format!(
                    "a file with `{NO_TRANSACTION}` has one statement, and this one has {count}: \
                     split it, so that a failure cannot leave a part of it"
                );
                problems.push(at(first.line, &text));
            }
            _ => {}
        }
        let index = first.concurrent_index();
        if first.is_unnamed_concurrent_index() {
            let text = "an index that is created CONCURRENTLY needs a name, by which a run that \
                        was interrupted knows it again: name it";
            problems.push(at(first.line, text));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let runs_alone = wants_none || alone.is_some();
        Ok(match (index, runs_alone) {
            (Some(index), _) => Self::Index(Box::new(first.clone()), index),
            (None, true) => Self::Alone(Box::new(first.clone())),
            (None, false) => Self::Transaction(statements),
        })
    }

    /// Returns the statements.
    pub(super) fn statements(&self) -> &[Statement] {
        match self {
            Self::Transaction(statements) => statements,
            Self::Alone(statement) | Self::Index(statement, _) => std::slice::from_ref(statement),
        }
    }

    /// Returns whether the file runs in a transaction.
    pub(super) fn has_transaction(&self) -> bool {
        matches!(self, Self::Transaction(_))
    }
}

/// The instruction by which a file wants no transaction.
const NO_TRANSACTION: &str = "-- stagelink: no transaction";

/// Returns the instructions in a comment, each with its line: the text after `stagelink:`.
fn instructions((line, comment): (usize, String)) -> Vec<(usize, String)> {
    let text = match comment.strip_prefix("/*") {
        Some(block) => block.strip_suffix("*/").unwrap_or(block),
        None => &comment,
    };
    let lines = text.lines().zip(line..);
    let instructions = lines.filter_map(|(text, line)| {
        let text = text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '*'));
        let (name, instruction) = text.split_once(':')?;
        let is_ours = name.trim_end().eq_ignore_ascii_case("stagelink");
        is_ours.then(|| (line, instruction.trim().to_owned()))
    });
    instructions.collect()
}

fn is_no_transaction(instruction: &str) -> bool {
    let lower = instruction.to_ascii_lowercase().replace('-', " ");
    lower.split_whitespace().eq(["no", "transaction"])
}

/// Returns whether the name of an encoding is one of UTF-8's, as Postgres reads it.
fn is_utf8(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let name: String = letters.map(|c| c.to_ascii_lowercase()).collect();
    matches!(&*name, "utf8" | "unicode" | "default")
}

/// Returns whether a value of a parameter turns it on, or back to what the session began with.
fn is_on(value: &str) -> bool {
    let values = ["on", "true", "yes", "1", "default"];
    values.iter().any(|on| on.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str) -> Result<Script, Vec<String>> {
        Script::read(&MigrationFile::new(1, "a", "V1__a.sql", sql))
    }

    #[test]
    fn directive_stands_in_any_comment_before_the_first_statement() {
        for sql in [
            "-- stagelink: no transaction\nCALL p()",
            "/* header\n of two lines */\n-- stagelink: no transaction\nCALL p()",
            "-- Stagelink: No Transaction\nCALL p()",
            "--stagelink : no-transaction\nCALL p()",
            "\n/* stagelink: no transaction */ CALL p()",
            "/**\n * stagelink: no transaction\n */\nCALL p()",
        ] {
            let script = read(sql).unwrap_or_else(|problems| panic!("{sql}: {problems:?}"));
            assert!(!script.has_transaction(), "{sql}");
        }
        for sql in [
            "-- of stagelink, and no transaction\nCALL p()",
            "CALL p() -- the link is: no transaction",
            "SELECT '-- stagelink: no transaction'",
        ] {
            let script = read(sql).unwrap_or_else(|problems| panic!("{sql}: {problems:?}"));
            assert!(script.has_transaction(), "{sql}");
        }
    }

    #[test]
    fn strings_that_end_elsewhere_than_judged_are_refused() {
        for sql in [
            "SET standard_conforming_strings = off",
            "SET LOCAL Standard_Conforming_Strings TO 'false'",
            "SET SESSION \"standard_conforming_strings\" TO 0",
        ] {
            let problems = read(&format!("{sql}; SELECT 1")).unwrap_err();
            assert!(
                problems[0].contains("line 1: a file is judged"),
                "{problems:?}"
            );
        }
        for sql in [
            "SET standard_conforming_strings = on",
            "SET standard_conforming_strings TO DEFAULT",
            "SET escape_string_warning = off",
        ] {
            assert!(read(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn encoding_of_utf8_may_be_set() {
        for sql in [
            "SET client_encoding = 'UTF8'",
            "SET client_encoding TO utf8",
            "SET NAMES 'utf-8'",
            "SET client_encoding TO DEFAULT",
            "RESET client_encoding",
            "SET NAMES",
            "SET search_path = latin1",
            "CREATE TABLE names (client_encoding text)",
        ] {
            assert!(read(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn file_runs_in_a_transaction_unless_postgres_or_the_file_wants_none() {
        for (sql, expected) in [
            (
                "CREATE TABLE a (b int); CREATE INDEX ON a (b);",
                "transaction",
            ),
            ("-- a table\nCREATE TABLE a (b int)", "transaction"),
            ("VACUUM a;", "alone"),
            ("DROP INDEX CONCURRENTLY IF EXISTS a", "alone"),
            ("-- stagelink: no transaction\nSELECT 1;", "alone"),
            ("\n-- x\n--stagelink:  no-transaction\n\nCALL a();", "alone"),
            ("SELECT 1;\n-- stagelink: no transaction\n", "transaction"),
            ("create index concurrently a on b (c);", "index"),
        ] {
            let found = match read(sql) {
                Ok(Script::Transaction(_)) => "transaction",
                Ok(Script::Alone(_)) => "alone",
                Ok(Script::Index(..)) => "index",
                Err(problems) => panic!("{sql}: {problems:?}"),
            };
            assert_eq!(found, expected, "{sql}");
        }
    }

    #[test]
    fn what_cannot_run_is_refused_with_its_line() {
        for (sql, parts) in [
            ("", &["V1__a.sql has no statement"][..]),
            ("-- to do\n", &["has no statement"]),
            (
                "BEGIN;\nSELECT 1;\nCOMMIT;",
                &["line 1: BEGIN does not belong", "line 3: COMMIT does not"],
            ),
            (
                "SELECT 1;\nCREATE INDEX CONCURRENTLY a ON b (c);",
                &["line 2: CREATE INDEX CONCURRENTLY runs without a transaction"],
            ),
            (
                "VACUUM a;\nVACUUM b",
                &["line 1: VACUUM runs without a transaction"],
            ),
            (
                "-- stagelink: no transaction\nSELECT 1;\nSELECT 2;",
                &[
                    "line 2: a file with",
                    "has one statement, and this one has 2",
                ],
            ),
            (
                "CREATE INDEX CONCURRENTLY ON b (c);",
                &["line 1: an index that is created CONCURRENTLY needs a name"],
            ),
            (
                "-- stagelink: no transactions\nSELECT 1",
                &["line 1: `stagelink: no transactions` is no instruction"],
            ),
            (
                "-- stagelink: no transaction\nUPDATE a SET b = b + 1;",
                &["line 2: a file with", "would change them again"],
            ),
            (
                "-- stagelink: no transaction\nWITH c AS (SELECT 1) DELETE FROM a;",
                &["would change them again"],
            ),
            (
                "-- stagelink: no transaction\nCREATE TABLE b AS WITH c AS (DELETE FROM a RETURNING *) \
                 SELECT * FROM c;",
                &["would change them again"],
            ),
            ("DISCARD ALL;", &["line 1: DISCARD does not belong"]),
            (
                "SELECT 1;\nSET client_encoding='LATIN1';",
                &[
                    "line 2: SET client_encoding to LATIN1 does not belong",
                    "save the file as UTF-8",
                ],
            ),
            (
                "SET LOCAL CLIENT_ENCODING TO latin1",
                &["to latin1 does not belong"],
            ),
            (
                "SET SESSION \"client_encoding\" = win1252",
                &["to win1252 does not"],
            ),
            ("set names 'SQL_ASCII'", &["to SQL_ASCII does not belong"]),
            (
                "SELECT 1;\n-- stagelink: no transaction\nCALL p();",
                &["line 2: `-- stagelink: no transaction` holds only before the first statement"],
            ),
            (
                "/* header\n * stagelink: no transactions */ SELECT 1",
                &["line 2: `stagelink: no transactions` is no instruction"],
            ),
            ("SELECT 'a", &["line 1: unterminated"]),
            ("\\i other.sql\n", &["line 1:", "psql"]),
        ] {
            let problems = read(sql).expect_err(sql).join("\n");
            for part in parts {
                assert!(problems.contains(part), "{sql}: {problems}");
            }
        }
    }
}
