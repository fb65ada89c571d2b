//! Session state: what one request changed is not there for the next, on the same connection and
//! in the same round trip.

mod failed_resets;

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use stagelink::{Client, Error, params};
use stagelink_tests::{HerokuFixture, as_superuser, expect_count, proxy, server, through};
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use super::late_reset::{expect_reset, unless_late};
use super::{link, pid, within};

/// Objects of the handlers in the tables below.
const OBJECTS: &str = "\
    CREATE TABLE entry (id bigserial, name text);
    INSERT INTO entry (name) VALUES ('real');
    CREATE SEQUENCE number;
    CREATE FUNCTION set_tenant() RETURNS text LANGUAGE sql
        AS $$ SELECT set_config('app.tenant', 'acme', false) $$;
    CREATE FUNCTION set_tenant_of_row() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN PERFORM set_tenant(); RETURN NEW; END $$;
    CREATE TRIGGER sets BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION set_tenant_of_row();
    CREATE VIEW sets AS SELECT set_tenant() AS tenant;";

const TENANT: &str = "SELECT coalesce(current_setting('app.tenant', true), '')";

/// Statements of a handler that change its session, and a query that shows the change.
const CHANGES: [(&str, &str); 30] = [
    ("SET search_path TO pg_catalog", "SHOW search_path"),
    ("SET work_mem TO '1MB'", "SHOW work_mem"),
    (
        "SET default_transaction_read_only TO on",
        "SHOW transaction_read_only",
    ),
    (
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
        "SHOW transaction_isolation",
    ),
    ("SET statement_timeout TO '5s'", "SHOW statement_timeout"),
    ("SET idle_session_timeout TO 0", "SHOW idle_session_timeout"),
    ("SET application_name TO 'other'", "SHOW application_name"),
    ("SET client_encoding TO 'LATIN1'", "SHOW client_encoding"),
    (
        "SET standard_conforming_strings TO off",
        "SELECT length('\\\\')",
    ),
    ("SET TimeZone TO 'Asia/Tokyo'", "SHOW TimeZone"),
    ("SET ROLE pg_monitor", "SELECT current_user = session_user"),
    (
        "SELECT set_config('role', 'pg_monitor', false)",
        "SELECT current_user = session_user",
    ),
    (
        "SET SESSION AUTHORIZATION pg_monitor",
        "SELECT session_user = 'pg_monitor'",
    ),
    (
        "SET session_replication_role TO replica",
        "SHOW session_replication_role",
    ),
    ("SELECT set_config('app.tenant', 'acme', false)", TENANT),
    ("SELECT set_tenant()", TENANT),
    ("INSERT INTO entry (name) VALUES ('b')", TENANT),
    ("SELECT * FROM sets", TENANT),
    ("BEGIN; SELECT set_tenant(); COMMIT", TENANT),
    (
        "CREATE TEMP TABLE entry (name text); INSERT INTO entry VALUES ('fake')",
        "SELECT count(*) FROM entry WHERE name = 'fake'",
    ),
    (
        "CREATE TEMP TABLE a (b int); SET default_transaction_read_only TO on",
        "SELECT to_regclass('pg_temp.a')",
    ),
    (
        "CREATE TEMP VIEW entry AS SELECT 'fake' AS name",
        "SELECT count(*) FROM entry WHERE name = 'fake'",
    ),
    (
        "SELECT pg_advisory_lock(7), pg_advisory_lock_shared(8)",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    ),
    (
        "LISTEN news",
        "SELECT count(*) FROM pg_listening_channels()",
    ),
    (
        "BEGIN; DECLARE rows CURSOR WITH HOLD FOR SELECT 1; COMMIT",
        "SELECT count(*) FROM pg_cursors",
    ),
    ("SELECT nextval('number')", "SELECT lastval()"),
    ("SELECT nextval('number')", "SELECT currval('number')"),
    // A handler that fails, or is given up, has changed it all the same.
    ("SELECT set_tenant(); COMMIT; SELECT 1 / 0", TENANT),
    ("SELECT set_tenant(); COMMIT; BEGIN; SELECT 1 / 0", TENANT),
    ("SELECT set_tenant(); COMMIT; SELECT pg_sleep(30)", TENANT),
];

