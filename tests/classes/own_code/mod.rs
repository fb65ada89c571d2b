//! Code of the database's own: a statement that runs it on a real server is never *before*.
//!
//! Each function of the schema draws a number from a sequence that no rollback gives back. So the server
//! says what a statement runs, and not the judge's own reading of it.

mod changes;
mod maintenance;
mod of_the_run;
mod queries;
mod schema;

use stagelink_local_postgres::{Database, Server};
use stagelink_pipeline::{Class, TargetFacts, judge_files, split_statements};
use tokio_postgres::Client;

pub(crate) async fn check(server: &Server) {
    let name = format!("own_code_{}", std::process::id());
    let database = server.create_database(&name, "canary-shop").await;
    let database = database.expect("a database");
    let client = server.connect(&database).await.expect("a session");
    client
        .batch_execute(schema::SCHEMA)
        .await
        .expect("the schema");
    let facts = TargetFacts::ask(&client).await.expect("the facts");
    let mut wrong = Vec::new();
    let major = facts.server_major.expect("the version");
    let newer = queries::NEWER.iter().filter(|(since, ..)| *since <= major);
    let newer = newer.map(|(_, sql, runs, class)| (sql, runs, class));
    let cases = queries::CASES.iter().chain(changes::CASES);
    let cases = cases.chain(of_the_run::CASES).chain(maintenance::CASES);
    let cases = cases.map(|(sql, runs, class)| (sql, runs, class));
    for (sql, runs, class) in cases.chain(newer) {
        let judged = class_of(sql, &facts);
        match has_run(&client, sql).await {
            Ok(ran) if (judged, ran) == (*class, *runs) => {}
            Ok(ran) => wrong.push(format!("{sql}: is {judged}, and ran own code: {ran}")),
            Err(error) => wrong.push(format!("{sql}: {error:?}")),
        }
    }
    for (sql, write) in changes::LATER_WRITES {
        let breaks = breaks(server, &database, sql, write).await;
        let judged = class_of(sql, &facts);
        if !breaks || judged != Class::After {
            wrong.push(format!("{sql}: is {judged}, and breaks a write: {breaks}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the class of the last statement, after those before it.
fn class_of(sql: &str, facts: &TargetFacts) -> Class {
    let statements = split_statements(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut file = judge_files(&[&statements], facts).remove(0);
    file.statements.pop().expect("a statement").class
}

/// Runs a statement, takes it back, and returns whether a function of the schema has run.
async fn has_run(client: &Client, sql: &str) -> Result<bool, tokio_postgres::Error> {
    let before = drawn(client).await;
    client.batch_execute("BEGIN").await.expect("a transaction");
    let done = client.batch_execute(sql).await;
    let end = client.batch_execute("ROLLBACK").await;
    end.expect("the end");
    done?;
    Ok(drawn(client).await != before)
}

async fn drawn(client: &Client) -> i64 {
    let row = client.query_one("SELECT last_value FROM drawn", &[]).await;
    row.expect("a number").get(0)
}

/// Returns whether a write succeeds before a statement, and fails after it.
async fn breaks(server: &Server, database: &Database, sql: &str, write: &str) -> bool {
    let client = server.connect(database).await.expect("a session");
    let in_transaction = async |statements: &[&str]| {
        client.batch_execute("BEGIN").await.expect("a transaction");
        let mut last = Ok(());
        for statement in statements {
            assert!(last.is_ok(), "{sql}: {last:?}");
            last = client.batch_execute(statement).await;
        }
        client.batch_execute("ROLLBACK").await.expect("the end");
        last.is_ok()
    };
    in_transaction(&[write]).await
        && in_transaction(&[sql]).await
        && !in_transaction(&[sql, write]).await
}
