//! A database without a free connection slot: instances wait for one, and give it back.

use std::time::Duration;

use futures_util::future::join;
use stagelink::{Database, Error, ErrorKind, Settings};
use stagelink_tests::{HerokuFixture, as_superuser, server};
use tokio::time::sleep;

use super::{ANY, limit, link, pid, sessions, until_sessions};

async fn read(link: &Database) -> Result<i32, Error> {
    link.read(|db| async move { Ok(db.query_typed_one("SELECT 1", &[]).await?.get(0)) })
        .await
}

#[tokio::test]
async fn link_waits_for_a_free_connection_slot() {
    let mut fixture = HerokuFixture::new().await;
    let (first, second) = (link(&mut fixture, &[]), link(&mut fixture, &[]));
    let role = fixture.database.role();
    limit(role, 1).await;
    read(&first).await.expect("the only connection slot");
    let leave = async {
        sleep(Duration::from_millis(300)).await;
        first.close().await;
    };
    let (answer, ()) = join(read(&second), leave).await;
    assert_eq!(answer.expect("a connection slot"), 1);
}

#[tokio::test]
async fn instance_that_had_to_wait_frees_its_connection_slot() {
    let mut fixture = HerokuFixture::new().await;
    let (first, second) = (link(&mut fixture, &[]), link(&mut fixture, &[]));
    let role = fixture.database.role().to_owned();
    // No instance had to wait: the connection is kept.
    let kept = pid(&first.client().await.expect("a connection slot")).await;
    first.finish_invocation().await;
    assert_eq!(
        pid(&first.client().await.expect("a connection slot")).await,
        kept
    );
    limit(&role, 1).await;
    let leave = async {
        sleep(Duration::from_millis(300)).await;
        first.close().await;
    };
    join(
        async { read(&second).await.expect("a connection slot") },
        leave,
    )
    .await;
    assert_eq!(sessions(&role, &ANY).await, 1);
    second.finish_invocation().await;
    until_sessions(&role, &ANY, 0).await;
    read(&first).await.expect("its turn");
}

#[tokio::test]
async fn full_database_is_reported_after_the_time_limit() {
    let mut fixture = HerokuFixture::new().await;
    limit(fixture.database.role(), 0).await;
    let link = link(&mut fixture, &[("STAGELINK_RETRY_TIMEOUT_MS", "500")]);
    for _ in 0..2 {
        let error = read(&link).await.expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::TooManyConnections);
        let error = link.client().await.expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::TooManyConnections);
        let seconds = error.retry_after().expect("a time").as_secs();
        assert!((1..=4).contains(&seconds), "{seconds}");
    }
    as_superuser(&format!(
        "ALTER ROLE {} CONNECTION LIMIT 20",
        fixture.database.role()
    ))
    .await;
    read(&link).await.expect("a connection slot");
}

#[tokio::test]
async fn functions_and_operators_of_others_do_not_answer_the_check_of_the_limit() {
    let fixture = HerokuFixture::new().await;
    let role = fixture.database.role().to_owned();
    let admin = server().await.connect_as_superuser_to(&fixture.database);
    let admin = admin.await.expect("a superuser");
    // By these the server has room, whatever it counts.
    admin
        .batch_execute(
            "CREATE SCHEMA fake; GRANT USAGE ON SCHEMA fake TO PUBLIC; \
             CREATE FUNCTION fake.current_setting(text) RETURNS text \
             LANGUAGE sql AS $$ SELECT '1000'::text $$; \
             CREATE FUNCTION fake.current_database() RETURNS name \
             LANGUAGE sql AS $$ SELECT 'none'::name $$; \
             CREATE DOMAIN fake.int AS bigint; \
             CREATE FUNCTION fake.never(name, name) RETURNS bool LANGUAGE sql \
             AS $$ SELECT false $$; \
             CREATE OPERATOR fake.= (LEFTARG = name, RIGHTARG = name, FUNCTION = fake.never); \
             CREATE FUNCTION fake.never(int, int) RETURNS bool LANGUAGE sql AS $$ SELECT false $$; \
             CREATE OPERATOR fake.> (LEFTARG = int, RIGHTARG = int, FUNCTION = fake.never); \
             CREATE FUNCTION fake.most(int, int) RETURNS int LANGUAGE sql AS $$ SELECT 1000 $$; \
             CREATE OPERATOR fake.- (LEFTARG = int, RIGHTARG = int, FUNCTION = fake.most)",
        )
        .await
        .expect("a schema");
    let path = "?options=-c%20search_path%3Dfake%2Cpg_catalog";
    fixture.set_url(&format!("{}{path}", fixture.database.url()));
    limit(&role, 2).await;
    let link = Database::new(Settings::from_vars(&fixture.variables));
    read(&link).await.expect("a connection slot");
    link.finish_invocation().await;
    until_sessions(&role, &ANY, 0).await;
}

#[tokio::test]
async fn pool_size_is_the_concurrency_of_an_instance() {
    let mut fixture = HerokuFixture::new().await;
    let link = link(&mut fixture, &[("AWS_LAMBDA_MAX_CONCURRENCY", "3")]);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(link.client().await.expect("a connection"));
    }
    assert_eq!(sessions(fixture.database.role(), &ANY).await, 3);
}

#[tokio::test]
async fn last_connection_slots_are_shared_and_others_are_kept() {
    let mut fixture = HerokuFixture::new().await;
    let role = fixture.database.role().to_owned();
    // Two of three are shared.
    limit(&role, 3).await;
    let (first, second) = (link(&mut fixture, &[]), link(&mut fixture, &[]));
    read(&first).await.expect("a connection slot");
    first.finish_invocation().await;
    assert_eq!(sessions(&role, &ANY).await, 1, "slots were free");
    read(&second).await.expect("a connection slot");
    assert_eq!(sessions(&role, &ANY).await, 2);
    second.finish_invocation().await;
    until_sessions(&role, &ANY, 1).await;
    // The pipelined check of the limit does not disturb the caller's own queries.
    let kept = pid(&first.client().await.expect("a connection slot")).await;
    assert_eq!(
        pid(&first.client().await.expect("a connection slot")).await,
        kept
    );
}
