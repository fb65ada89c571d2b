//! A client that waits for the only session of a pooler, in which another client's COPY ends.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use stagelink::{Client, Database, Error, Settings};
use stagelink_local::network::Proxy;
use stagelink_local_postgres::PgBouncerOptions;
use stagelink_tests::{HerokuFixture, at};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::refused_copy::code;
use super::{Pooled, link};

/// Each table waits for a lock: ahead of the data, for each row, or behind the data. All but `kept`
/// refuse them then.
const SCHEMA: &str = "\
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
        $$ BEGIN \
            PERFORM pg_advisory_xact_lock(1); \
            IF TG_TABLE_NAME <> 'kept' THEN RAISE 'refused' USING ERRCODE = 'SL001'; END IF; \
            RETURN NEW; \
        END $$; \
    CREATE TABLE ahead (n int); \
    CREATE TABLE each_row (n int); \
    CREATE TABLE behind (n int); \
    CREATE TABLE kept (n int); \
    CREATE TRIGGER w BEFORE INSERT ON ahead FOR EACH STATEMENT EXECUTE FUNCTION wait(); \
    CREATE TRIGGER w BEFORE INSERT ON each_row FOR EACH ROW EXECUTE FUNCTION wait(); \
    CREATE TRIGGER w AFTER INSERT ON behind FOR EACH STATEMENT EXECUTE FUNCTION wait(); \
    CREATE TRIGGER w BEFORE INSERT ON kept FOR EACH STATEMENT EXECUTE FUNCTION wait()";

/// The end of a COPY by its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Finish,
    Drop,
}

/// Two clients of a PgBouncer that has one session.
struct TwoClients {
    pooled: Pooled,
    proxy: Proxy,
    direct: Client,
    copying: Client,
    waiting: Client,
}

impl TwoClients {
    async fn start(options: PgBouncerOptions) -> Self {
        let mut pooled = Pooled::with_options(options.default_pool_size(1)).await;
        let direct = HerokuFixture::with_url(&pooled.fixture.database.url()).await;
        let direct = Database::new(Settings::from_vars(&direct.variables));
        let direct = direct.client().await.expect("a connection");
        direct.batch_execute(SCHEMA).await.expect("a schema");
        let address = ([127, 0, 0, 1], pooled.bouncer.port()).into();
        let proxy = Proxy::start(address).await.expect("a proxy");
        let url = pooled.bouncer.url(&pooled.fixture.database);
        pooled.fixture.set_url(&at(&url, proxy.port()));
        let copying = link(&mut pooled.fixture, &[]).client().await;
        let waiting = link(&mut pooled.fixture, &[]).client().await;
        Self {
            pooled,
            proxy,
            direct,
            copying: copying.expect("a connection"),
            waiting: waiting.expect("a connection"),
        }
    }

