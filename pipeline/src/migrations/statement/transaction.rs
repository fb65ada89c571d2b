//! Statements that a runner treats in a way of their own: they control the transaction, or Postgres
//! refuses them in one.

use super::token::Kind;
use super::{ObjectName, Statement};

/// `CREATE INDEX CONCURRENTLY`, which leaves an invalid index if it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcurrentIndex {
    /// The index, which is in the table's schema.
    pub index: String,
    /// Its table.
    pub table: ObjectName,
}

impl Statement {
    /// Returns the command by which the statement begins or ends a transaction, or changes it as a
    /// whole. Those are the runner's.
    pub fn transaction_control(&self) -> Option<&'static str> {
        let commands: [(&'static str, &[&str]); 13] = [
            ("BEGIN", &["BEGIN"]),
            ("START TRANSACTION", &["START", "TRANSACTION"]),
            ("COMMIT", &["COMMIT"]),
            ("END", &["END"]),
            ("ROLLBACK", &["ROLLBACK"]),
            ("ABORT", &["ABORT"]),
            ("SAVEPOINT", &["SAVEPOINT"]),
            ("RELEASE", &["RELEASE"]),
            ("PREPARE TRANSACTION", &["PREPARE", "TRANSACTION"]),
            ("SET TRANSACTION", &["SET", "TRANSACTION"]),
            ("SET TRANSACTION", &["SET", "LOCAL", "TRANSACTION"]),
            ("SET TRANSACTION", &["SET", "SESSION", "TRANSACTION"]),
            (
                "SET SESSION CHARACTERISTICS",
                &["SET", "SESSION", "CHARACTERISTICS"],
            ),
        ];
        let mut begun = commands.into_iter().filter(|(_, words)| self.begins(words));
        begun.next().map(|(command, _)| command)
    }

