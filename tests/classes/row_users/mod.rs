//! The code and the expressions that see the rows of a table: a statement that is judged *before* breaks no statement of the code of before,
//! also not by triggers, functions, views, policies and partitions.
//!
//! Each case has a schema of its own, and a statement of the code of before. Sessions are new, since one that has
//! planned a function's statements goes on with the old columns.

mod computed;
mod defaults;
mod event_triggers;
mod everyday;
mod more;
mod new_columns;
mod readers;
mod run_code;
mod types;
mod values;
mod waits;
mod whole_rows;

use stagelink_local_postgres::{Database, Server};
use stagelink_pipeline::{Class, TargetFacts, judge_files, split_statements};
use tokio_postgres::{Client, SimpleQueryMessage};

/// A statement, with the database that it changes.
pub(crate) struct Case {
    /// The statements that make what there is besides the table of `TABLE`.
    pub(crate) database: &'static str,
    /// The statements of the migration, in one file.
    pub(crate) migration: &'static str,
    /// A statement of the code of before.
    pub(crate) old: &'static str,
    /// The class of the file.
    pub(crate) class: Class,
    /// The statement of the code of before fails then, or has another answer.
    pub(crate) breaks: bool,
}

/// A table with a trigger as most have one, one without rows, and a role that writes.
pub(crate) const TABLE: &str = "
CREATE TABLE t (id int PRIMARY KEY, a text, updated_at timestamptz);
INSERT INTO t VALUES (1, 'x', '2026-01-01');
CREATE TABLE e (id int, a text);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
";

/// Takes back what the last case made.
const EMPTY: &str = "
DROP SCHEMA IF EXISTS s CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public;
GRANT USAGE ON SCHEMA public TO PUBLIC;
";

/// Judged *before*, and the statement of the code of before goes on.
const fn before(database: &'static str, migration: &'static str, old: &'static str) -> Case {
    Case {
        database,
        migration,
        old,
        class: Class::Before,
        breaks: false,
    }
}

/// Judged *after*, and the statement of the code of before breaks.
const fn after(database: &'static str, migration: &'static str, old: &'static str) -> Case {
    Case {
        class: Class::After,
        breaks: true,
        ..before(database, migration, old)
    }
}

/// Judged *after*, since it is not known that the statement of the code of before goes on.
const fn unknown(database: &'static str, migration: &'static str, old: &'static str) -> Case {
    Case {
        breaks: false,
        ..after(database, migration, old)
    }
}

/// Judged *stop*, and the statement of the code of before breaks.
const fn stop(database: &'static str, migration: &'static str, old: &'static str) -> Case {
    Case {
        class: Class::Stop,
        ..after(database, migration, old)
    }
}

/// Judged *ask*, since it is not known what the migration runs.
const fn ask(database: &'static str, migration: &'static str, old: &'static str) -> Case {
    Case {
        class: Class::Ask,
        ..before(database, migration, old)
    }
}

pub(crate) async fn check(server: &Server) {
    let name = format!("row_users_{}", std::process::id());
    let database = server.create_database(&name, "canary-shop").await;
    let database = database.expect("a database");
    let writer = format!("writer_{}", std::process::id());
    let superuser = server.connect_as_superuser().await.expect("a session");
    let role = format!("CREATE ROLE {writer}; GRANT {writer} TO {name}");
    superuser.batch_execute(&role).await.expect("a role");
    let mut wrong = Vec::new();
    let cases = new_columns::CASES
        .iter()
        .chain(defaults::CASES)
        .chain(values::CASES)
        .chain(types::CASES)
        .chain(everyday::CASES)
        .chain(more::CASES)
        .chain(whole_rows::CASES)
        .chain(run_code::CASES)
        .chain(computed::CASES)
        .chain(readers::CASES);
    let mut count = 0;
    for case in cases {
        count += 1;
        wrong.extend(check_case(server, &database, case, &writer).await);
    }
    waits::check(server, &database).await;
    event_triggers::check(server, &database).await;
    let role = format!("DROP ROLE {writer}");
    superuser.batch_execute(&role).await.expect("no role");
    println!("{count} statements beside what sees rows");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns what is wrong with the judgement of a case.
async fn check_case(
    server: &Server,
    database: &Database,
    case: &Case,
    writer: &str,
) -> Option<String> {
    let named = |sql: &str| sql.replace("{writer}", writer);
    let (old, migration) = (named(case.old), named(case.migration));
    let there = format!("{EMPTY} {TABLE} {}", named(case.database));
    let client = server.connect(database).await.expect("a session");
    if let Err(error) = client.batch_execute(&there).await {
        return Some(format!("{}\n    {error:?}", case.database));
    }
    let client = server.connect(database).await.expect("a session");
    client.batch_execute("BEGIN").await.expect("a transaction");
    let then = answer(&client, &old).await;
    client.batch_execute("ROLLBACK").await.expect("the end");
    let client = server.connect(database).await.expect("a session");
    let facts = TargetFacts::ask(&client).await.expect("the facts");
    let statements = split_statements(&migration).expect("statements");
    let judged = judge_files(&[&statements], &facts).remove(0);
    let rules = judged.statements.iter().flat_map(|one| &one.findings);
    let rules: Vec<&str> = rules.map(|one| one.rule.name).collect();
    client.batch_execute("BEGIN").await.expect("a transaction");
    let applied = match migration.contains("CONCURRENTLY") {
        true => Ok(()),
        false => client.batch_execute(&migration).await,
    };
    let now = answer(&client, &old).await;
    client.batch_execute("ROLLBACK").await.expect("the end");
    let breaks = then.is_ok() && then != now;
    let is_right =
        judged.class == case.class && then.is_ok() && applied.is_ok() && breaks == case.breaks;
    (!is_right).then(|| {
        format!(
            "{}\n  {migration}\n  {old}\n    is {} by {rules:?}, not {}; breaks: {breaks}, not {}; \
             applied: {applied:?}; then {then:?}; now {now:?}",
            case.database, judged.class, case.class, case.breaks
        )
    })
}

/// Returns the rows of the last query of a text, or the error.
async fn answer(client: &Client, sql: &str) -> Result<Vec<String>, String> {
    let answer = client.simple_query(sql).await;
    let messages = answer.map_err(|error| match error.as_db_error() {
        Some(error) => format!("{}: {}", error.code().code(), error.message()),
        None => error.to_string(),
    })?;
    let texts = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let values = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL"));
            Some(values.collect::<Vec<_>>().join(", "))
        }
        _ => None,
    });
    Ok(texts.collect())
}
