//! Servers that are read-only, stop answering, move, or get another password.

use std::time::{Duration, Instant};

use futures_util::future::join;
use stagelink::{Client, Error, ErrorKind, Limits};
use stagelink_tests::{CANARY, as_superuser, database, proxy, through};

use super::{ChangeableProvider, INSERT, WorkFixture, database_of, insert};

#[tokio::test]
async fn write_follows_the_primary() {
    let fixture = WorkFixture::new().await;
    fixture.read().await.expect("a warm link");
    // The follower was promoted elsewhere; the old primary is read-only.
    let (old, new) = (fixture.database.name(), database().await);
    as_superuser(&format!(
        "ALTER DATABASE {old} SET default_transaction_read_only = on"
    ))
    .await;
    fixture.end_sessions().await;
    let new = WorkFixture {
        provider: ChangeableProvider::new(&new.url()),
        database: new,
        ..WorkFixture::new().await
    };
    let table = "CREATE TABLE entry (id bigserial, name text UNIQUE)";
    new.connect_directly()
        .await
        .batch_execute(table)
        .await
        .expect("a table");
    fixture.provider.set(&new.database.url());

    fixture.read().await.expect("standbys serve reads");
    assert_eq!(fixture.provider.request_count(), 1);
    fixture.write("a").await.expect("it is written");
    assert_eq!(new.count("a").await, 1);
    assert_eq!(fixture.provider.request_count(), 2);
}

#[tokio::test]
async fn lasting_read_only_database_is_reported_with_few_provider_requests() {
    let fixture = WorkFixture::new().await;
    let name = fixture.database.name();
    as_superuser(&format!(
        "ALTER DATABASE {name} SET default_transaction_read_only = on"
    ))
    .await;
    let link = fixture.impatient_link();
    let link = &link;
    let began = Instant::now();
    for _ in 0..8 {
        let write = link.write(|db| async move { insert(&db, "a", INSERT).await });
        let error = write.await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::DatabaseReadOnly,
            "{}",
            error.report()
        );
        let read = link.read(|db| async move {
            db.query_typed("SELECT name FROM entry", &[]).await?;
            Ok::<_, Error>(())
        });
        read.await.expect("reads still work");
    }
    // Once at the start; then two at once, then after one second, two and so on. A machine that
    // stands still may let a further one become due.
    let (asked, took) = (fixture.provider.request_count(), began.elapsed());
    let is_late = took >= Duration::from_millis(5250);
    assert!(asked <= 5 || is_late, "{asked} in {took:?}");
}

#[tokio::test]
async fn refusing_and_silent_servers_are_retried_and_then_reported() {
    let fixture = WorkFixture::new().await;
    fixture.read().await.expect("a warm link");
    fixture.proxy.refuse().await;
    fixture.proxy.cut();
    let back = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        fixture.proxy.accept().expect("it listens again");
    };
    join(fixture.write("a"), back)
        .await
        .0
        .expect("it is written");
    assert_eq!(fixture.count("a").await, 1);

    let link = fixture.impatient_link();
    fixture.proxy.refuse().await;
    let read = |db: Client| async move {
        db.query_typed("SELECT 1", &[]).await?;
        Ok::<_, Error>(())
    };
    let error = link.read(read).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable);
}

#[tokio::test]
async fn server_that_falls_silent_after_a_cut_is_resolved_again() {
    let fixture = WorkFixture::new().await;
    fixture.read().await.expect("a warm link");
    let elsewhere = proxy().await;
    fixture
        .provider
        .set(&through(&elsewhere, &fixture.database.url()));
    fixture.proxy.black_hole().expect("the proxy drops packets");
    fixture.proxy.cut();
    let mut limits = Limits::default();
    limits.connect = Duration::from_millis(300);
    // Link whose connections time out soon, warmed up through another proxy.
    let provider = ChangeableProvider::new(&through(&elsewhere, &fixture.database.url()));
    let link = database_of(provider.clone(), limits);
    let read = |db: Client| async move {
        db.query_typed("SELECT 1", &[]).await?;
        Ok::<_, Error>(())
    };
    link.read(read).await.expect("a warm link");
    let third = proxy().await;
    elsewhere.black_hole().expect("the proxy drops packets");
    // A time-out alone causes no provider request: the existing connection is good.
    link.read(read).await.expect("it is read");
    assert_eq!(provider.request_count(), 1);
    elsewhere.cut();
    provider.set(&through(&third, &fixture.database.url()));
    link.read(read).await.expect("it is read elsewhere");
    assert_eq!(provider.request_count(), 2);
}

#[tokio::test]
async fn late_rotation_of_the_provider_is_waited_for() {
    let fixture = WorkFixture::new().await;
    fixture.read().await.expect("a warm link");
    let role = fixture.database.role();
    let changed = format!("{CANARY}-late");
    as_superuser(&format!("ALTER ROLE {role} PASSWORD '{changed}-{role}'")).await;
    fixture.end_sessions().await;
    let url = fixture.database.url().replace(CANARY, &changed);
    let update = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        fixture.provider.set(&through(&fixture.proxy, &url));
    };
    join(fixture.write("a"), update)
        .await
        .0
        .expect("it is written");
    assert!(
        fixture.provider.request_count() <= 5,
        "{}",
        fixture.provider.request_count()
    );
}
