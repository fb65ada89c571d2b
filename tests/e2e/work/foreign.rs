//! Statements that fail by the error of another server, which they have asked (postgres_fdw,
//! dblink), or by a code that a function of the database has chosen.

use std::sync::atomic::{AtomicUsize, Ordering};

use stagelink::{Error, ErrorKind};
use stagelink_tests::{CANARY, server};

use super::{WorkFixture, pid};

/// Creates foreign tables: of a port that refuses, with a wrong password, of a server that is
/// read-only, and of one that ends each session. Returns the connection strings of dblink for the
/// server itself, and for the port that refuses.
async fn create_foreign_tables(fixture: &WorkFixture) -> (String, String) {
    let name = fixture.database.name();
    let direct = fixture.connect_directly().await;
    let address = "SELECT host(inet_server_addr()), inet_server_port()::text";
    let row = direct.query_typed_one(address, &[]).await.expect("a row");
    let (host, port): (String, String) = (row.get(0), row.get(1));
    let password = format!("{CANARY}-{name}");
    let table = |server: &str, port: &str, password: &str, options: &str, remote: &str| {
        format!(
            "CREATE SERVER {server} FOREIGN DATA WRAPPER postgres_fdw \
                OPTIONS (host '{host}', port '{port}', dbname '{name}' {options}); \
             CREATE USER MAPPING FOR {name} SERVER {server} \
                OPTIONS (user '{name}', password '{password}', sslcert '/none'); \
             CREATE FOREIGN TABLE {server} (name text) SERVER {server} \
                OPTIONS (table_name '{remote}'); \
             GRANT ALL ON {server} TO {name};"
        )
    };
    let sql = [
        "CREATE EXTENSION postgres_fdw; CREATE EXTENSION dblink;".to_owned(),
        "CREATE VIEW ending AS SELECT pg_terminate_backend(pg_backend_pid())::text AS name; \
         GRANT SELECT ON ending TO PUBLIC;"
            .to_owned(),
        table("refusing", "1", &password, "", "entry"),
        table("locked", &port, "wrong", "", "entry"),
        table(
            "readonly",
            &port,
            &password,
            ", options '-c default_transaction_read_only=on'",
            "entry",
        ),
        table("ended", &port, &password, "", "ending"),
        table("sound", &port, &password, "", "entry"),
    ];
    let admin = server()
        .await
        .connect_as_superuser_to(&fixture.database)
        .await;
    let admin = admin.expect("a superuser");
    admin
        .batch_execute(&sql.concat())
        .await
        .expect("foreign tables");
    let target = |port: &str| {
        format!(
            "host={host} port={port} dbname={name} user={name} password={password} sslcert=/none"
        )
    };
    (target(&port), target("1"))
}

#[tokio::test]
async fn error_of_another_server_is_the_statements_own() {
    let fixture = WorkFixture::new().await;
    let (other, refused) = create_foreign_tables(&fixture).await;
    let link = &fixture.link;
    let before = pid(&link.client().await.expect("a client")).await;
    let requests = fixture.provider.request_count();
    let dblink = |target: &str, sql: &str| {
        format!("SELECT a FROM dblink('{target}', '{sql}') AS t (a text)")
    };
    let raise = |code: &str| format!("DO $$ BEGIN RAISE 'x' USING ERRCODE = '{code}'; END $$");
    for (sql, code) in [
        ("SELECT name FROM refusing".to_owned(), "08001"),
        ("INSERT INTO refusing VALUES ('a')".to_owned(), "08001"),
        ("SELECT name FROM locked".to_owned(), "08001"),
        ("INSERT INTO readonly VALUES ('a')".to_owned(), "25006"),
        ("SELECT name FROM ended".to_owned(), "08006"),
        (dblink(&refused, "SELECT 1"), "08001"),
        (dblink(&other.replace(CANARY, "wrong"), "SELECT 1"), "08001"),
        (
            dblink(&other, "SELECT pg_terminate_backend(pg_backend_pid())"),
            "08006",
        ),
        (dblink(&other, "EXECUTE missing"), "26000"),
        ("SELECT dblink_disconnect('missing')".to_owned(), "08003"),
        (raise("08006"), "08006"),
        (raise("28P01"), "28P01"),
        (raise("57P03"), "57P03"),
        (raise("53300"), "53300"),
    ] {
        let runs = AtomicUsize::new(0);
        let (sql, runs) = (&*sql, &runs);
        let work = |db: stagelink::Client| async move {
            runs.fetch_add(1, Ordering::Relaxed);
            db.batch_execute(sql).await?;
            Ok::<_, Error>(())
        };
        let failures = [
            link.read(work).await,
            link.write(work).await,
            link.transaction(|db| async move {
                runs.fetch_add(1, Ordering::Relaxed);
                db.batch_execute(sql).await?;
                Ok::<_, Error>(())
            })
            .await,
        ];
        let report = |error: &Error| error.report().to_string().replace(CANARY, "");
        for failure in failures {
            let error = failure.expect_err(sql);
            assert!(report(&error).contains(code), "{sql}: {}", report(&error));
            assert_eq!(error.kind(), ErrorKind::Query, "{sql}: {}", report(&error));
            assert!(!error.is_retryable(), "{sql}: {}", report(&error));
        }
        assert_eq!(runs.load(Ordering::Relaxed), 3, "{sql} ran more than once");
        let after = pid(&link.client().await.expect("a client")).await;
        assert_eq!(after, before, "{sql} cost the connection");
    }
    assert_eq!(fixture.provider.request_count(), requests);

    // The connection works, and the other server through it.
    let written = fixture.link.write(|db| async move {
        db.batch_execute("INSERT INTO sound VALUES ('a')").await?;
        Ok::<_, Error>(())
    });
    written.await.expect("it is written");
    assert_eq!(fixture.count("a").await, 1);
}
