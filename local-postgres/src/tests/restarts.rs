//! Servers that go down and come up again.

use tokio::net::TcpStream;
use tokio_postgres::error::SqlState;

use super::in_docker::start_in_docker;
use super::{connect, installed, is_gone, refused, text, traces};
use crate::ErrorKind;
use crate::{Server, Source};

/// Restarts a server under an open session.
async fn restarts(mut server: Server) {
    let (port, certificate) = (server.port(), server.certificate_pem().unwrap().to_owned());
    let shop = server.create_database("shop", "pw").await.unwrap();
    let client = connect(&server, &shop.url()).await.unwrap();
    client
        .batch_execute("create table kept (id int); insert into kept values (1)")
        .await
        .unwrap();
    for _ in 0..2 {
        let client = connect(&server, &shop.url()).await.unwrap();
        let asleep = client.batch_execute("select pg_sleep(100)");
        let (code, restarted) = tokio::join!(refused(asleep), server.restart());
        restarted.unwrap();
        assert_eq!(code, SqlState::ADMIN_SHUTDOWN);
    }
    assert_eq!(server.port(), port);
    assert_eq!(server.certificate_pem(), Some(&*certificate));
    let client = connect(&server, &shop.url()).await.unwrap();
    assert_eq!(text(&client, "select id::text from kept").await, "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn server_after_a_restart_has_the_same_port_and_data() {
    restarts(Server::start(installed()).await.unwrap()).await;
}

#[tokio::test]
async fn server_in_docker_after_a_restart_has_the_same_port_and_data() {
    if let Some(server) = start_in_docker(None).await {
        restarts(server).await;
    }
}

#[tokio::test]
async fn halted_server_is_not_there_until_it_resumes() {
    let mut server = Server::start(installed()).await.unwrap();
    let (_, pid) = traces(&server).await;
    for _ in 0..2 {
        server.halt().await.unwrap();
        assert!(is_gone(pid));
        let refused = TcpStream::connect(("127.0.0.1", server.port())).await;
        assert_eq!(
            refused.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionRefused
        );
    }
    for _ in 0..2 {
        server.resume().await.unwrap();
        server.admin().await.unwrap();
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn halted_server_can_be_stopped() {
    let mut server = Server::start(installed()).await.unwrap();
    let (data, _) = traces(&server).await;
    server.halt().await.unwrap();
    assert!(data.exists());
    server.stop().await.unwrap();
    assert!(!data.parent().unwrap().exists());
}

#[tokio::test]
async fn server_that_was_given_by_its_url_is_not_shut_down() {
    let owner = Server::start(installed()).await.unwrap();
    let admin = owner.admin().await.unwrap();
    let boss = "create role boss superuser login password 'pw'";
    admin.batch_execute(boss).await.unwrap();
    let url = format!("postgres://boss:pw@127.0.0.1:{}/postgres", owner.port());
    let mut guest = Server::start(super::Options {
        source: url.parse::<Source>().unwrap(),
        ..super::Options::default()
    })
    .await
    .unwrap();
    let error = guest.restart().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("run by someone else"), "{error}");
    guest.admin().await.unwrap();
    guest.stop().await.unwrap();
    owner.stop().await.unwrap();
}
