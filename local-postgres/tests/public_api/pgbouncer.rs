//! PgBouncer in front of a server.

use native_tls::TlsConnector;
use postgres_native_tls::MakeTlsConnector;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use stagelink_local_postgres::{Database, PgBouncer, PgBouncerOptions, Server};
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use super::{installed, refused, text};

/// Connects to a database through a PgBouncer, and trusts its certificate alone.
async fn connect(
    bouncer: &PgBouncer,
    database: &Database,
    binding: ChannelBinding,
) -> Result<Client, tokio_postgres::Error> {
    let pem = bouncer.certificate_pem().as_bytes();
    let tls = TlsConnector::builder()
        .disable_built_in_roots(true)
        .add_root_certificate(native_tls::Certificate::from_pem(pem).unwrap())
        .build()
        .unwrap();
    let mut config: Config = bouncer.url(database).parse().unwrap();
    config.ssl_mode(SslMode::Require).channel_binding(binding);
    let (client, connection) = config.connect(MakeTlsConnector::new(tls)).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test]
async fn pgbouncer_requires_the_password_and_offers_no_channel_binding() {
    let server = Server::start(installed()).await.unwrap();
    let shop = server
        .create_database("my \"shop\"", "p@ss\"w")
        .await
        .unwrap();
    let other = server.create_database("other", "pw").await.unwrap();
    let bouncer = PgBouncer::start(&server, &[&shop], PgBouncerOptions::new())
        .await
        .unwrap();
    let client = connect(&bouncer, &shop, ChannelBinding::Prefer);
    let client = client.await.unwrap();
    assert_eq!(
        text(&client, "select current_user::text").await,
        "my \"shop\""
    );
    connect(&bouncer, &shop, ChannelBinding::Require)
        .await
        .expect_err("no channel binding");
    // A database that was not given to the start.
    let code = refused(connect(&bouncer, &other, ChannelBinding::Prefer)).await;
    assert_eq!(code, SqlState::PROTOCOL_VIOLATION);
    bouncer.stop().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn pgbouncer_shows_the_certificate_of_its_options() {
    let server = Server::start(installed()).await.unwrap();
    let shop = server.create_database("shop", "pw").await.unwrap();
    let names = ["127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let options = PgBouncerOptions::new().certificate(cert.pem(), signing_key.serialize_pem());
    assert!(!format!("{options:?}").contains("PRIVATE KEY"));
    let bouncer = PgBouncer::start(&server, &[&shop], options).await.unwrap();
    assert_eq!(bouncer.certificate_pem(), cert.pem());
    connect(&bouncer, &shop, ChannelBinding::Prefer)
        .await
        .unwrap();
    bouncer.stop().await.unwrap();
    server.stop().await.unwrap();
}

/// Prepares a statement on one server connection, and executes it on another.
async fn execute_on_another_connection(
    max_prepared_statements: u32,
) -> Result<(), tokio_postgres::Error> {
    let server = Server::start(installed()).await.unwrap();
    let shop = server.create_database("shop", "pw").await.unwrap();
    let options = PgBouncerOptions::new().max_prepared_statements(max_prepared_statements);
    let bouncer = PgBouncer::start(&server, &[&shop], options).await.unwrap();
    println!("PgBouncer {}", bouncer.version());
    let connect = || connect(&bouncer, &shop, ChannelBinding::Prefer);
    let (client, mut other) = (connect().await.unwrap(), connect().await.unwrap());

    let statement = client.prepare("select pg_backend_pid()").await.unwrap();
    // The transaction of the other client occupies the server connection, so that the
    // statement needs a second one.
    let transaction = other.transaction().await.unwrap();
    // Unnamed, because both clients give prepared statements the same names.
    let occupied = transaction
        .query_typed_one("select pg_backend_pid()", &[])
        .await;
    let occupied: i32 = occupied.unwrap().get(0);
    let row = client.query_one(&statement, &[]).await;
    drop(transaction);
    bouncer.stop().await.unwrap();
    server.stop().await.unwrap();
    assert_ne!(row?.get::<_, i32>(0), occupied);
    Ok(())
}

#[tokio::test]
async fn prepared_statement_is_unknown_on_another_connection() {
    let code = refused(execute_on_another_connection(0)).await;
    assert_eq!(code, SqlState::INVALID_SQL_STATEMENT_NAME);
}

#[tokio::test]
async fn prepared_statement_that_is_tracked_works_on_each_connection() {
    execute_on_another_connection(100).await.unwrap();
}

#[tokio::test]
async fn pgbouncer_refuses_more_clients_than_its_maximum() {
    let server = Server::start(installed()).await.unwrap();
    let shop = server.create_database("shop", "pw").await.unwrap();
    let options = PgBouncerOptions::new().max_client_conn(1);
    let bouncer = PgBouncer::start(&server, &[&shop], options).await.unwrap();
    let only = connect(&bouncer, &shop, ChannelBinding::Prefer);
    let only = only.await.unwrap();
    let code = refused(connect(&bouncer, &shop, ChannelBinding::Prefer)).await;
    assert_eq!(code, SqlState::PROTOCOL_VIOLATION);
    assert_eq!(text(&only, "select 'served'").await, "served");
}
