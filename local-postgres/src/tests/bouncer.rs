//! PgBouncer before a server of ours.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use super::{installed, refused, text};
use crate::account::Account;
use crate::bouncer::program::Program;
use crate::cache::Cache;
use crate::certificate::Certificate;
use crate::{Bouncer, BouncerOptions, Database, Server, debian};

/// Connects through it, trusting this certificate alone.
async fn connect(
    bouncer: &Bouncer,
    database: &Database,
    certificate: &Certificate,
    binding: ChannelBinding,
) -> Result<Client, tokio_postgres::Error> {
    let root = native_tls::Certificate::from_pem(certificate.certificate_pem.as_bytes()).unwrap();
    let tls = native_tls::TlsConnector::builder()
        .disable_built_in_roots(true)
        .add_root_certificate(root)
        .build()
        .unwrap();
    let mut config = Config::new();
    config
        .host("127.0.0.1")
        .port(bouncer.port())
        .user(database.role())
        .dbname(database.name())
        .password(database.password())
        .ssl_mode(SslMode::Require)
        .channel_binding(binding);
    let tls = postgres_native_tls::MakeTlsConnector::new(tls);
    let (client, connection) = config.connect(tls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test]
async fn bouncer_asks_for_the_password_and_offers_no_channel_binding() {
    let server = Server::start(installed()).await.unwrap();
    let shop = server
        .create_database("my \"shop\"", "p@ss\"w")
        .await
        .unwrap();
    let other = server.create_database("other", "pw").await.unwrap();
    let shown = Certificate::sign().unwrap();
    let bouncer = Bouncer::start(&server, &[&shop], &shown.certificate_pem, &shown.key_pem)
        .await
        .unwrap();
    let client = connect(&bouncer, &shop, &shown, ChannelBinding::Prefer);
    let client = client.await.unwrap();
    assert_eq!(
        text(&client, "select current_user::text").await,
        "my \"shop\""
    );
    connect(&bouncer, &shop, &shown, ChannelBinding::Require)
        .await
        .expect_err("it cannot bind");
    // A database that it was not told of.
    let code = refused(connect(&bouncer, &other, &shown, ChannelBinding::Prefer)).await;
    assert_eq!(code, SqlState::PROTOCOL_VIOLATION);

    let directory = bouncer.directory.clone();
    assert!(directory.exists());
    bouncer.stop().await.unwrap();
    assert!(!directory.exists());
    server.stop().await.unwrap();
}

/// Starts one before a database, with this certificate.
async fn bouncer(
    options: &BouncerOptions,
    server: &Server,
    database: &Database,
    Certificate {
        certificate_pem,
        key_pem,
    }: &Certificate,
) -> Bouncer {
    let databases = [database];
    let started = Bouncer::start_with(options, server, &databases, certificate_pem, key_pem);
    started.await.unwrap()
}

/// Prepares a statement on one connection to the server, and returns what it answers on
/// another.
async fn prepared_elsewhere(prepared_statements: u32) -> Result<(), tokio_postgres::Error> {
    let server = Server::start(installed()).await.unwrap();
    let shop = server.create_database("shop", "pw").await.unwrap();
    let shown = Certificate::sign().unwrap();
    let options = BouncerOptions {
        prepared_statements,
        ..BouncerOptions::default()
    };
    let bouncer = bouncer(&options, &server, &shop, &shown).await;
    println!("PgBouncer {}", bouncer.version());
    let connect = || connect(&bouncer, &shop, &shown, ChannelBinding::Prefer);
    let (client, mut other) = (connect().await.unwrap(), connect().await.unwrap());

    let statement = client.prepare("select pg_backend_pid()").await.unwrap();
    // The other's transaction takes the connection, so that the statement needs a second one.
    let begun = other.transaction().await.unwrap();
    // Not prepared by a name, which both clients would give in the same way.
    let taken = begun.query_typed_one("select pg_backend_pid()", &[]).await;
    let taken: i32 = taken.unwrap().get(0);
    let answer = client.query_one(&statement, &[]).await;
    drop(begun);
    bouncer.stop().await.unwrap();
    server.stop().await.unwrap();
    assert_ne!(answer?.get::<_, i32>(0), taken);
    Ok(())
}

#[tokio::test]
async fn prepared_statement_is_unknown_on_another_connection() {
    let code = refused(prepared_elsewhere(0)).await;
    assert_eq!(code, SqlState::INVALID_SQL_STATEMENT_NAME);
}

#[tokio::test]
async fn prepared_statement_that_is_kept_works_on_every_connection() {
    prepared_elsewhere(100).await.unwrap();
}

#[tokio::test]
async fn bouncer_refuses_more_clients_than_it_may_have() {
    let server = Server::start(installed()).await.unwrap();
    let shop = server.create_database("shop", "pw").await.unwrap();
    let shown = Certificate::sign().unwrap();
    let options = BouncerOptions {
        clients: 1,
        ..BouncerOptions::default()
    };
    let bouncer = bouncer(&options, &server, &shop, &shown).await;
    let only = connect(&bouncer, &shop, &shown, ChannelBinding::Prefer);
    let only = only.await.unwrap();
    let code = refused(connect(&bouncer, &shop, &shown, ChannelBinding::Prefer)).await;
    assert_eq!(code, SqlState::PROTOCOL_VIOLATION);
    assert_eq!(text(&only, "select 'served'").await, "served");
}

/// Whether this machine has apt.
fn has_apt() -> bool {
    Command::new("apt-get").arg("--version").output().is_ok()
}

#[test]
fn newer_program_is_built_from_source() {
    // Of the machine: a second time it is there.
    let cache = Cache::new(None, &Account::of_servers()).unwrap();
    let built = Program::build(&cache);
    if !has_apt() {
        built.unwrap_err();
        return;
    }
    let version = built.unwrap().version;
    assert!(version.starts_with("1.24."), "{version}");
}

#[test]
fn program_comes_by_apt_where_it_is_not_installed() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let cache = Cache::new(Some(folder.path()), &Account::of_servers()).unwrap();
    let fetched = debian::fetch(&cache, "pgbouncer");
    if !has_apt() {
        fetched.unwrap_err();
        return;
    }
    let version = Command::new(fetched.unwrap()).arg("--version").output();
    let version = version.unwrap().stdout;
    let version = String::from_utf8_lossy(&version);
    assert!(version.starts_with("PgBouncer 1."), "{version}");
}
