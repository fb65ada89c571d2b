//! Statements behind a transaction pooler: each method of the driver and each kind of type, while
//! every transaction runs on another of the pooler's sessions.

use std::error::Error as StdError;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use stagelink::{Client, Database, Error, ErrorKind, Settings, params};
use stagelink_local::testing::network::Proxy;
use stagelink_local_postgres::PgBouncerOptions;
use stagelink_tests::{HerokuFixture, as_superuser, at, end_sessions};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::{Pooled, link};

/// A pooler with two sessions, of which another client takes the one that was used last, or gives
/// it back.
struct Sessions {
    pooled: Pooled,
    other: Client,
    is_taken: bool,
}

impl Sessions {
    /// Both sessions have other clients' statements, with the names that the driver gives to its
    /// own.
    async fn start(options: PgBouncerOptions) -> Self {
        let mut pooled = Pooled::with_options(options.default_pool_size(2)).await;
        let other = link(&mut pooled.fixture, &[]).client().await;
        let mut sessions = Self {
            other: other.expect("a connection"),
            pooled,
            is_taken: false,
        };
        let db = sessions.client().await;
        let mut seen = Vec::new();
        for _ in 0..2 {
            db.batch_execute(CLASHES).await.expect("clashes");
            seen.push(super::pid(&db).await);
            sessions.swap().await;
        }
        assert_ne!(seen[0], seen[1], "the sessions change");
        db.batch_execute(SCHEMA).await.expect("a schema");
        sessions
    }

    async fn client(&self) -> Client {
        self.pooled.link.client().await.expect("a connection")
    }

    /// Makes the next transaction run on the other session.
    async fn swap(&mut self) {
        let command = if self.is_taken { "ROLLBACK" } else { "BEGIN" };
        let done = self.other.batch_execute(command).await;
        done.expect("the session is taken, or given back");
        self.is_taken = !self.is_taken;
    }
}

const CLASHES: &str = "DO $$ BEGIN FOR i IN 0..2000 LOOP \
    EXECUTE format('PREPARE s%s AS SELECT ''of another client''', i); \
    END LOOP; END $$";

const SCHEMA: &str = "\
    CREATE TYPE mood AS ENUM ('calm', 'tense'); \
    CREATE TYPE place AS (name text, mood mood); \
    CREATE DOMAIN short AS varchar(10) CHECK (value <> ''); \
    CREATE DOMAIN feeling AS mood; \
    CREATE TYPE span AS RANGE (subtype = float8); \
    CREATE TABLE entry (id bigserial, mood mood NOT NULL, note text); \
    INSERT INTO entry (mood) VALUES ('calm')";

/// A value of any type, as the server encodes it.
#[derive(Debug, PartialEq)]
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn calm() -> Raw {
    Raw(b"calm".to_vec())
}

/// Checks a row of the moods.
fn is_calm(row: &Row) -> anyhow::Result<()> {
    ensure!(row.columns()[0].type_().name() == "mood", "{row:?}");
    ensure!(row.try_get::<_, Raw>(0)? == calm(), "{row:?}");
    Ok(())
}

/// Runs each step on the other session than the one before. Lists those that fail.
macro_rules! steps {
    ($sessions:ident, $($name:literal => $work:block)*) => {{
        let mut failed: Vec<String> = Vec::new();
        $(
            $sessions.swap().await;
            let done: anyhow::Result<()> = async { $work; Ok(()) }.await;
            if let Err(error) = done {
                failed.push(format!("{}: {error:#}", $name));
            }
        )*
        failed
    }};
}

const SELECT: &str = "SELECT mood FROM entry WHERE id = $1";
const SELECT_ALL: &str = "SELECT mood FROM entry WHERE id = $1 AND note IS NULL";
const INSERT: &str = "INSERT INTO entry (mood, note) VALUES ($1, 'more') RETURNING mood, id";
const UPDATE: &str = "UPDATE entry SET mood = $1 WHERE id = $2";
const COPY_IN: &str = "COPY entry (mood, note) FROM STDIN";
const COPY_OUT: &str = "COPY (SELECT mood FROM entry WHERE id = 1) TO STDOUT";