    /// Waits until the clients have sent so many flights since a count.
    async fn until_sent(&self, flights: usize, before: usize) {
        while self.proxy.round_trips() < before + flights {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Copies so many pieces of data, and tells when all but their end have been sent.
    async fn copy(
        &self,
        (table, pieces, end): (&str, usize, End),
        is_sent: oneshot::Sender<()>,
    ) -> Result<(), Error> {
        let sql = format!("COPY {table} FROM STDIN");
        let mut sink = pin!(self.copying.copy_in::<_, Bytes>(&sql).await?);
        for _ in 0..pieces {
            sink.send(Bytes::from("7\n".repeat(3_000))).await?;
        }
        is_sent.send(()).expect("another client waits");
        if end == End::Finish {
            sink.finish().await?;
        }
        Ok(())
    }

    async fn query_of_the_waiting_client(&self) -> Result<i32, String> {
        let row = timeout(LIMIT, self.waiting.query_typed_one("SELECT 7", &[])).await;
        let row = row.map_err(|_| "no response".to_owned())?;
        Ok(row.map_err(|error| error.to_string())?.get(0))
    }

    /// Checks that the client of the COPY is in step.
    async fn check_copying_client(&self, name: &str) {
        let row = timeout(LIMIT, self.copying.query_typed_one("SELECT 8", &[])).await;
        let row = row.unwrap_or_else(|_| panic!("{name}: no response"));
        let row = row.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(row.get::<_, i32>(0), 8, "{name}");
    }
}

/// Returns the options of a PgBouncer before version 1.21, if that is installed, and of a newer one.
fn versions() -> [PgBouncerOptions; 2] {
    [0, 10].map(|statements| PgBouncerOptions::new().max_prepared_statements(statements))
}

/// The server ends each COPY when the pooler has all of it and the statement of another client, so
/// the pooler gives the session to that client at once.
#[tokio::test]
async fn copy_from_the_client_leaves_nothing_for_the_next_client_of_its_session() {
    for options in versions() {
        let clients = TwoClients::start(options).await;
        let (version, direct) = (clients.pooled.bouncer.version(), &clients.direct);
        for (table, pieces, end, expected) in [
            ("ahead", 0, End::Finish, "SL001"),
            ("ahead", 1, End::Finish, "SL001"),
            ("ahead", 30, End::Finish, "SL001"),
            ("ahead", 1, End::Drop, ""),
            ("each_row", 1, End::Finish, "SL001"),
            ("each_row", 30, End::Finish, "SL001"),
            ("behind", 0, End::Finish, "SL001"),
            ("behind", 30, End::Finish, "SL001"),
            ("kept", 0, End::Finish, ""),
            ("kept", 30, End::Finish, ""),
            ("kept", 1, End::Drop, ""),
        ] {
            let name = format!("{version}, {table}, {pieces} pieces, {end:?}");
            let lock = direct.batch_execute("SELECT pg_advisory_lock(1)").await;
            lock.expect("the lock");
            let before = clients.proxy.round_trips();
            let (is_sent, sent) = oneshot::channel();
            let waited = async {
                sent.await.expect("the COPY begins");
                // The COPY is prepared and executed, and its data are sent.
                clients.until_sent(3, before).await;
                clients.query_of_the_waiting_client().await
            };
            let released = async {
                clients.until_sent(4, before).await;
                let released = direct.batch_execute("SELECT pg_advisory_unlock(1)").await;
                released.expect("the lock is released");
            };
            let copied = clients.copy((table, pieces, end), is_sent);
            let (copied, waited, ()) = tokio::join!(copied, waited, released);
            let copied = copied.map_or_else(|error| code(&error), |()| String::new());
            assert_eq!(copied, expected, "{name}");
            assert_eq!(waited, Ok(7), "{name}");
            clients.check_copying_client(&name).await;
        }
    }
}

/// No COPY begins, so none has an end. The driver's `execute` would send none in any case.
#[tokio::test]
async fn copy_that_does_not_begin_leaves_nothing_for_the_next_client_of_its_session() {
    for options in versions() {
        let clients = TwoClients::start(options).await;
        let (version, direct) = (clients.pooled.bouncer.version(), &clients.direct);
        for method in ["copy_in", "execute"] {
            let name = format!("{version}, {method}");
            let dropped = "CREATE TABLE gone (n int); BEGIN; DROP TABLE gone";
            direct.batch_execute(dropped).await.expect("a lock");
            let before = clients.proxy.round_trips();
            let sql = "COPY gone FROM STDIN";
            let copied = async {
                match method {
                    "execute" => clients.copying.execute(sql, &[]).await.map(drop),
                    _ => clients.copying.copy_in::<_, Bytes>(sql).await.map(drop),
                }
            };
            let waited = async {
                clients.until_sent(2, before).await;
                clients.query_of_the_waiting_client().await
            };
            let released = async {
                clients.until_sent(3, before).await;
                let released = direct.batch_execute("COMMIT").await;
                released.expect("the table is gone");
            };
            let (copied, waited, ()) = tokio::join!(copied, waited, released);
            let copied = copied.map_or_else(|error| code(&error.into()), |()| String::new());
            assert_eq!(copied, "42P01", "{name}");
            assert_eq!(waited, Ok(7), "{name}");
            clients.check_copying_client(&name).await;
        }
    }
}

/// A program without the SDK may send two Syncs, and the server's second response reaches the next
/// client of the session. The pooler then drops the response to its write, which is done all the same.
#[tokio::test]
async fn write_that_gets_the_response_of_another_client_is_not_repeated() {
    let mut clients = TwoClients::start(PgBouncerOptions::new()).await;
    let table = "CREATE TABLE written (n int)";
    let created = clients.direct.batch_execute(table).await;
    created.expect("a table");
    let fixture = &mut clients.pooled.fixture;
    let waiting = link(fixture, &[]);
    drop(waiting.client().await.expect("a connection"));
    // So the SDK takes the pooler for a server, and sends what the driver does.
    let copying = link(fixture, &[("STAGELINK_POOLER", "never")]);
    clients.copying = copying.client().await.expect("a connection");
    let (clients, runs) = (&clients, &AtomicUsize::new(0));
    let lock = "SELECT pg_advisory_lock(1)";
    clients.direct.batch_execute(lock).await.expect("the lock");
    let before = clients.proxy.round_trips();
    let (is_sent, sent) = oneshot::channel();
    let written = async {
        sent.await.expect("the COPY begins");
        clients.until_sent(3, before).await;
        let work = |db: Client| async move {
            runs.fetch_add(1, Ordering::Relaxed);
            let rows = db
                .query_typed("INSERT INTO written VALUES (1)", &[])
                .await?;
            Ok::<usize, Error>(rows.len())
        };
        timeout(LIMIT, waiting.write(work)).await.expect("an end")
    };
    let released = async {
        clients.until_sent(4, before).await;
        let released = "SELECT pg_advisory_unlock(1)";
        let released = clients.direct.batch_execute(released).await;
        released.expect("the lock is released");
    };
    let copied = clients.copy(("ahead", 0, End::Finish), is_sent);
    let (copied, written, ()) = tokio::join!(copied, written, released);
    assert_eq!(code(&copied.expect_err("a refusal")), "SL001");
    assert_eq!(runs.load(Ordering::Relaxed), 1, "{written:?}");
    let rows = clients.direct.query_one("SELECT FROM written", &[]).await;
    rows.expect("one row");
}

const LIMIT: Duration = Duration::from_secs(10);
