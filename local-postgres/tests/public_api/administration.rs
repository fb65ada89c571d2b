//! Password rotation and statistics of databases in use.

use stagelink_local_postgres::tokio_postgres::error::SqlState;
use stagelink_local_postgres::{ErrorKind, Server};

use super::{connect, installed, refused, text};

#[tokio::test]
async fn password_rotation_ends_connections_and_invalidates_the_old_password() {
    let server = Server::start(installed()).await.unwrap();
    let old = server.create_database("my \"shop\"", "old").await.unwrap();
    let other = server.create_database("other", "pw").await.unwrap();
    let open = [
        connect(&server, &old.url()).await.unwrap(),
        connect(&server, &old.url()).await.unwrap(),
    ];
    let elsewhere = connect(&server, &other.url()).await.unwrap();
    open[0].batch_execute("create table kept ()").await.unwrap();

    let new = server.database_admin().rotate_password(&old).await.unwrap();
    for client in &open {
        assert!(client.batch_execute("select 1").await.is_err());
    }
    let code = refused(connect(&server, &old.url())).await;
    assert_eq!(code, SqlState::INVALID_PASSWORD);
    let again = connect(&server, &new.url()).await.unwrap();
    again.batch_execute("table kept").await.unwrap();
    assert_eq!(text(&elsewhere, "select 'open'").await, "open");
    assert!(format!("{new:?}").contains(":_@"), "{new:?}");

    // The old password in `old` is not used, as after a rotation that failed halfway.
    let newest = server.database_admin().rotate_password(&old).await.unwrap();
    let code = refused(connect(&server, &new.url())).await;
    assert_eq!(code, SqlState::INVALID_PASSWORD);
    connect(&server, &newest.url()).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn password_of_a_foreign_or_missing_role_is_not_rotated() {
    let server = Server::start(installed()).await.unwrap();
    let foreign = server.create_database("foreign", "canary").await.unwrap();
    let missing = server.create_database("missing", "canary").await.unwrap();
    server.drop_database("missing").await.unwrap();
    let admin = server.connect_as_superuser().await.unwrap();
    // Without its mark, the role is as one that another program created.
    admin
        .batch_execute("comment on role \"foreign\" is null")
        .await
        .unwrap();
    for database in [foreign, missing] {
        let rotated = server.database_admin().rotate_password(&database).await;
        let error = rotated.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
        assert!(error.to_string().contains(database.role()), "{error}");
        assert!(!format!("{error:?}").contains("canary"));
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn stats_are_those_of_one_database() {
    let server = Server::start(installed()).await.unwrap();
    let shop = server.create_database("my \"shop\"", "pw").await.unwrap();
    let other = server.create_database("other", "pw").await.unwrap();
    let open = [
        connect(&server, &shop.url()).await.unwrap(),
        connect(&server, &shop.url()).await.unwrap(),
    ];
    open[0]
        .batch_execute("create table one (); create table two ()")
        .await
        .unwrap();

    let stats = server.database_admin().stats(&shop).await.unwrap();
    assert_eq!((stats.connections, stats.connection_limit), (2, Some(20)));
    assert_eq!(stats.tables, 2);
    assert!(stats.size_bytes > 1_000_000, "{stats:?}");
    assert!(server.description().contains(&stats.version), "{stats:?}");
    let stats = server.database_admin().stats(&other).await.unwrap();
    assert_eq!((stats.connections, stats.tables), (0, 0));

    let databases = server.database_admin();
    server.drop_database("other").await.unwrap();
    let error = databases.stats(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Process, "{error}");
    server.stop().await.unwrap();
    let error = databases.rotate_password(&shop).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Process, "{error}");
}
