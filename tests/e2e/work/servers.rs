//! Servers that are read-only, stop answering, move, or get another password.

use std::time::Duration;

use futures_util::future::join;
use stagelink::{Client, Database, Error, ErrorKind, Limits, ServerSettings, Stage};
use stagelink_tests::{CANARY, as_superuser, database, proxy, through};

use super::{INSERT, Known, WorkFixture, insert};

#[tokio::test]
async fn write_follows_to_the_server_that_takes_writes() {
    let place = WorkFixture::new().await;
    place.read().await.expect("a warm link");
    // The follower was promoted elsewhere; the old primary is read-only.
    let (old, new) = (place.database.name(), database().await);
    as_superuser(&format!(
        "ALTER DATABASE {old} SET default_transaction_read_only = on"
    ))
    .await;
    place.end_sessions().await;
    let new = WorkFixture {
        known: Known::new(&new.url()),
        database: new,
        ..WorkFixture::new().await
    };
    let table = "CREATE TABLE entry (id bigserial, name text UNIQUE)";
    new.aside()
        .await
        .batch_execute(table)
        .await
        .expect("a table");
    place.known.set(&new.database.url());

    place.read().await.expect("a read is for standbys too");
    assert_eq!(place.known.asked(), 1);
    place.write("a").await.expect("it is written");
    assert_eq!(new.count("a").await, 1);
    assert_eq!(place.known.asked(), 2);
}

#[tokio::test]
async fn database_that_stays_read_only_is_told_and_the_provider_is_left_in_peace() {
    let place = WorkFixture::new().await;
    let name = place.database.name();
    as_superuser(&format!(
        "ALTER DATABASE {name} SET default_transaction_read_only = on"
    ))
    .await;
    let mut limits = Limits::default();
    limits.retry = Duration::from_millis(300);
    let link = Database::with_provider(
        Stage::Staging,
        place.known.clone(),
        limits,
        ServerSettings::default(),
    );
    let link = &link;
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
        read.await.expect("reads go on");
    }
    // Once at the start; then two at once, then after one second, two and so on.
    assert!(place.known.asked() <= 5, "{}", place.known.asked());
}

#[tokio::test]
async fn refused_and_silent_servers_are_waited_for_and_then_told() {
    let place = WorkFixture::new().await;
    place.read().await.expect("a warm link");
    place.proxy.refuse().await;
    place.proxy.cut();
    let back = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        place.proxy.accept().expect("it listens again");
    };
    join(place.write("a"), back).await.0.expect("it is written");
    assert_eq!(place.count("a").await, 1);

    let mut limits = Limits::default();
    limits.retry = Duration::from_millis(300);
    let link = Database::with_provider(
        Stage::Staging,
        place.known.clone(),
        limits,
        ServerSettings::default(),
    );
    place.proxy.refuse().await;
    let read = |db: Client| async move {
        db.query_typed("SELECT 1", &[]).await?;
        Ok::<_, Error>(())
    };
    let error = link.read(read).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable);
}

#[tokio::test]
async fn server_that_falls_silent_after_a_cut_is_looked_for_elsewhere() {
    let place = WorkFixture::new().await;
    place.read().await.expect("a warm link");
    let elsewhere = proxy().await;
    place.known.set(&through(&elsewhere, &place.database.url()));
    place.proxy.black_hole().expect("it falls silent");
    place.proxy.cut();
    let mut limits = Limits::default();
    limits.connect = Duration::from_millis(300);
    // Link whose connections time out soon, warmed up through another proxy.
    let known = Known::new(&through(&elsewhere, &place.database.url()));
    let link = Database::with_provider(
        Stage::Staging,
        known.clone(),
        limits,
        ServerSettings::default(),
    );
    let read = |db: Client| async move {
        db.query_typed("SELECT 1", &[]).await?;
        Ok::<_, Error>(())
    };
    link.read(read).await.expect("a warm link");
    let third = proxy().await;
    elsewhere.black_hole().expect("it falls silent");
    // A time-out alone causes no provider request: the existing connection is good.
    link.read(read).await.expect("it is read");
    assert_eq!(known.asked(), 1);
    elsewhere.cut();
    known.set(&through(&third, &place.database.url()));
    link.read(read).await.expect("it is read elsewhere");
    assert_eq!(known.asked(), 2);
}

#[tokio::test]
async fn rotation_that_the_provider_tells_late_is_waited_for() {
    let place = WorkFixture::new().await;
    place.read().await.expect("a warm link");
    let role = place.database.role();
    let changed = format!("{CANARY}-late");
    as_superuser(&format!("ALTER ROLE {role} PASSWORD '{changed}-{role}'")).await;
    place.end_sessions().await;
    let url = place.database.url().replace(CANARY, &changed);
    let told = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        place.known.set(&through(&place.proxy, &url));
    };
    join(place.write("a"), told).await.0.expect("it is written");
    assert!(place.known.asked() <= 5, "{}", place.known.asked());
}
