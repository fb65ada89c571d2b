//! The split of files, held against the number of statements that the server finds.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use stagelink_pipeline::split_statements;
use tokio_postgres::SimpleQueryMessage;

use crate::shop::Shop;

/// The number of files that are tried.
const FILES: u32 = 300;

/// Statements that succeed wherever they stand.
const STATEMENTS: [&str; 20] = [
    "SELECT 1",
    "SELECT ';'",
    "SELECT 'it''s; '",
    "SELECT E'\\';', U&'\\0061;'",
    "SELECT E'a'\n'\\';b'",
    "SELECT E'a' -- it's;\n  'b\\';'",
    "SELECT $$;$$, $a$ $$;$$ $b$; $a$",
    "SELECT 1 AS \"a;\"\"b\", 2 AS a$1",
    "SELECT 1 /* ; /* ; */ ' */",
    "SELECT B'1', X'1F', N'a;'",
    "SELECT 1 + -- ;\n 2",
    "SELECT CASE WHEN true THEN 1 END AS end",
    "DO $do$ BEGIN PERFORM 1; END; $do$",
    "CREATE OR REPLACE FUNCTION s1() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END",
    "CREATE OR REPLACE FUNCTION s2() RETURNS int LANGUAGE sql RETURN CASE WHEN true THEN 1 END",
    "CREATE OR REPLACE FUNCTION s3() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END;'",
    "CREATE OR REPLACE PROCEDURE s4() LANGUAGE sql BEGIN ATOMIC END",
    "CREATE OR REPLACE FUNCTION s5() RETURNS int BEGIN ATOMIC SELECT 1 AS end; END",
    "CREATE OR REPLACE RULE s6 AS ON INSERT TO small DO ALSO (SELECT 1; SELECT 2)",
    "SELECT (SELECT ';' WHERE (1) = (1))",
];

/// The texts between them.
const BETWEEN: [&str; 9] = [
    "",
    " ",
    "\n",
    ";",
    "; ;",
    "-- it's; \n",
    "/* ; */",
    "/* /* */ $$ */",
    "\r\n\t",
];

pub(crate) async fn check(shop: &Shop<'_>) {
    let client = shop.client().await;
    let part = (0..BETWEEN.len(), 0..STATEMENTS.len(), 0..BETWEEN.len());
    let files = proptest::collection::vec(part, 1..8);
    let mut runner = TestRunner::deterministic();
    for _ in 0..FILES {
        let parts = files.new_tree(&mut runner).expect("a file").current();
        let mut sql = String::new();
        for (before, statement, after) in parts {
            sql += BETWEEN[before];
            sql += STATEMENTS[statement];
            sql += BETWEEN[after];
            sql += ";";
        }
        let statements = split_statements(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let joined: String = statements
            .iter()
            .map(|one| &sql[one.range.clone()])
            .collect();
        assert!(statements.is_empty() || joined == sql, "{sql}: {joined}");
        client.batch_execute("BEGIN").await.expect("a transaction");
        let messages = client.simple_query(&sql).await;
        let messages = messages.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let done = |message: &&SimpleQueryMessage| {
            matches!(message, SimpleQueryMessage::CommandComplete(_))
        };
        let count = messages.iter().filter(done).count();
        assert_eq!(statements.len(), count, "{}: {sql}", shop.major);
        for statement in &statements {
            let alone = client.batch_execute(&statement.text).await;
            alone.unwrap_or_else(|error| panic!("{}: {error:?}", statement.text));
        }
        client.batch_execute("ROLLBACK").await.expect("the end");
    }
}