/// Uses each method of a client by which a statement can be sent.
async fn use_each_method(sessions: &mut Sessions) -> Vec<String> {
    let db = sessions.client().await;
    let id: &(dyn ToSql + Sync) = &1_i64;
    let mood = calm();
    let statement = db.prepare(SELECT).await.expect("a statement");
    let insert = db.prepare_typed(INSERT, &[]).await.expect("a statement");
    let update = db.prepare(UPDATE).await.expect("a statement");
    let copy_in = db.prepare(COPY_IN).await.expect("a statement");
    let copy_out = db.prepare(COPY_OUT).await.expect("a statement");
    let mut failed = steps! { sessions,
        "query_typed" => { is_calm(&db.query_typed(SELECT, &params![1_i64]).await?[0])?; }
        "query_typed_one" => { is_calm(&db.query_typed_one(SELECT, &params![1_i64]).await?)?; }
        "query_typed_opt" => {
            let row = db.query_typed_opt(SELECT, &params![1_i64]).await?;
            is_calm(&row.context("no row")?)?;
        }
        "query_typed_raw" => {
            let rows = db.query_typed_raw(SELECT, params![1_i64]).await?;
            is_calm(&rows.try_collect::<Vec<_>>().await?[0])?;
        }
        "execute_typed" => {
            let sql = "UPDATE entry SET note = NULL WHERE id = $1";
            ensure!(db.execute_typed(sql, &params![1_i64]).await? == 1);
        }
        "query_cached" => { is_calm(&db.query_cached(SELECT, &params![1_i64]).await?[0])?; }
        "query_cached, again" => { is_calm(&db.query_cached(SELECT, &params![1_i64]).await?[0])?; }
        "query_cached, once more" => {
            is_calm(&db.query_cached(SELECT, &params![1_i64]).await?[0])?;
        }
        "query, a text" => { is_calm(&db.query(SELECT, &[id]).await?[0])?; }
        "query, a statement" => { is_calm(&db.query(&statement, &[id]).await?[0])?; }
        "query, another statement" => { is_calm(&db.query(&insert, &[&mood]).await?[0])?; }
        "query_one, a text" => { is_calm(&db.query_one(SELECT, &[id]).await?)?; }
        "query_one, a statement" => { is_calm(&db.query_one(&statement, &[id]).await?)?; }
        "query_opt, a text" => { is_calm(&db.query_opt(SELECT, &[id]).await?.context("no row")?)?; }
        "query_opt, a statement" => {
            is_calm(&db.query_opt(&statement, &[id]).await?.context("no row")?)?;
        }
        "query_scalar" => {
            ensure!(db.query_scalar::<Raw, _>(SELECT, &[id]).await? == [calm()]);
        }
        "query_one_scalar" => {
            ensure!(db.query_one_scalar::<Raw, _>(&statement, &[id]).await? == calm());
        }
        "query_opt_scalar" => {
            ensure!(db.query_opt_scalar::<Raw, _>(SELECT, &[id]).await? == Some(calm()));
        }
        "query_raw" => {
            let rows = db.query_raw(&statement, [id]).await?;
            is_calm(&rows.try_collect::<Vec<_>>().await?[0])?;
        }
        "execute, a text" => { ensure!(db.execute(UPDATE, &[&mood, id]).await? == 1); }
        "execute, a statement" => { ensure!(db.execute(&update, &[&mood, id]).await? == 1); }
        "execute_raw" => {
            let parameters: [&(dyn ToSql + Sync); 2] = [&mood, id];
            ensure!(db.execute_raw(&update, parameters).await? == 1);
        }
        "prepare_cached" => {
            let statement = db.prepare_cached(SELECT).await?;
            is_calm(&db.query_one(&statement, &[id]).await?)?;
        }
        "prepare_cached, again" => {
            let statement = db.prepare_cached(SELECT).await?;
            is_calm(&db.query_one(&statement, &[id]).await?)?;
        }
        "prepare_typed_cached" => {
            let statement = db.prepare_typed_cached(SELECT, &[Type::INT8]).await?;
            is_calm(&db.query_one(&statement, &[id]).await?)?;
        }
        "copy_in, a text" => { copy(&db, COPY_IN, "calm\tcopied\n").await?; }
        "copy_in, a statement" => { copy(&db, &copy_in, "calm\tcopied\n").await?; }
        "copy_out, a text" => {
            let parts: Vec<Bytes> = db.copy_out(COPY_OUT).await?.try_collect().await?;
            ensure!(parts.concat() == b"calm\n");
        }
        "copy_out, a statement" => {
            let parts: Vec<Bytes> = db.copy_out(&copy_out).await?.try_collect().await?;
            ensure!(parts.concat() == b"calm\n");
        }
        "simple_query" => { ensure!(db.simple_query("SELECT mood FROM entry").await?.len() > 2); }
        "simple_query_raw" => {
            let messages = db.simple_query_raw("SELECT 1").await?;
            ensure!(pin!(messages).next().await.is_some());
        }
        "batch_execute" => { db.batch_execute("SELECT 1; SELECT 2").await?; }
        "check_connection" => { db.check_connection().await?; }
        "dropped statements" => { drop((statement, insert, update, copy_in, copy_out)); }
        "many at once" => {
            let parameters = [id];
            let selects = (0..20).map(|_| db.query_one(SELECT_ALL, &parameters));
            for row in join_all(selects).await {
                is_calm(&row?)?;
            }
        }
    };
    failed.extend(use_each_method_of_a_transaction(sessions, db).await);
    failed
}