/// Returns the first value of a query's result, or the code of its error.
async fn value(db: &Client, sql: &str) -> Result<Option<String>, String> {
    let messages = db.simple_query(sql).await.map_err(|error| {
        let code = error.code().expect("the server's error");
        code.code().to_owned()
    })?;
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

/// Fixture with the objects, whose role may do everything that the handlers do, and the setting
/// of its URL and its role.
async fn fixture_with_objects() -> HerokuFixture {
    let mut fixture = HerokuFixture::new().await;
    let db = link(&mut fixture, &[])
        .client()
        .await
        .expect("a connection");
    db.batch_execute(OBJECTS).await.expect("the objects");
    let role = fixture.database.role();
    as_superuser(&format!(
        "ALTER ROLE {role} SUPERUSER; ALTER ROLE {role} SET TimeZone TO 'Asia/Kolkata'"
    ))
    .await;
    let url = format!("{}?options=-c%20work_mem%3D7MB", fixture.database.url());
    fixture.set_url(&url);
    fixture
}

#[tokio::test]
async fn next_request_finds_the_session_as_it_was_opened() {
    let mut fixture = fixture_with_objects().await;
    let link = within(&link(&mut fixture, &[]), Duration::from_secs(60));
    for (change, shown) in CHANGES {
        unless_late(fixture.database.role(), async || {
            let first = pid(&link.client().await.expect("a connection")).await;
            let before = value(&link.client().await.expect("a connection"), shown).await;
            let db = link.client().await.expect("a connection");
            let is_given_up = change.contains("pg_sleep");
            let limit = Duration::from_millis(if is_given_up { 100 } else { 20_000 });
            let done = tokio::time::timeout(limit, db.batch_execute(change)).await;
            assert_eq!(done.is_err(), is_given_up, "{change}");
            let changed = match done {
                Ok(Ok(())) => value(&db, shown).await,
                _ => Ok(None),
            };
            assert_ne!(changed, before, "{change} changes nothing");
            drop(db);
            let began = Instant::now();
            let db = link.client().await.expect("a connection");
            let took = began.elapsed();
            assert_eq!(value(&db, shown).await, before, "{change}");
            expect_reset(pid(&db).await == first, change, took)
        })
        .await;
    }
}

/// Settings of the session that differ from the server's, and who set them.
const SETTINGS: &str = "\
    SELECT string_agg(name || ' = ' || setting || ' by ' || source, '; ' ORDER BY name) \
    FROM pg_settings WHERE source NOT IN ('default', 'configuration file', 'override')";

#[tokio::test]
async fn own_parameters_and_those_of_the_url_and_the_role_are_restored() {
    let mut fixture = fixture_with_objects().await;
    let role = fixture.database.role().to_owned();
    as_superuser(&format!("ALTER ROLE {role} SET statement_timeout TO '7s'")).await;
    let link = within(&link(&mut fixture, &[]), Duration::from_secs(60));
    let db = link.client().await.expect("a connection");
    let (first, opened) = (pid(&db).await, value(&db, SETTINGS).await);
    drop(db);
    let opened_text = opened.clone().expect("the settings").expect("a row");
    for expected in [
        "application_name = stagelink by session",
        "idle_session_timeout = 60000 by session",
        "idle_in_transaction_session_timeout",
        "statement_timeout = 7000 by user",
        "work_mem = 7168 by client",
    ] {
        assert!(opened_text.contains(expected), "{opened_text}");
    }
    for _ in 0..4 {
        let db = link.client().await.expect("a connection");
        assert_eq!(value(&db, SETTINGS).await, opened);
        let change = "SET statement_timeout TO 0; SET idle_session_timeout TO 0; \
            SET work_mem TO '1MB'; SET idle_in_transaction_session_timeout TO 0; \
            SET application_name TO ''; SET jit TO off";
        db.batch_execute(change).await.expect("the settings");
        assert_eq!(pid(&db).await, first);
    }
}

#[tokio::test]
async fn role_that_logs_in_as_another_stays_that() {
    let mut fixture = HerokuFixture::new().await;
    let role = fixture.database.role().to_owned();
    as_superuser(&format!(
        "CREATE ROLE {role}_owner; CREATE ROLE {role}_other; \
         GRANT {role}_owner, {role}_other TO {role}; ALTER ROLE {role} SET role TO {role}_owner"
    ))
    .await;
    let link = link(&mut fixture, &[]);
    for _ in 0..3 {
        let db = link.client().await.expect("a connection");
        let user = value(&db, "SELECT current_user").await;
        assert_eq!(user, Ok(Some(format!("{role}_owner"))));
        let change = format!("SET ROLE {role}_other");
        db.batch_execute(&change).await.expect("another role");
    }
    drop(link);
    as_superuser(&format!(
        "ALTER ROLE {role} RESET role; DROP ROLE {role}_owner, {role}_other"
    ))
    .await;
}

const CACHED: &str = "SELECT id FROM entry WHERE id < $1";

#[tokio::test]
async fn prepared_statements_are_kept_across_requests() {
    let mut fixture = fixture_with_objects().await;
    let link = link(&mut fixture, &[]);
    let prepared = "SELECT string_agg(name || prepare_time, ' ') FROM pg_prepared_statements";
    let mut seen = Vec::new();
    for _ in 0..5 {
        let db = link.client().await.expect("a connection");
        db.query_cached(CACHED, &params![10_i64])
            .await
            .expect("rows");
        db.batch_execute("SELECT set_tenant()")
            .await
            .expect("a tenant");
        seen.push(value(&db, prepared).await.expect("a row"));
    }
    assert_eq!(seen[0], None);
    assert!(seen[1].is_some(), "{seen:?}");
    assert!(seen[2..].iter().all(|later| *later == seen[1]), "{seen:?}");
}

#[tokio::test]
async fn handlers_request_has_a_transaction_of_its_own_behind_the_reset() {
    let mut fixture = fixture_with_objects().await;
    let link = within(&link(&mut fixture, &[]), Duration::from_secs(60));
    let first = pid(&link.client().await.expect("a connection")).await;
    // The first may not run in a transaction; the others end one, or have it fail.
    let requests = [
        ("VACUUM entry", None),
        ("ROLLBACK", None),
        ("COMMIT", None),
        ("SELECT 1 / 0", Some("22012")),
        ("SELEC", Some("42601")),
        ("COPY entry (name) TO STDOUT", None),
    ];
    for (request, code) in requests {
        for is_extended in [true, false] {
            let db = link.client().await.expect("a connection");
            let set = db.batch_execute("SET work_mem TO '1MB'").await;
            set.expect("the session is changed");
            drop(db);
            let db = link.client().await.expect("a connection");
            let done = if request.starts_with("COPY") {
                db.copy_out(request).await.map(drop)
            } else if is_extended {
                db.execute_typed(request, &[]).await.map(drop)
            } else {
                db.batch_execute(request).await
            };
            let got = done.err().and_then(|error| error.code().cloned());
            assert_eq!(got.as_ref().map(SqlState::code), code, "{request}");
            let memory = value(&db, "SHOW work_mem").await;
            assert_eq!(memory, Ok(Some("7MB".to_owned())), "{request}");
            assert_eq!(pid(&db).await, first, "{request}: on the same connection");
        }
    }
}

#[tokio::test]
async fn session_whose_prepared_statements_a_function_has_dropped_is_replaced() {
    let mut fixture = fixture_with_objects().await;
    let link = link(&mut fixture, &[]);
    let db = link.client().await.expect("a connection");
    let function = "CREATE FUNCTION forget() RETURNS void LANGUAGE plpgsql
        AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$";
    db.batch_execute(function).await.expect("a function");
    drop(db);
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let written = link.write(|db| async move {
            db.execute_typed("INSERT INTO entry (name) VALUES ('once')", &[])
                .await?;
            let pid = pid(&db).await;
            db.query_typed("SELECT set_tenant(), forget()", &[]).await?;
            Ok::<_, Error>(pid)
        });
        sessions.push(written.await.expect("it is written"));
        let tenant = link.read(|db| async move {
            let row = db.query_typed_one(TENANT, &[]).await?;
            Ok::<String, Error>(row.get(0))
        });
        assert_eq!(tenant.await.expect("a row"), "");
    }
    assert!(
        sessions.windows(2).all(|pair| pair[0] != pair[1]),
        "{sessions:?}"
    );
    let count = link.read(|db| async move {
        let sql = "SELECT count(*) FROM entry WHERE name = 'once'";
        Ok::<i64, Error>(db.query_typed_one(sql, &[]).await?.get(0))
    });
    assert_eq!(count.await.expect("a row"), 4);
}

