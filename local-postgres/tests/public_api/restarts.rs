//! Servers that are shut down and started again.

use std::time::{Duration, Instant};

use stagelink_local_postgres::{ErrorKind, Server, ServerOptions};
use tokio::net::TcpStream;
use tokio_postgres::error::SqlState;

use super::docker::start_in_docker;
use super::{connect, directory_and_pid, has_ended, installed, refused, text};

/// Restarts a server during an open session, twice.
async fn check_restart(mut server: Server) {
    let (port, certificate) = (server.port(), server.certificate_pem().unwrap().to_owned());
    let shop = server.create_database("shop", "pw").await.unwrap();
    let client = connect(&server, &shop.url()).await.unwrap();
    client
        .batch_execute("create table kept (id int); insert into kept values (1)")
        .await
        .unwrap();
    for _ in 0..2 {
        let client = connect(&server, &shop.url()).await.unwrap();
        let query = async move { client.batch_execute("select pg_sleep(100)").await };
        let query = tokio::spawn(refused(query));
        until_it_sleeps(&server).await;
        server.restart().await.unwrap();
        assert_eq!(query.await.unwrap(), SqlState::ADMIN_SHUTDOWN);
    }
    assert_eq!(server.port(), port);
    assert_eq!(server.certificate_pem(), Some(&*certificate));
    let client = connect(&server, &shop.url()).await.unwrap();
    assert_eq!(text(&client, "select id::text from kept").await, "1");
    server.stop().await.unwrap();
}

/// Waits until the server runs the statement that sleeps.
async fn until_it_sleeps(server: &Server) {
    let admin = server.connect_as_superuser().await.unwrap();
    let sleeping =
        "select from pg_stat_activity where query = 'select pg_sleep(100)' and state = 'active'";
    let deadline = Instant::now() + Duration::from_secs(60);
    while admin.query(sleeping, &[]).await.unwrap().is_empty() {
        assert!(Instant::now() < deadline, "it sleeps");
    }
}

#[tokio::test]
async fn server_after_a_restart_has_the_same_port_and_data() {
    check_restart(Server::start(installed()).await.unwrap()).await;
}

#[tokio::test]
async fn server_in_docker_after_a_restart_has_the_same_port_and_data() {
    if let Some(server) = start_in_docker(None).await {
        check_restart(server).await;
    }
}

#[tokio::test]
async fn server_that_is_shut_down_refuses_connections_until_it_starts_again() {
    let mut server = Server::start(installed()).await.unwrap();
    let (_, pid) = directory_and_pid(&server).await;
    for _ in 0..2 {
        server.shut_down().await.unwrap();
        assert!(has_ended(pid));
        let refused = TcpStream::connect(("127.0.0.1", server.port())).await;
        assert_eq!(
            refused.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionRefused
        );
    }
    for _ in 0..2 {
        server.start_again().await.unwrap();
        server.connect_as_superuser().await.unwrap();
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn server_that_is_shut_down_can_be_stopped() {
    let mut server = Server::start(installed()).await.unwrap();
    let (data, _) = directory_and_pid(&server).await;
    server.shut_down().await.unwrap();
    assert!(data.exists());
    server.stop().await.unwrap();
    assert!(!data.parent().unwrap().exists());
}

#[tokio::test]
async fn server_given_by_its_url_is_not_shut_down() {
    let owner = Server::start(installed()).await.unwrap();
    let admin = owner.connect_as_superuser().await.unwrap();
    let boss = "create role boss superuser login password 'pw'";
    admin.batch_execute(boss).await.unwrap();
    let url = format!("postgres://boss:pw@127.0.0.1:{}/postgres", owner.port());
    let options = ServerOptions::new().source(url.parse().unwrap());
    let mut guest = Server::start(options).await.unwrap();
    let error = guest.restart().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(
        error.to_string().contains("another program runs it"),
        "{error}"
    );
    guest.connect_as_superuser().await.unwrap();
    guest.stop().await.unwrap();
    owner.stop().await.unwrap();
}