/// Copies a text into a table.
async fn copy<T>(db: &Client, statement: &T, text: &'static str) -> anyhow::Result<()>
where
    T: ?Sized + tokio_postgres::ToStatement,
{
    let mut sink = pin!(db.copy_in::<_, Bytes>(statement).await?);
    sink.send(Bytes::from_static(text.as_bytes())).await?;
    ensure!(sink.finish().await? == 1);
    Ok(())
}

async fn use_each_method_of_a_transaction(sessions: &mut Sessions, mut db: Client) -> Vec<String> {
    let id: &(dyn ToSql + Sync) = &1_i64;
    let statement = db.prepare(SELECT).await.expect("a statement");
    steps! { sessions,
        "transaction, a text" => {
            let transaction = db.transaction().await?;
            is_calm(&transaction.query_one(SELECT, &[id]).await?)?;
            transaction.commit().await?;
        }
        "transaction, a statement of before" => {
            let transaction = db.transaction().await?;
            is_calm(&transaction.query_one(&statement, &[id]).await?)?;
            transaction.rollback().await?;
        }
        "transaction, prepare_cached" => {
            let transaction = db.transaction().await?;
            let statement = transaction.prepare_cached(SELECT).await?;
            is_calm(&transaction.query_one(&statement, &[id]).await?)?;
            transaction.commit().await?;
        }
        "transaction, portals" => {
            let transaction = db.transaction().await?;
            let all = "SELECT mood, id FROM entry ORDER BY id";
            let first = transaction.bind(all, &[]).await?;
            let second = transaction.bind(&statement, &[id]).await?;
            is_calm(&transaction.query_portal(&first, 1).await?[0])?;
            is_calm(&transaction.query_portal(&second, 0).await?[0])?;
            is_calm(&transaction.query_portal(&first, 1).await?[0])?;
            drop(first);
            transaction.commit().await?;
        }
        "transaction, savepoints" => {
            let mut transaction = db.transaction().await?;
            let savepoint = transaction.savepoint("here").await?;
            let failed = savepoint.query(SELECT, &[&"not a number"]).await;
            ensure!(failed.is_err());
            let failed = savepoint.query("SELECT mood, 1 / 0 FROM entry", &[]).await;
            ensure!(failed.is_err());
            savepoint.rollback().await?;
            is_calm(&transaction.query_one(&statement, &[id]).await?)?;
            transaction.commit().await?;
        }
        "transaction, given up" => {
            let transaction = db.transaction().await?;
            drop(transaction.query_one(SELECT, &[id]).await?);
        }
        "a statement that fails, then others" => {
            let failed = db.query("SELECT mood FROM missing", &[]).await;
            ensure!(failed.is_err());
            let parameters = [id];
            let (failed, done) = tokio::join!(
                db.query("SELECT mood, 1 / (id - id) FROM entry", &[]),
                db.query_one(&statement, &parameters),
            );
            ensure!(failed.is_err());
            is_calm(&done?)?;
        }
        "a statement that is given up, then others" => {
            let slow = db.query("SELECT mood, pg_sleep(0.2) FROM entry", &[]);
            let given_up = tokio::time::timeout(Duration::from_millis(50), slow).await;
            ensure!(given_up.is_err());
            is_calm(&db.query_one(&statement, &[id]).await?)?;
        }
    }
}

#[tokio::test]
async fn each_method_of_the_driver_works_while_sessions_change() {
    let mut sessions = Sessions::start(PgBouncerOptions::new()).await;
    let failed = use_each_method(&mut sessions).await;
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn each_method_of_the_driver_works_where_the_pooler_tracks_statements() {
    let options = PgBouncerOptions::new().max_prepared_statements(10);
    let mut sessions = Sessions::start(options).await;
    let failed = use_each_method(&mut sessions).await;
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn values_of_each_kind_of_type_are_read_and_written_while_sessions_change() {
    let mut sessions = Sessions::start(PgBouncerOptions::new()).await;
    let db = sessions.client().await;
    let mut kinds = vec![
        ("mood", "tense"),
        ("mood[]", "{calm,tense}"),
        ("place", "(here,calm)"),
        ("place[]", r#"{"(here,calm)","(there,)"}"#),
        ("short", "abc"),
        ("short[]", "{abc}"),
        ("feeling", "tense"),
        ("span", "[1,2)"),
        ("entry", "(1,calm,a)"),
    ];
    for (extension, literal) in [("citext", "Abc"), ("hstore", "a=>1"), ("ltree", "a.b")] {
        let sql = "SELECT 1 FROM pg_available_extensions WHERE name = $1";
        let found = db.query_typed_opt(sql, &params![extension]).await;
        if found.expect("an answer").is_some() {
            let create = format!("CREATE EXTENSION {extension}");
            db.batch_execute(&create).await.expect("an extension");
            kinds.push((extension, literal));
        }
    }
    let mut failed = Vec::new();
    for (kind, literal) in kinds {
        sessions.swap().await;
        if let Err(error) = read_and_write(&db, kind, literal).await {
            failed.push(format!("{kind}: {error:#}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Reads a value of a type, and sends it back as a parameter.
async fn read_and_write(db: &Client, kind: &str, literal: &str) -> anyhow::Result<()> {
    let select = format!("SELECT '{literal}'::{kind}");
    let row = db.query_typed_one(&select, &[]).await?;
    let value: Raw = row.try_get(0)?;
    let back = format!("SELECT $1::{kind}, $1::{kind}::text = '{literal}'::{kind}::text");
    let row = db.query_one(&back, &[&value]).await?;
    ensure!(row.try_get::<_, Raw>(0)? == value);
    ensure!(row.try_get::<_, bool>(1)?);
    Ok(())
}

#[tokio::test]
async fn two_instances_read_types_that_the_driver_does_not_know() {
    let mut sessions = Sessions::start(PgBouncerOptions::new()).await;
    let instances: [Database; 2] = std::array::from_fn(|_| link(&mut sessions.pooled.fixture, &[]));
    let mut done = 0;
    for time in 0..9 {
        let db = sessions.client().await;
        let create = format!("CREATE TYPE kind_{time} AS ENUM ('this', 'that')");
        db.batch_execute(&create).await.expect("a type");
        for instance in &instances {
            sessions.swap().await;
            let read = instance.read(|db| async move {
                let sql = format!("SELECT 'that'::kind_{time}");
                let row = db.query_typed_one(&sql, &[]).await?;
                Ok::<Raw, Error>(row.get(0))
            });
            if read.await.is_ok_and(|read| read.0 == b"that") {
                done += 1;
            }
        }
    }
    assert_eq!(done, 18);
}

#[tokio::test]
async fn no_statement_is_left_in_the_poolers_sessions() {
    let options = PgBouncerOptions::new().default_pool_size(1);
    let pooled = Pooled::with_options(options).await;
    let db = pooled.link.client().await.expect("a connection");
    db.batch_execute(SCHEMA).await.expect("a schema");
    let kept = db.prepare(SELECT).await.expect("a statement");
    let cached = db.prepare_cached(SELECT).await.expect("a statement");
    for statement in [&kept, &cached] {
        let row = db.query_one(statement, &[&1_i64]).await.expect("a row");
        is_calm(&row).expect("calm");
    }
    let sql = "SELECT count(*) FROM pg_prepared_statements";
    let row = db.query_typed_one(sql, &[]).await.expect("a row");
    assert_eq!(row.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn statement_costs_no_more_round_trips_than_with_a_server() {
    let pooled = Pooled::with_options(PgBouncerOptions::new()).await;
    let address = ([127, 0, 0, 1], pooled.bouncer.port()).into();
    let proxy = Proxy::start(address).await.expect("a proxy");
    let mut fixture = pooled.fixture;
    fixture.set_url(&at(&pooled.bouncer.url(&fixture.database), proxy.port()));
    let link = link(&mut fixture, &[]);
    let db = link.client().await.expect("a connection");
    db.batch_execute(SCHEMA).await.expect("a schema");
    let statement = db.prepare(SELECT).await.expect("a statement");
    let counted = async |work: &str, expected: usize| {
        let before = proxy.round_trips();
        let id: &[&(dyn ToSql + Sync)] = &[&1_i64];
        let done = match work {
            "a statement" => db.query(&statement, id).await,
            _ => db.query(SELECT, id).await,
        };
        is_calm(&done.expect("rows")[0]).expect("calm");
        // The Close of a statement that was dropped would come by now.
        db.check_connection().await.expect("an answer");
        assert_eq!(proxy.round_trips() - before, expected + 1, "{work}");
    };
    for _ in 0..3 {
        counted("a statement", 1).await;
        counted("a text", 2).await;
    }
}

#[tokio::test]
async fn large_values_and_copies_pass() {
    let mut sessions = Sessions::start(PgBouncerOptions::new()).await;
    let db = sessions.client().await;
    let long = "0123456789abcdef".repeat(200_000);
    let echo = db.prepare("SELECT $1::text, length($1::text)").await;
    let echo = echo.expect("a statement");
    for _ in 0..3 {
        sessions.swap().await;
        let row = db.query_one(&echo, &[&long]).await.expect("a row");
        assert!(row.get::<_, &str>(0) == long, "it comes back whole");
    }
    let copy_in = db.prepare(COPY_IN).await.expect("a statement");
    sessions.swap().await;
    let sink = db.copy_in::<_, Bytes>(&copy_in).await.expect("a copy");
    let mut sink = pin!(sink);
    for _ in 0..40 {
        let lines = "calm\tcopied\n".repeat(5_000);
        sink.send(lines.into()).await.expect("lines");
    }
    assert_eq!(sink.finish().await.expect("a copy"), 200_000);
    sessions.swap().await;
    let all = "COPY (SELECT note FROM entry WHERE note IS NOT NULL) TO STDOUT";
    let parts = db.copy_out(all).await.expect("a copy");
    let parts: Vec<Bytes> = parts.try_collect().await.expect("all of it");
    assert_eq!(parts.concat().len(), 200_000 * "copied\n".len());
}

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
async fn copy_that_fails_leaves_a_connection_that_works() {
    let mut sessions = Sessions::start(PgBouncerOptions::new()).await;
    let direct = HerokuFixture::with_url(&sessions.pooled.fixture.database.url()).await;
    let direct = Database::new(Settings::from_vars(&direct.variables));
    let mut failed = Vec::new();
    for (name, link) in [("direct", direct), ("pooled", sessions.pooled.link.clone())] {
        for (sql, line) in [
            ("COPY missing FROM STDIN", "calm\n"),
            ("COPY entry (mood) FROM STDIN", "wrong\n"),
            ("COPY entry (mood) FROM STDIN WHERE 1 / 0 = 1", "calm\n"),
        ] {
            sessions.swap().await;
            let db = link.client().await.expect("a connection");
            if copy(&db, sql, line).await.is_ok() {
                failed.push(format!("{name}, {sql}: no error"));
            }
            for time in 0..3 {
                if let Err(error) = db.query_one(SELECT, &[&1_i64]).await {
                    failed.push(format!("{name}, {sql}, {time}: {error}"));
                }
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
        tokio::time::sleep(Duration::from_millis(300)).await;
        as_superuser(&end_sessions(sessions.pooled.fixture.database.role())).await;
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