#[tokio::test]
async fn reset_costs_no_round_trip() {
    expect_count(
        "round trips and connections",
        ([1, 1, 3].repeat(4), 1),
        async || {
            let proxy = proxy().await;
            let mut fixture = fixture_with_objects().await;
            fixture.set_url(&through(&proxy, &fixture.database.url()));
            let link = within(&link(&mut fixture, &[]), Duration::from_secs(60));
            link.client().await.expect("a connection");
            let mut costs = Vec::new();
            for _ in 0..4 {
                let before = proxy.round_trips();
                let db = link.client().await.expect("a connection");
                db.query_typed("SELECT set_tenant()", &[])
                    .await
                    .expect("a tenant");
                drop(db);
                costs.push(proxy.round_trips() - before);
                let before = proxy.round_trips();
                let tenant = link.read(|db| async move {
                    let row = db.query_typed_one(TENANT, &[]).await?;
                    Ok::<String, Error>(row.get(0))
                });
                assert_eq!(tenant.await.expect("a row"), "");
                costs.push(proxy.round_trips() - before);
                let before = proxy.round_trips();
                let done = link.transaction(|db| async move {
                    db.execute_typed("SELECT set_tenant()", &[]).await?;
                    Ok::<_, Error>(())
                });
                done.await.expect("a transaction");
                costs.push(proxy.round_trips() - before);
                // The driver closes its statement behind the request, and the next one does not wait.
                link.client()
                    .await
                    .expect("a connection")
                    .query("SELECT set_tenant()", &[])
                    .await
                    .expect("a tenant");
            }
            (costs, proxy.connections())
        },
    )
    .await;
}

