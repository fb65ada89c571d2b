//! Failing statements behind a transaction pooler: after a migration, at the end of the session, and
//! where the statement needs a session of its own.

use stagelink::{Client, Database, Error, ErrorKind, Settings};
use stagelink_local_postgres::PgBouncerOptions;
use stagelink_tests::{HerokuFixture, as_superuser, end_sessions};

use super::{SELECT, Sessions, calm, is_calm};
use crate::warm::until_sessions;

/// A prepared statement and a migration that comes between two uses of it.
struct Change {
    statement: &'static str,
    migration: &'static str,
    /// The code of the second use's error, or the empty string.
    code: &'static str,
}

const CHANGES: [Change; 11] = [
    Change {
        statement: "SELECT * FROM entry WHERE note = $1",
        migration: "ALTER TABLE entry ADD COLUMN extra text",
        code: "0A000",
    },
    Change {
        statement: "SELECT note FROM entry WHERE note = $1",
        migration: "ALTER TABLE entry ADD COLUMN extra text",
        code: "",
    },
    Change {
        statement: "SELECT note, mood FROM entry WHERE note = $1",
        migration: "ALTER TABLE entry ALTER COLUMN note TYPE varchar(9)",
        code: "0A000",
    },
    Change {
        statement: "SELECT id FROM entry WHERE note = $1",
        migration: "ALTER TABLE entry ALTER COLUMN note TYPE integer USING 0",
        code: "42883",
    },
    Change {
        statement: "INSERT INTO entry (mood, note) VALUES ('calm', $1)",
        migration: "ALTER TABLE entry ALTER COLUMN note TYPE integer USING 0",
        code: "42804",
    },
    Change {
        statement: "UPDATE entry SET note = $1 RETURNING *",
        migration: "ALTER TABLE entry DROP COLUMN mood",
        code: "0A000",
    },
    Change {
        statement: "SELECT note FROM entry WHERE note = $1",
        migration: "ALTER TABLE entry RENAME COLUMN note TO remark",
        code: "42703",
    },
    Change {
        statement: "SELECT note FROM entry WHERE note = $1",
        migration: "DROP TABLE entry",
        code: "42P01",
    },
    Change {
        statement: "SELECT mood FROM entry WHERE note = $1",
        migration: "DROP TABLE entry; CREATE TABLE entry (id bigserial, mood mood, note text)",
        code: "",
    },
    Change {
        statement: "SELECT mood FROM entry WHERE note = $1",
        migration: "ALTER TYPE mood ADD VALUE 'other'",
        code: "",
    },
    Change {
        statement: "SELECT mood FROM entry WHERE note = $1",
        migration: "DROP TYPE mood CASCADE; CREATE TYPE mood AS ENUM ('calm'); \
                    ALTER TABLE entry ADD COLUMN mood mood",
        code: "0A000",
    },
];

