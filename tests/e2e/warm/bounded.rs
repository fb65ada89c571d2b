//! Time limits: nothing runs longer than the invocation may last, on the server either.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stagelink::{Database, Error, ErrorKind, Phase};
use stagelink_tests::{HerokuFixture, as_superuser, migrate, server};

use super::late_reset::{expect_reset, unless_late};
use super::{AT_WORK, Pooled, limit, link, sessions, until_sessions, within};
use crate::deadline::{ask, function_of_two_seconds, unless_killed};

/// Returns the value of a setting in a session of this link.
async fn setting(link: &Database, name: &str) -> String {
    let sql = format!("SHOW {name}");
    let db = link.client().await.expect("a connection");
    let row = db.query_typed_one(&sql, &[]).await.expect("a row");
    row.get(0)
}

const LIMITS: [&str; 2] = ["statement_timeout", "idle_in_transaction_session_timeout"];

#[tokio::test]
async fn server_ends_sessions_that_outlast_an_invocation() {
    let mut fixture = HerokuFixture::new().await;
    let link = link(&mut fixture, &[]);
    let link = within(&link, Duration::from_secs(30));
    for name in LIMITS {
        let set = setting(&link, name).await;
        let milliseconds: u32 = set.trim_end_matches("ms").parse().unwrap_or_default();
        assert!(
            (29_000..=30_000).contains(&milliseconds) || set == "30s",
            "{name}: {set}"
        );
    }
    assert_eq!(setting(&link, "idle_session_timeout").await, "1min");
    assert_eq!(setting(&link, "application_name").await, "stagelink");
}

#[tokio::test]
async fn limit_follows_the_longest_invocation_and_work_without_a_deadline_has_none() {
    let mut fixture = HerokuFixture::new().await;
    let link = link(&mut fixture, &[]);
    let of = |seconds| within(&link, Duration::from_secs(seconds));
    for name in LIMITS {
        assert_eq!(setting(&link, name).await, "0", "before the first");
    }
    assert_eq!(setting(&of(2), LIMITS[0]).await, "2s");
    for _ in 0..2 {
        for name in LIMITS {
            assert_eq!(setting(&of(60), name).await, "1min");
            assert_eq!(setting(&of(5), name).await, "1min");
        }
        for name in LIMITS {
            assert_eq!(setting(&link, name).await, "0");
        }
        // A loan that sends nothing.
        drop(link.client().await.expect("a connection"));
    }
    assert_eq!(setting(&of(5), LIMITS[1]).await, "1min");
}

#[tokio::test]
async fn configured_limits_are_kept() {
    let mut fixture = HerokuFixture::new().await;
    let (role, database) = (fixture.database.role(), fixture.database.name());
    as_superuser(&format!(
        "ALTER ROLE {role} SET statement_timeout = '7s'; \
         ALTER DATABASE {database} SET idle_session_timeout = '7min'"
    ))
    .await;
    fixture.set_url(&format!(
        "{}?options=-c%20idle_in_transaction_session_timeout%3D9000",
        fixture.database.url()
    ));
    let link = link(&mut fixture, &[]);
    let link = within(&link, Duration::from_secs(60));
    assert_eq!(setting(&link, "statement_timeout").await, "7s");
    assert_eq!(setting(&link, "idle_session_timeout").await, "7min");
    assert_eq!(setting(&link, LIMITS[1]).await, "9s");
    let longer = within(&link, Duration::from_secs(90));
    assert_eq!(setting(&longer, "statement_timeout").await, "7s");
    assert_eq!(setting(&longer, LIMITS[1]).await, "9s");
}

