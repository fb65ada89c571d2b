//! Statements behind a transaction pooler: each method of the driver and each kind of type, while
//! every transaction runs on another of the pooler's sessions.

mod copy;
mod failing;

use std::error::Error as StdError;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use stagelink::{Client, Database, Error, params};
use stagelink_local::network::Proxy;
use stagelink_local_postgres::PgBouncerOptions;
use stagelink_tests::at;
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
