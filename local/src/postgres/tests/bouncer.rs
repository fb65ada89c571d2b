//! PgBouncer before a server of ours.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use super::{installed, refused, text};
use crate::postgres::account::Account;
use crate::postgres::cache::Cache;
use crate::postgres::certificate::Certificate;
use crate::postgres::{Bouncer, Database, Server, debian};

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

#[test]
fn program_comes_by_apt_where_it_is_not_installed() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let account = Account::of_servers();
    let cache = Cache::new(Some(folder.path()), &account).unwrap();
    let fetched = debian::fetch(&cache, "pgbouncer");
    if Command::new("apt-get").arg("--version").output().is_err() {
        fetched.unwrap_err();
        return;
    }
    let version = Command::new(fetched.unwrap()).arg("--version").output();
    let version = version.unwrap().stdout;
    let version = String::from_utf8_lossy(&version);
    assert!(version.starts_with("PgBouncer 1."), "{version}");
}