    /// Returns the command that Postgres refuses in a transaction block, if the statement is one.
    ///
    /// A partitioned table's `REINDEX TABLE`, and a procedure that commits, look like others.
    pub fn needs_no_transaction(&self) -> Option<&'static str> {
        let ends_concurrently = || self.is_word(self.tokens.len() - 1, "CONCURRENTLY");
        let words = self.first_words(2);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let command = match words.as_slice() {
            ["CREATE", "UNIQUE" | "INDEX"] if self.after_concurrently().is_some() => {
                "CREATE INDEX CONCURRENTLY"
            }
            ["DROP", "INDEX"] if self.is_word(2, "CONCURRENTLY") => "DROP INDEX CONCURRENTLY",
            ["REINDEX", ..] if self.has_option("CONCURRENTLY") => "REINDEX CONCURRENTLY",
            ["REINDEX", ..] if self.reindexes_many() => "REINDEX of more than a table",
            ["ALTER", "TABLE"] if self.has(&["DETACH", "PARTITION"]) && ends_concurrently() => {
                "DETACH PARTITION CONCURRENTLY"
            }
            ["VACUUM", ..] => "VACUUM",
            ["REPACK", ..] if self.has_option("CONCURRENTLY") => "REPACK (CONCURRENTLY)",
            ["CLUSTER", ..] if self.is_cluster_of_all() => "CLUSTER of all tables",
            ["CREATE", "DATABASE"] => "CREATE DATABASE",
            ["DROP", "DATABASE"] => "DROP DATABASE",
            ["ALTER", "DATABASE"] if self.has(&["SET", "TABLESPACE"]) => {
                "ALTER DATABASE SET TABLESPACE"
            }
            ["CREATE", "TABLESPACE"] => "CREATE TABLESPACE",
            ["DROP", "TABLESPACE"] => "DROP TABLESPACE",
            ["ALTER", "SYSTEM"] => "ALTER SYSTEM",
            ["CREATE", "SUBSCRIPTION"] => "CREATE SUBSCRIPTION",
            ["DROP", "SUBSCRIPTION"] => "DROP SUBSCRIPTION",
            ["ALTER", "SUBSCRIPTION"] if self.has(&["PUBLICATION"]) => {
                "ALTER SUBSCRIPTION … PUBLICATION"
            }
            ["DISCARD", "ALL"] => "DISCARD ALL",
            _ => return None,
        };
        Some(command)
    }

    /// Returns the index and the table of `CREATE INDEX CONCURRENTLY`, where it names its index: otherwise
    /// Postgres chooses the name.
    pub fn concurrent_index(&self) -> Option<ConcurrentIndex> {
        let mut at = self.concurrent_index_name()?;
        if self.is_word(at, "ON") {
            return None;
        }
        let index = self.name_at(at)?.0.name;
        // After the word ON.
        at += 2;
        if self.is_word(at, "ONLY") {
            at += 1;
        }
        let (table, _) = self.name_at(at)?;
        Some(ConcurrentIndex { index, table })
    }

    /// Returns whether the statement is a `CREATE INDEX CONCURRENTLY` that does not name its index.
    pub fn is_unnamed_concurrent_index(&self) -> bool {
        let at = self.concurrent_index_name();
        at.is_some_and(|at| self.is_word(at, "ON"))
    }

    /// Returns the place of the index's name in `CREATE INDEX CONCURRENTLY`.
    fn concurrent_index_name(&self) -> Option<usize> {
        let mut at = self.after_concurrently()?;
        if ["IF", "NOT", "EXISTS"]
            .iter()
            .zip(at..)
            .all(|(word, at)| self.is_word(at, word))
        {
            at += 3;
        }
        Some(at)
    }

    /// Returns the place after the words `CREATE [UNIQUE] INDEX CONCURRENTLY`.
    fn after_concurrently(&self) -> Option<usize> {
        let words: [&[&str]; 2] = [
            &["CREATE", "INDEX", "CONCURRENTLY"],
            &["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY"],
        ];
        let mut begun = words.into_iter().filter(|words| self.begins(words));
        begun.next().map(<[_]>::len)
    }

    fn reindexes_many(&self) -> bool {
        ["SCHEMA", "DATABASE", "SYSTEM"].iter().any(|kind| {
            let after = |at: usize| self.is_word(at, kind);
            // After the options in parentheses, or at once.
            after(1) || self.closing_parenthesis().is_some_and(|at| after(at + 1))
        })
    }

    fn is_cluster_of_all(&self) -> bool {
        let mut rest = self.tokens.len() - 1;
        if self.is_word(1, "VERBOSE") {
            rest -= 1;
        } else if let Some(at) = self
            .closing_parenthesis()
            .filter(|_| self.is_symbol(1, '('))
        {
            rest = self.tokens.len() - at - 1;
        }
        rest == 0
    }

    /// Returns whether an option is on, as a word of its own or in the parentheses of options.
    fn has_option(&self, option: &str) -> bool {
        (1..self.tokens.len()).any(|at| {
            let off = ["FALSE", "OFF"].iter().any(|off| self.is_word(at + 1, off));
            let zero = self.spelled(at + 1) == Some("0");
            self.is_word(at, option) && !off && !zero
        })
    }

    fn closing_parenthesis(&self) -> Option<usize> {
        let symbols = self.tokens.iter().map(|token| token.kind);
        symbols
            .into_iter()
            .position(|kind| kind == Kind::Symbol(')'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::statement::split_statements;

    fn only(sql: &str) -> Statement {
        let mut statements = split_statements(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(statements.len(), 1, "{sql}");
        statements.remove(0)
    }

    #[test]
    fn transaction_control_is_known_by_its_first_words() {
        for (sql, command) in [
            ("begin", Some("BEGIN")),
            ("START  TRANSACTION READ ONLY", Some("START TRANSACTION")),
            ("Commit AND CHAIN", Some("COMMIT")),
            ("end", Some("END")),
            ("/* x */ ROLLBACK TO s", Some("ROLLBACK")),
            ("abort", Some("ABORT")),
            ("savepoint s", Some("SAVEPOINT")),
            ("release s", Some("RELEASE")),
            ("prepare transaction 'x'", Some("PREPARE TRANSACTION")),
            ("commit prepared 'x'", Some("COMMIT")),
            (
                "set transaction isolation level serializable",
                Some("SET TRANSACTION"),
            ),
            ("set local transaction read only", Some("SET TRANSACTION")),
            (
                "set session characteristics as transaction read only",
                Some("SET SESSION CHARACTERISTICS"),
            ),
            ("set local statement_timeout = 0", None),
            ("prepare q as select 1", None),
            ("\"begin\"", None),
            ("create table begin_commit (a int)", None),
        ] {
            assert_eq!(only(sql).transaction_control(), command, "{sql}");
        }
    }

    #[test]
    fn statement_outside_of_transactions_is_known() {
        for sql in [
            "create index concurrently on t (a)",
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
            "drop index concurrently if exists i",
            "reindex index concurrently i",
            "reindex (concurrently, verbose) table t",
            "reindex (verbose) schema public",
            "reindex database",
            "alter table p detach partition q concurrently",
            "vacuum full t",
            "cluster",
            "cluster (verbose)",
            "repack (concurrently) t",
            "create database d",
            "drop database d",
            "alter database d set tablespace x",
            "create tablespace x location '/x'",
            "alter system set work_mem = '1MB'",
            "create subscription s connection 'x' publication p",
            "alter subscription s refresh publication",
            "discard all",
        ] {
            assert!(only(sql).needs_no_transaction().is_some(), "{sql}");
        }
        for sql in [
            "create index concurrent on t (a)",
            "create index i on concurrently (a)",
            "create unique index i on t (concurrently)",
            "drop index i",
            "reindex table t",
            "reindex (concurrently false) table t",
            "refresh materialized view concurrently m",
            "alter type mood add value 'x'",
            "cluster t using i",
            "cluster verbose t",
            "alter database d set work_mem = '1MB'",
            "alter table p detach partition q",
            "discard plans",
            "comment on table t is 'vacuum'",
        ] {
            assert_eq!(only(sql).needs_no_transaction(), None, "{sql}");
        }
    }

    #[test]
    fn concurrent_index_is_named_with_its_table() {
        for (sql, index, table) in [
            (
                "CREATE UNIQUE INDEX /* x */ CONCURRENTLY IF NOT EXISTS \"I\" ON ONLY Shop.T (a)",
                "I",
                ObjectName::in_schema("shop", "t"),
            ),
            (
                "create index concurrently i on \"on\" (a)",
                "i",
                ObjectName::new("on"),
            ),
        ] {
            let found = only(sql).concurrent_index();
            let index = index.to_owned();
            assert_eq!(found, Some(ConcurrentIndex { index, table }), "{sql}");
        }
        for (sql, is_unnamed) in [
            ("create index concurrently on t using btree (a)", true),
            ("create index concurrently \"on\" on t (a)", false),
            ("create index i on t (a)", false),
            ("drop index concurrently i", false),
            ("select 1", false),
        ] {
            let statement = only(sql);
            assert_eq!(statement.is_unnamed_concurrent_index(), is_unnamed, "{sql}");
            let is_named = sql.contains("\"on\"");
            assert_eq!(statement.concurrent_index().is_some(), is_named, "{sql}");
        }
    }
}