#[tokio::test]
async fn slow_work_times_out_and_is_cancelled_on_the_server() {
    let mut fixture = HerokuFixture::new().await;
    let role = fixture.database.role().to_owned();
    let link = link(&mut fixture, &[]);
    unless_late(&role, async || {
        link.warm_up().await.expect("a connection");
        let link = within(&link, Duration::from_secs(1));
        let began = Instant::now();
        let slow = link.read(|db| async move {
            let rows = db.query_typed("SELECT pg_sleep(60)", &[]).await?;
            Ok::<_, Error>(rows.len())
        });
        let error = slow.await.expect_err("it takes longer");
        assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Query));
        assert!(began.elapsed() < Duration::from_secs(30));
        let given_up = Instant::now();
        link.finish_invocation().await;
        let took = given_up.elapsed();
        let at_work = sessions(&role, &AT_WORK).await;
        expect_reset(at_work == 0, "it is at work", took)
    })
    .await;
}

#[tokio::test]
async fn wait_for_a_connection_is_bounded_too() {
    let mut fixture = HerokuFixture::new().await;
    let link = link(&mut fixture, &[("STAGELINK_WAIT_TIMEOUT_MS", "60000")]);
    let held = link.client().await.expect("a connection");
    let link = within(&link, Duration::from_secs(1));
    let error = link.client().await.expect_err("it is held");
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Wait), "{error}");
    drop(held);
}

#[tokio::test]
async fn wait_for_a_connection_slot_is_bounded_too() {
    let mut fixture = HerokuFixture::new().await;
    limit(fixture.database.role(), 0).await;
    let link = link(&mut fixture, &[("STAGELINK_RETRY_TIMEOUT_MS", "60000")]);
    let link = within(&link, Duration::from_secs(5));
    let error = link.client().await.expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::TooManyConnections, "{error}");
    assert!(error.retry_after().is_some());
}

#[tokio::test]
async fn locked_table_is_reported_before_the_platform_ends_the_function() {
    unless_killed(async || {
        let fixture = HerokuFixture::new().await;
        migrate(&fixture.variables).await;
        let function = function_of_two_seconds(&fixture, "guestbook").await;
        let ask = async |method, body: Option<&Value>| {
            ask(&fixture, &function, (method, "/api/guestbook"), body).await
        };
        assert_eq!(ask("GET", None).await?.status, 200, "{}", fixture.log());
        let admin = server()
            .await
            .connect_as_superuser_to(&fixture.database)
            .await
            .expect("a superuser");
        let lock = "BEGIN; LOCK TABLE guestbook IN ACCESS EXCLUSIVE MODE";
        admin.batch_execute(lock).await.expect("a lock");
        let entry = json!({ "name": "Ada", "message": "Hello" });
        for (method, body) in [("GET", None), ("POST", Some(&entry))] {
            let answer = ask(method, body).await?;
            assert_eq!(answer.status, 504, "{}", fixture.log());
            assert!(answer.text().contains("took too long"), "{answer:?}");
            // The statement does not stay queued on the server, where it would delay the next
            // request.
            until_sessions(fixture.database.role(), &AT_WORK, 0).await;
        }
        admin.batch_execute("ROLLBACK").await.expect("no lock");
        let answer = ask("GET", None).await?;
        assert_eq!(answer.status, 200, "{}", fixture.log());
        assert!(
            !answer.text().contains("Ada"),
            "the cancelled write took no effect"
        );
        function.shutdown().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn transaction_behind_a_pooler_is_bounded_and_leaves_no_setting() {
    let pooled = Pooled::start().await;
    let link = within(&pooled.link, Duration::from_secs(30));
    let inside = link
        .transaction(|db| async move {
            let sql = "SELECT current_setting('statement_timeout') <> '0' \
                 AND current_setting('idle_in_transaction_session_timeout') <> '0'";
            Ok::<bool, Error>(db.query_typed_one(sql, &[]).await?.get(0))
        })
        .await;
    assert!(inside.expect("a transaction"));
    for name in LIMITS {
        assert_eq!(setting(&link, name).await, "0", "{name}");
    }
    assert_eq!(setting(&link, "idle_session_timeout").await, "0");
}
