//! Sessions that refuse writes: a failover behind one address, and a database that was read-only
//! for a while.

use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use stagelink::{Database, Error, ErrorKind, IDEMPOTENCY_TABLE, IdempotencyKey, Settings};
use stagelink_local::network::Proxy;
use stagelink_tests::{Auth, HerokuFixture, Identity, OwnServer, as_superuser, proxy, through};

use super::{link, pid};

const INSERT: &str = "INSERT INTO entry DEFAULT VALUES";

async fn write(link: &Database) -> Result<u64, Error> {
    link.write(|db| async move { Ok(db.execute_typed(INSERT, &[]).await?) })
        .await
}

/// Makes new sessions of the fixture's database read-only, or lets them write again.
async fn set_read_only(fixture: &HerokuFixture, is_read_only: bool) {
    let value = if is_read_only { "on" } else { "off" };
    let name = fixture.database.name();
    let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
    as_superuser(&sql).await;
}

/// Creates the fixture's table, and a link whose attempts end soon.
async fn fixture_with_table() -> (HerokuFixture, Database) {
    let mut fixture = HerokuFixture::new().await;
    let admin = link(&mut fixture, &[]);
    let db = admin.client().await.expect("a connection");
    db.batch_execute("CREATE TABLE entry (id bigserial)")
        .await
        .expect("a table");
    let link = link(&mut fixture, &[("STAGELINK_RETRY_TIMEOUT_MS", "200")]);
    (fixture, link)
}

/// Repeats work without a pause until it succeeds. Returns the time that this took.
async fn until_ok<T, F: Future<Output = Result<T, Error>>>(work: impl Fn() -> F) -> Duration {
    let began = Instant::now();
    while let Err(error) = work().await {
        assert_eq!(
            error.kind(),
            ErrorKind::DatabaseReadOnly,
            "{}",
            error.report()
        );
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "it stays read-only"
        );
    }
    began.elapsed()
}

#[tokio::test]
async fn busy_instance_writes_again_when_its_database_does() {
    let (fixture, link) = fixture_with_table().await;
    set_read_only(&fixture, true).await;
    link.warm_up().await.expect("a connection");
    let error = write(&link).await.expect_err("it is read-only");
    assert_eq!(error.kind(), ErrorKind::DatabaseReadOnly);
    set_read_only(&fixture, false).await;
    // Never idle, so the session would go on for as long as the instance.
    let took = until_ok(|| write(&link)).await;
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test]
async fn session_of_a_handlers_own_client_is_replaced_too() {
    let (fixture, link) = fixture_with_table().await;
    set_read_only(&fixture, true).await;
    let db = link.client().await.expect("a connection");
    let first = pid(&db).await;
    db.batch_execute(INSERT).await.expect_err("it is read-only");
    drop(db);
    link.finish_invocation().await;
    set_read_only(&fixture, false).await;
    let db = link.client().await.expect("a connection");
    assert_ne!(pid(&db).await, first);
    db.batch_execute(INSERT).await.expect("it is written");
}

#[tokio::test]
async fn refusal_counts_though_later_statements_of_the_transaction_fail_otherwise() {
    let (fixture, link) = fixture_with_table().await;
    set_read_only(&fixture, true).await;
    let first = pid(&link.client().await.expect("a connection")).await;
    let refused = link.transaction(|db| async move {
        db.batch_execute(INSERT).await.ok();
        // 25P02: the transaction is aborted.
        Ok::<_, Error>(db.batch_execute("SELECT 1").await?)
    });
    let error = refused.await.expect_err("it is read-only");
    assert_eq!(
        error.kind(),
        ErrorKind::DatabaseReadOnly,
        "{}",
        error.report()
    );
    assert_ne!(
        pid(&link.client().await.expect("a connection")).await,
        first
    );
}

