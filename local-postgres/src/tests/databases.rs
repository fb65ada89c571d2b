//! Databases in use: their password changes, and how they are is told.

use tokio_postgres::error::SqlState;

use super::{connect, installed, refused, text};
use crate::ErrorKind;
use crate::password::Password;
use crate::{Database, Server};

#[tokio::test]
async fn password_rotated_cuts_who_is_connected_and_refuses_the_old_one() {
    let server = Server::start(installed()).await.unwrap();
    let old = server.create_database("my \"shop\"", "old").await.unwrap();
    let other = server.create_database("other", "pw").await.unwrap();
    let open = [
        connect(&server, &old.url()).await.unwrap(),
        connect(&server, &old.url()).await.unwrap(),
    ];
    let elsewhere = connect(&server, &other.url()).await.unwrap();
    open[0].batch_execute("create table kept ()").await.unwrap();

    let new = server.databases().rotate(&old).await.unwrap();
    for client in &open {
        assert!(client.batch_execute("select 1").await.is_err());
    }
    let code = refused(connect(&server, &old.url())).await;
    assert_eq!(code, SqlState::INVALID_PASSWORD);
    let again = connect(&server, &new.url()).await.unwrap();
    again.batch_execute("table kept").await.unwrap();
    assert_eq!(text(&elsewhere, "select 'not cut'").await, "not cut");
    assert!(format!("{new:?}").contains(":_@"), "{new:?}");

    // With a password that is no longer the right one, as after a failure halfway.
    let newest = server.databases().rotate(&old).await.unwrap();
    let code = refused(connect(&server, &new.url())).await;
    assert_eq!(code, SqlState::INVALID_PASSWORD);
    connect(&server, &newest.url()).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn password_of_a_role_that_is_not_ours_is_not_rotated() {
    let server = Server::start(installed()).await.unwrap();
    let admin = server.admin().await.unwrap();
    admin.batch_execute("create role theirs").await.unwrap();
    for name in ["theirs", "postgres", "nobody"] {
        let database = Database::new(name, &Password::new("canary"), "127.0.0.1", server.port());
        let error = server.databases().rotate(&database).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(!format!("{error:?}").contains("canary"));
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn facts_are_those_of_the_one_database() {
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

    let facts = server.databases().facts(&shop).await.unwrap();
    assert_eq!((facts.connections, facts.connection_limit), (2, Some(20)));
    assert_eq!(facts.tables, 2);
    assert!(facts.size_bytes > 1_000_000, "{facts:?}");
    assert!(server.description().contains(&facts.version), "{facts:?}");
    let facts = server.databases().facts(&other).await.unwrap();
    assert_eq!((facts.connections, facts.tables), (0, 0));

    let databases = server.databases();
    server.drop_database("other").await.unwrap();
    let error = databases.facts(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Process, "{error}");
    server.stop().await.unwrap();
    let error = databases.rotate(&shop).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Process, "{error}");
}