#[tokio::test]
async fn statement_that_was_given_up_before_it_was_sent_changes_no_later_request() {
    let mut fixture = fixture_with_objects().await;
    let link = link(&mut fixture, &[]);
    for change in ["SELECT set_tenant()", "SELECT set_tenant(), pg_sleep(60)"] {
        for had_worked in [false, true] {
            let db = link.client().await.expect("a connection");
            if had_worked {
                pid(&db).await;
            }
            // The first poll hands it to the connection's task, which has had no turn yet.
            let given_up = db.batch_execute(change).now_or_never();
            assert!(given_up.is_none(), "it has run");
            drop(db);
            let began = Instant::now();
            let db = link.client().await.expect("a connection");
            assert_eq!(
                value(&db, TENANT).await,
                Ok(Some(String::new())),
                "{change}"
            );
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "it was waited for"
            );
        }
    }
}

#[tokio::test]
async fn request_that_was_given_up_in_its_middle_takes_up_no_later_request() {
    let proxy = proxy().await;
    let mut fixture = fixture_with_objects().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    let link = link(&mut fixture, &[]);
    let large = "x".repeat(8_000_000);
    for pause_ms in [0, 400] {
        let db = link.client().await.expect("a connection");
        let insert = db.prepare("INSERT INTO entry (name) VALUES ($1)").await;
        let insert = insert.expect("a statement");
        proxy.stall();
        let limit = Duration::from_millis(300);
        tokio::time::timeout(limit, db.execute(&insert, &[&large]))
            .await
            .expect_err("the network takes no more");
        drop(db);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        proxy.resume();
        let db = link.client().await.expect("a connection");
        for _ in 0..2 {
            let same = value(&db, "SELECT 'the same'").await;
            assert_eq!(same, Ok(Some("the same".to_owned())), "{pause_ms} ms later");
        }
    }
}

#[tokio::test]
async fn connection_that_was_lent_and_not_used_is_not_reset() {
    let mut fixture = fixture_with_objects().await;
    let link = link(&mut fixture, &[]);
    let admin = server()
        .await
        .connect_as_superuser()
        .await
        .expect("a superuser");
    let db = link.client().await.expect("a connection");
    let first = pid(&db).await;
    drop(db);
    for _ in 0..3 {
        link.warm_up().await.expect("a connection");
        drop(link.client().await.expect("a connection"));
    }
    let sql = format!("SELECT query FROM pg_stat_activity WHERE pid = {first}");
    let row = admin.query_one(&sql, &[]).await.expect("the session");
    assert_eq!(row.get::<_, &str>(0), "SELECT pg_backend_pid()");
}

#[tokio::test]
async fn concurrent_requests_get_clean_sessions() {
    let mut fixture = fixture_with_objects().await;
    let link = link(&mut fixture, &[("STAGELINK_POOL_SIZE", "3")]);
    let requests = (0..12).map(|number| {
        let link = link.clone();
        async move {
            for _ in 0..10 {
                let db = link.client().await.expect("a connection");
                assert_eq!(value(&db, TENANT).await, Ok(Some(String::new())));
                let sql = format!("SELECT set_config('app.tenant', 't{number}', false)");
                db.query(&sql, &[]).await.expect("a tenant");
                assert_eq!(value(&db, TENANT).await, Ok(Some(format!("t{number}"))));
            }
        }
    });
    futures_util::future::join_all(requests).await;
}
