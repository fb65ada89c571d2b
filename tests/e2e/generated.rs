//! Queries that clorinde has generated, on the SDK's connections.

use clorinde::queries::guestbook::{add_entry, entries_of, rename_all};
use stagelink::{Database, Error, Settings};
use stagelink_local_postgres::{PgBouncer, PgBouncerOptions};
use stagelink_tests::{HerokuFixture, Identity, migrate, server};

/// Runs the queries on a client, in a client's transaction and in a transaction of the SDK.
async fn run(database: &Database) {
    let mut db = database.client().await.expect("a connection");
    // The generated code accepts the driver's client: `&**db`.
    let id = add_entry().bind(&**db, &"Ada", &"hello").one().await;
    let id = id.expect("an id");
    let found = entries_of().bind(&**db, &"Ada").all().await.expect("rows");
    assert_eq!((found.len(), found[0].id), (1, id));

    let transaction = db.transaction().await.expect("a transaction");
    for message in ["one", "two"] {
        let added = add_entry().bind(&transaction, &"Bob", &message).one().await;
        added.expect("an id");
    }
    let changed = rename_all().bind(&transaction, &"Eve", &"Bob").await;
    assert_eq!(changed.expect("a count"), 2);
    transaction.commit().await.expect("a commit");
    let found = entries_of().bind(&**db, &"Eve").all().await.expect("rows");
    assert_eq!(found.len(), 2);

    // Prepared once, used twice.
    let prepared = entries_of().prepare(&**db).await.expect("a statement");
    for _ in 0..2 {
        let found = prepared.bind(&**db, &"Ada").opt().await.expect("a row");
        assert_eq!(found.expect("a row").message, "hello");
    }
    drop(prepared);
    drop(db);

    let changed = database
        .transaction(|db| async move {
            let changed = rename_all().bind(&**db, &"Bob", &"Eve").await?;
            Ok::<_, Error>(changed)
        })
        .await;
    assert_eq!(changed.expect("a transaction"), 2);
}

#[tokio::test]
async fn generated_queries_run_on_clients_and_in_transactions() {
    let fixture = HerokuFixture::new().await;
    migrate(&fixture.variables).await;
    run(&Database::new(Settings::from_vars(&fixture.variables))).await;
}

#[tokio::test]
async fn generated_queries_run_behind_a_pooler() {
    // Without and with the pooler's own tracking of prepared statements.
    for prepared_statements in [0, 100] {
        let mut fixture = HerokuFixture::new().await;
        migrate(&fixture.variables).await;
        let shown = Identity::self_signed();
        let options = PgBouncerOptions::new()
            .max_prepared_statements(prepared_statements)
            .certificate(&shown.certificate_pem, &shown.key_pem);
        let started = PgBouncer::start(server().await, &[&fixture.database], options).await;
        let bouncer = started.expect("the tests need PgBouncer");
        fixture.set_url(&bouncer.url(&fixture.database));
        fixture.set("STAGELINK_SERVER_PIN", &shown.pin());
        run(&Database::new(Settings::from_vars(&fixture.variables))).await;
    }
}
