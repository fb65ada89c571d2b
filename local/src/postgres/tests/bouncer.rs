//! PgBouncer before a server of ours.

use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use super::{installed, refused, text};
use crate::postgres::certificate::Certificate;
use crate::postgres::{Bouncer, Database, Server};

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