#[tokio::test]
async fn lasting_read_only_database_gets_few_new_connections() {
    let proxy = proxy().await;
    let (mut fixture, _) = fixture_with_table().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    set_read_only(&fixture, true).await;
    let link = link(&mut fixture, &[]);
    let began = Instant::now();
    let mut refused = 0;
    while began.elapsed() < Duration::from_secs(3) {
        write(&link).await.expect_err("it is read-only");
        refused += 1;
    }
    let read = link.read(|db| async move { Ok::<_, Error>(pid(&db).await) });
    read.await.expect("reads go on");
    let connections = proxy.connections();
    assert!(
        connections <= 5,
        "{connections} connections, {refused} writes"
    );
}

/// Two servers with one database each, by the same name and password, behind one address that
/// leads to the first.
struct Failover {
    old: OwnServer,
    new: OwnServer,
    proxy: Proxy,
    link: Database,
}

impl Failover {
    async fn new(pool_size: &str) -> Self {
        let identity = Identity::self_signed();
        let (old, new) = (
            OwnServer::start(&identity).await,
            OwnServer::start(&identity).await,
        );
        let proxy = old.proxy().await;
        let database = old.database(Auth::Scram).await;
        let url = through(&proxy, &database.url());
        let link = Database::new(Settings::from_vars([
            ("STAGELINK_STAGE", "staging"),
            ("DATABASE_URL", &url),
            ("STAGELINK_POOL_SIZE", pool_size),
        ]));
        let setup = format!("CREATE TABLE entry (id bigserial); {IDEMPOTENCY_TABLE}");
        let db = link.client().await.expect("a connection");
        db.batch_execute(&setup).await.expect("the tables");
        let database = new.database(Auth::Scram).await;
        let writable = Database::new(Settings::from_vars([
            ("STAGELINK_STAGE", "staging"),
            ("DATABASE_URL", &database.url()),
        ]));
        let db = writable.client().await.expect("a connection");
        db.batch_execute(&setup).await.expect("the tables");
        Self {
            old,
            new,
            proxy,
            link,
        }
    }

    /// The old server takes no more writes, and new connections lead to the other. The old
    /// sessions stay.
    async fn fail_over(&self) {
        self.old.set("default_transaction_read_only", "on").await;
        self.proxy.set_upstream(self.new.address());
    }
}

#[tokio::test]
async fn work_moves_to_the_new_primary_behind_the_same_address() {
    let failover = Failover::new("1").await;
    let link = &failover.link;
    failover.fail_over().await;
    write(link).await.expect("it is written");

    let failover = Failover::new("1").await;
    let link = &failover.link;
    failover.fail_over().await;
    let done =
        link.transaction(|db| async move { Ok::<_, Error>(db.batch_execute(INSERT).await?) });
    done.await.expect("it is committed");

    let failover = Failover::new("1").await;
    let link = &failover.link;
    failover.fail_over().await;
    let mut request = lambda_http::Request::new(lambda_http::Body::from("a"));
    let value = "a".parse().expect("a header's value");
    request.headers_mut().insert("idempotency-key", value);
    let key = IdempotencyKey::from_request(&request)
        .expect("a good key")
        .expect("a key");
    let done = link.write_once(&key, |db| async move {
        Ok::<_, Error>(db.execute_typed(INSERT, &[]).await?)
    });
    assert_eq!(done.await.expect("it is written"), 1);
}

#[tokio::test]
async fn all_sessions_of_a_pool_move_to_the_new_primary() {
    let failover = Failover::new("4").await;
    let link = &failover.link;
    let held = join_all((0..4).map(|_| link.client())).await;
    assert!(held.iter().all(Result::is_ok));
    drop(held);
    failover.fail_over().await;
    let writes = (0..4).map(|_| {
        link.write(|db| async move {
            let sql = "INSERT INTO entry SELECT FROM pg_sleep(0.1)";
            Ok::<_, Error>(db.execute_typed(sql, &[]).await?)
        })
    });
    for written in join_all(writes).await {
        written.expect("it is written");
    }
    assert!(
        failover.proxy.connections() <= 9,
        "{}",
        failover.proxy.connections()
    );
}
