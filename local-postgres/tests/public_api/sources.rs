//! Servers from each source except Docker.

use std::path::Path;

use stagelink_local_postgres::{ErrorKind, Server, ServerOptions, ServerSource};
use tokio::net::TcpSocket;

use super::{connect, directory_and_pid, has_ended, installed, open_directory, text};

#[tokio::test]
async fn server_from_npm_serves() {
    check_source(ServerSource::Npm { major: None }, "18.4").await;
}

#[tokio::test]
async fn server_from_npm_of_a_major_version_serves() {
    check_source(ServerSource::Npm { major: Some(17) }, "17.10").await;
}

/// Checks that a server from this source serves and leaves nothing behind.
async fn check_source(source: ServerSource, version: &str) {
    let options = ServerOptions::new().source(source);
    let server = Server::start(options).await.unwrap();
    let description = server.description();
    assert!(
        description.starts_with(&format!("PostgreSQL {version} from npm")),
        "{description}"
    );
    let shop = server.create_database("shop", "pw").await.unwrap();
    let client = connect(&server, &shop.url()).await.unwrap();
    assert_eq!(text(&client, "select lower('É')").await, "é");
    let (data, pid) = directory_and_pid(&server).await;
    server.stop().await.unwrap();
    assert!(has_ended(pid) && !data.exists());
}

#[tokio::test]
async fn data_from_npm_is_served_by_the_same_major_version() {
    let kept = open_directory();
    let start = |major| {
        let options = ServerOptions::new().source(ServerSource::Npm { major });
        Server::start(options.data_directory(kept.path().join("data")))
    };
    start(Some(17)).await.unwrap().stop().await.unwrap();

    let again = start(None).await.unwrap();
    assert!(again.description().starts_with("PostgreSQL 17."));
    again.stop().await.unwrap();

    let error = start(Some(18)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("of version 17"), "{error}");
}

#[tokio::test]
async fn version_that_npm_does_not_support_is_refused() {
    let options = ServerOptions::new().source(ServerSource::Npm { major: Some(16) });
    let error = Server::start(options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(
        error.to_string().contains("only 17 and 18 are supported"),
        "{error}"
    );
}

#[tokio::test]
async fn running_server_is_left_without_the_created_databases() {
    let host = Server::start(installed()).await.unwrap();
    let admin = host.connect_as_superuser().await.unwrap();
    admin
        .batch_execute("create role boss superuser login password 'canary'")
        .await
        .unwrap();
    let url = format!("postgres://boss:canary@localhost:{}/postgres", host.port());
    let options = || ServerOptions::new().source(url.parse().unwrap());
    let databases = "select string_agg(datname, ' ' order by datname) from pg_database
                     where datname not like 'template_'";

    let borrowing = Server::start(options()).await.unwrap();
    assert_eq!(borrowing.certificate_pem(), None);
    borrowing.create_database("passing", "pw").await.unwrap();
    assert_eq!(text(&admin, databases).await, "passing postgres");
    borrowing.stop().await.unwrap();
    assert_eq!(text(&admin, databases).await, "postgres");

    let keeping = Server::start(options().data_directory("kept"))
        .await
        .unwrap();
    keeping.create_database("staying", "pw").await.unwrap();
    assert!(!format!("{keeping:?} {:?}", options()).contains("canary"));
    keeping.stop().await.unwrap();
    assert_eq!(text(&admin, databases).await, "postgres staying");
    assert!(!Path::new("kept").exists());
    host.stop().await.unwrap();
}

#[tokio::test]
async fn chosen_source_that_fails_is_not_replaced() {
    let empty = open_directory();
    let start = |source| Server::start(ServerOptions::new().source(source));
    let error = start(ServerSource::Binaries {
        dir: Some(empty.path().to_owned()),
    })
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains("no file postgres"), "{error}");

    // Bound but not listening, so that no other program can take the port.
    let held = TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = held.local_addr().unwrap();
    let url = format!("postgres://boss:canary@{closed}/postgres");
    let error = start(url.parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Process);
    assert!(error.to_string().contains(&closed.to_string()), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
}

#[tokio::test]
async fn source_auto_finds_a_server() {
    let server = Server::start(ServerOptions::default()).await.unwrap();
    server.create_database("shop", "pw").await.unwrap();
    server.stop().await.unwrap();
}
