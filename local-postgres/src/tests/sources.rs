//! Servers from each source but Docker.

use std::path::Path;

use tokio::net::TcpSocket;

use super::{connect, installed, is_gone, open_directory, text, traces};
use crate::ErrorKind;
use crate::{Options, Server, Source};

#[tokio::test]
async fn server_from_npm_serves_the_same_way() {
    serves_the_same_way(Source::Npm { major: None }, "18.4").await;
}

#[tokio::test]
async fn server_from_npm_of_a_major_version_serves_the_same_way() {
    serves_the_same_way(Source::Npm { major: Some(17) }, "17.10").await;
}

async fn serves_the_same_way(source: Source, version: &str) {
    let server = Server::start(Options {
        source,
        ..Options::default()
    })
    .await
    .unwrap();
    let description = server.description();
    assert!(
        description.starts_with(&format!("PostgreSQL {version} from npm")),
        "{description}"
    );
    let shop = server.create_database("shop", "pw").await.unwrap();
    let client = connect(&server, &shop.url()).await.unwrap();
    assert_eq!(text(&client, "select lower('É')").await, "é");
    let (data, pid) = traces(&server).await;
    server.stop().await.unwrap();
    assert!(is_gone(pid) && !data.exists());
}

#[tokio::test]
async fn data_from_npm_is_served_by_the_same_major_version() {
    let kept = open_directory();
    let start = |major| {
        Server::start(Options {
            source: Source::Npm { major },
            data: Some(kept.path().join("data")),
            ..Options::default()
        })
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
async fn version_that_npm_is_not_asked_for_is_refused() {
    let error = Server::start(Options {
        source: Source::Npm { major: Some(16) },
        ..Options::default()
    })
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("only for 17 and 18"), "{error}");
}

#[tokio::test]
async fn running_server_gets_its_databases_back_out() {
    let host = Server::start(installed()).await.unwrap();
    let admin = host.admin().await.unwrap();
    admin
        .batch_execute("create role boss superuser login password 'canary'")
        .await
        .unwrap();
    let url = format!("postgres://boss:canary@localhost:{}/postgres", host.port());
    let options = |data| Options {
        source: url.parse().unwrap(),
        data,
        ..Options::default()
    };
    let databases = "select string_agg(datname, ' ' order by datname) from pg_database
                     where datname not like 'template_'";

    let borrowing = Server::start(options(None)).await.unwrap();
    assert_eq!(borrowing.certificate_pem(), None);
    borrowing.create_database("passing", "pw").await.unwrap();
    assert_eq!(text(&admin, databases).await, "passing postgres");
    borrowing.stop().await.unwrap();
    assert_eq!(text(&admin, databases).await, "postgres");

    let keeping = Server::start(options(Some("kept".into()))).await.unwrap();
    keeping.create_database("staying", "pw").await.unwrap();
    assert!(!format!("{keeping:?} {:?}", options(None)).contains("canary"));
    keeping.stop().await.unwrap();
    assert_eq!(text(&admin, databases).await, "postgres staying");
    assert!(!Path::new("kept").exists());
    host.stop().await.unwrap();
}

#[tokio::test]
async fn source_that_was_chosen_never_falls_through() {
    let empty = open_directory();
    let start = |source| {
        Server::start(Options {
            source,
            ..Options::default()
        })
    };
    let error = start(Source::Binaries {
        dir: Some(empty.path().to_owned()),
    })
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains("no file postgres"), "{error}");

    // Held and not listened on, so that nobody else can take it meanwhile.
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
    let server = Server::start(Options::default()).await.unwrap();
    server.create_database("shop", "pw").await.unwrap();
    server.stop().await.unwrap();
}
