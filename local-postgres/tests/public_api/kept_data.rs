//! Databases that are kept from run to run.

use nix::sys::signal::{Signal, kill};

use stagelink_local_postgres::{ErrorKind, Server};

use super::{connect, directory_and_pid, eventually, has_ended, installed, open_directory};

#[tokio::test]
async fn kept_data_is_served_in_the_next_run() {
    let directory = open_directory();
    let options = || installed().data_directory(directory.path().join("kept"));
    let first = Server::start(options()).await.unwrap();
    let certificate = first.certificate_pem().unwrap().to_owned();
    let shop = first.create_database("shop", "pw").await.unwrap();
    let client = connect(&first, &shop.url()).await.unwrap();
    client.batch_execute("create table kept ()").await.unwrap();

    let error = Server::start(options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(
        error.to_string().contains("another running Postgres"),
        "{error}"
    );
    let (_, pid) = directory_and_pid(&first).await;
    assert!(error.to_string().contains(&pid.to_string()), "{error}");
    first.stop().await.unwrap();

    let second = Server::start(options()).await.unwrap();
    assert_eq!(second.certificate_pem(), Some(&*certificate));
    let shop = second.create_database("shop", "pw2").await.unwrap();
    let client = connect(&second, &shop.url()).await.unwrap();
    client.batch_execute("table kept").await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn kept_data_of_a_killed_server_is_recovered() {
    let directory = open_directory();
    let options = || installed().data_directory(directory.path());
    let first = Server::start(options()).await.unwrap();
    first.create_database("shop", "pw").await.unwrap();
    let (data, pid) = directory_and_pid(&first).await;
    kill(pid, Signal::SIGKILL).unwrap();
    eventually("the server is dead", || has_ended(pid)).await;
    drop(first);
    assert!(data.join("postmaster.pid").exists());

    let second = Server::start(options()).await.unwrap();
    let shop = second.create_database("shop", "pw").await.unwrap();
    connect(&second, &shop.url()).await.unwrap();
    second.stop().await.unwrap();
}