#[tokio::test]
async fn statement_after_a_migration_does_what_it_does_with_a_server() {
    let mut sessions = Sessions::start(PgBouncerOptions::new()).await;
    let direct = HerokuFixture::with_url(&sessions.pooled.fixture.database.url()).await;
    let direct = Database::new(Settings::from_vars(&direct.variables));
    let direct = direct.client().await.expect("a connection");
    let pooled = sessions.client().await;
    let mut failed = Vec::new();
    for Change {
        statement,
        migration,
        code,
    } in CHANGES
    {
        let drop = "DROP TABLE IF EXISTS entry; DROP TYPE IF EXISTS mood CASCADE";
        direct.batch_execute(drop).await.expect("no schema");
        let schema = "CREATE TYPE mood AS ENUM ('calm', 'tense'); \
                      CREATE TABLE entry (id bigserial, mood mood, note text)";
        direct.batch_execute(schema).await.expect("a schema");
        let with_server = direct.prepare(statement).await.expect("a statement");
        let with_pooler = pooled.prepare(statement).await.expect("a statement");
        for time in 0..2 {
            sessions.swap().await;
            let by_server = direct.query(&with_server, &[&"note"]).await;
            let by_pooler = pooled.query(&with_pooler, &[&"note"]).await;
            let codes = [by_server, by_pooler].map(|answer| match answer {
                Ok(_) => String::new(),
                Err(error) => error.code().expect("a code").code().to_owned(),
            });
            if codes != [if time == 0 { "" } else { code }; 2] {
                failed.push(format!("{statement}, {migration}, {time}: {codes:?}"));
            }
            if time == 0 {
                direct.batch_execute(migration).await.expect("a migration");
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn statement_whose_session_ends_is_told_as_with_a_server() {
    let mut sessions = Sessions::start(PgBouncerOptions::new()).await;
    let db = sessions.client().await;
    let update = db
        .prepare("UPDATE entry SET note = pg_sleep($1)::text RETURNING *")
        .await;
    let update = update.expect("a statement");
    sessions.swap().await;
    let end = async {
        let role = sessions.pooled.fixture.database.role();
        until_sessions(role, &["active"], 1).await;
        as_superuser(&end_sessions(role)).await;
    };
    let (updated, ()) = tokio::join!(db.query(&update, &[&30_f64]), end);
    let error = Error::from(updated.expect_err("an error"));
    assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable, "{error:?}");
    drop(db);
    let db = sessions.client().await;
    let row = db.query_one(SELECT, &[&1_i64]).await.expect("a row");
    is_calm(&row).expect("calm");
}

async fn count(db: &Client) -> i64 {
    let row = db.query_typed_one("SELECT count(*) FROM entry", &[]).await;
    row.expect("a count").get(0)
}

#[tokio::test]
async fn statement_whose_columns_have_changed_fails_as_it_does_with_a_server() {
    let mut sessions = Sessions::start(PgBouncerOptions::new()).await;
    let db = sessions.client().await;
    let sql = "INSERT INTO entry (mood) VALUES ($1) RETURNING *";
    for (migration, is_executed) in [
        ("ADD COLUMN extra text", false),
        ("DROP COLUMN extra", false),
        ("ALTER COLUMN note TYPE varchar(9)", true),
        ("RENAME COLUMN note TO remark", true),
    ] {
        let statement = db.prepare(sql).await.expect("a statement");
        let returned = db.query(&statement, &[&calm()]).await;
        assert_eq!(returned.expect("rows").len(), 1, "before: {migration}");
        let before = count(&db).await;
        sessions.swap().await;
        let alter = format!("ALTER TABLE entry {migration}");
        db.batch_execute(&alter).await.expect("a migration");
        sessions.swap().await;
        let error = db.query(&statement, &[&calm()]).await;
        let error = error.expect_err("outdated");
        let error = error.as_db_error().expect("an answer of the server");
        assert_eq!(error.code().code(), "0A000", "{migration}");
        let detail = error.detail().expect("a detail");
        let told = detail.contains("The statement was executed");
        let executed = count(&db).await - before == 1;
        assert_eq!((told, executed), (is_executed, is_executed), "{migration}");
    }
}

#[tokio::test]
async fn cached_statement_is_prepared_again_after_a_migration() {
    let mut sessions = Sessions::start(PgBouncerOptions::new()).await;
    let write = async |link: &Database| {
        let written = link.write(|db| async move {
            let sql = "INSERT INTO entry (mood) VALUES ('calm') RETURNING *";
            let statement = db.prepare_cached(sql).await?;
            Ok::<_, Error>(db.query_one(&statement, &[]).await?.len())
        });
        written.await.expect("a write")
    };
    assert_eq!(write(&sessions.pooled.link).await, 3);
    let db = sessions.client().await;
    let before = count(&db).await;
    let alter = "ALTER TABLE entry ADD COLUMN extra text";
    db.batch_execute(alter).await.expect("a migration");
    drop(db);
    for time in 1..4 {
        sessions.swap().await;
        assert_eq!(write(&sessions.pooled.link).await, 4);
        let db = sessions.client().await;
        assert_eq!(count(&db).await - before, time, "it was done once");
    }
}

#[tokio::test]
async fn statements_of_sql_fail_with_the_reason() {
    let mut sessions = Sessions::start(PgBouncerOptions::new()).await;
    let db = sessions.client().await;
    let run = async |sql: &str| {
        let done = db.batch_execute(sql).await;
        done.map_err(|error| {
            let error = Error::from(error);
            assert_eq!(error.kind(), ErrorKind::Query);
            error.to_string()
        })
    };
    for (first, second, reason) in [
        (
            "PREPARE mine AS SELECT 1",
            "EXECUTE mine",
            "use the driver's prepare",
        ),
        (
            "PREPARE mine AS SELECT 1",
            "PREPARE mine AS SELECT 1",
            "use the driver's prepare",
        ),
        (
            "BEGIN; DECLARE held CURSOR WITH HOLD FOR SELECT 1; COMMIT",
            "FETCH held",
            "use it in the transaction that declares it",
        ),
    ] {
        sessions.swap().await;
        run(first).await.ok();
        if second.starts_with("PREPARE") {
            // On the same session.
            sessions.swap().await;
        }
        sessions.swap().await;
        let message = run(second).await.expect_err("an error");
        assert!(message.contains(reason), "{second}: {message}");
        assert!(message.contains("transaction pooler"), "{message}");
    }
}
