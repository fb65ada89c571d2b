//! Servers and poolers through the public API of the crate.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may panic, as tests may"
)]

mod administration;
mod docker;
mod kept_data;
mod pgbouncer;
mod process_killed;
mod restarts;
mod sources;

use std::future::Future;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use postgres_native_tls::MakeTlsConnector;
use tempfile::TempDir;
use tokio::time::sleep;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use stagelink_local_postgres::{ErrorKind, Server, ServerOptions, ServerSource};

/// Options for a server of the binaries that are installed on this machine.
fn installed() -> ServerOptions {
    ServerOptions::new().source(ServerSource::Binaries { dir: None })
}

/// Creates a directory that the server's user can write to, even if this user is root.
fn open_directory() -> TempDir {
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    directory
}

/// Connects by a URL, and verifies the certificate and the host name.
async fn connect(server: &Server, url: &str) -> Result<Client, tokio_postgres::Error> {
    let pem = server.certificate_pem().expect("a server of this crate");
    let tls = native_tls::TlsConnector::builder()
        .disable_built_in_roots(true)
        .add_root_certificate(native_tls::Certificate::from_pem(pem.as_bytes()).unwrap())
        .build()
        .unwrap();
    let mut config: Config = url.parse().unwrap();
    config.ssl_mode(tokio_postgres::config::SslMode::Require);
    let (client, connection) = config.connect(MakeTlsConnector::new(tls)).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap().get(0)
}

/// Returns the server's data directory and its main process.
async fn directory_and_pid(server: &Server) -> (PathBuf, Pid) {
    let client = server.connect_as_superuser().await.unwrap();
    let data = PathBuf::from(text(&client, "show data_directory").await);
    let pid_file = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    let pid = pid_file.lines().next().unwrap().parse().unwrap();
    (data, Pid::from_raw(pid))
}

fn has_ended(pid: Pid) -> bool {
    kill(pid, None) == Err(Errno::ESRCH)
}

/// Waits until a condition holds; panics after 20 s.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Returns the SQLSTATE of a refusal.
async fn refused<T>(future: impl Future<Output = Result<T, tokio_postgres::Error>>) -> SqlState {
    let error = future.await.err().expect("refused");
    error.code().expect("an error of the server").clone()
}

#[tokio::test]
async fn server_after_stop_leaves_no_process_and_no_directory() {
    let server = Server::start(installed()).await.unwrap();
    assert!(
        server.description().starts_with("PostgreSQL 1"),
        "{server:?}"
    );
    let (data, pid) = directory_and_pid(&server).await;
    assert!(data.exists() && !has_ended(pid));
    server.stop().await.unwrap();
    assert!(!data.parent().unwrap().exists());
    assert!(has_ended(pid));
}

#[tokio::test]
async fn server_dropped_leaves_no_process_and_no_directory() {
    let server = Server::start(installed()).await.unwrap();
    let (data, pid) = directory_and_pid(&server).await;
    drop(server);
    eventually("the server ends", || {
        has_ended(pid) && !data.parent().unwrap().exists()
    })
    .await;
}

#[tokio::test]
async fn servers_started_at_once_are_separate() {
    let (one, two) = tokio::join!(Server::start(installed()), Server::start(installed()));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.port(), two.port());
    assert_ne!(one.certificate_pem(), two.certificate_pem());
    let database = one.create_database("shop", "pw").await.unwrap();
    let elsewhere = database
        .url()
        .replace(&one.port().to_string(), &two.port().to_string());
    let code = refused(connect(&two, &elsewhere)).await;
    assert_eq!(code, SqlState::INVALID_PASSWORD);
    let (one, two) = tokio::join!(one.stop(), two.stop());
    one.and(two).unwrap();
}

#[tokio::test]
async fn role_connects_to_its_own_database_over_tls_only() {
    let server = Server::start(installed()).await.unwrap();
    let shop = server.create_database("shop", "p@ss/wörd").await.unwrap();
    let other = server.create_database("other", "pw").await.unwrap();

    let client = connect(&server, &shop.url()).await.unwrap();
    client
        .batch_execute("create table item (id int); insert into item values (1)")
        .await
        .unwrap();
    let tls = "select version from pg_stat_ssl where pid = pg_backend_pid()";
    assert!(text(&client, tls).await.starts_with("TLSv1."));

    let mut plain: Config = shop.url().parse().unwrap();
    plain.ssl_mode(tokio_postgres::config::SslMode::Disable);
    let code = refused(plain.connect(NoTls)).await;
    assert_eq!(code, SqlState::INVALID_AUTHORIZATION_SPECIFICATION);

    for elsewhere in ["other", "postgres", "template1"] {
        let url = shop.url().strip_suffix("shop").unwrap().to_owned() + elsewhere;
        let code = refused(connect(&server, &url)).await;
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{elsewhere}");
    }
    let wrong = other.url().replace(":pw@", ":wrong@");
    let code = refused(connect(&server, &wrong)).await;
    assert_eq!(code, SqlState::INVALID_PASSWORD);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn server_connects_to_a_database_as_its_owner() {
    let server = Server::start(installed()).await.unwrap();
    let shop = server.create_database("shop", "pw").await.unwrap();
    let client = server.connect(&shop).await.unwrap();
    let session = "select current_user || ' ' || current_database()";
    assert_eq!(text(&client, session).await, "shop shop");

    server.create_database("shop", "new").await.unwrap();
    let error = server.connect(&shop).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Process);
    assert!(error.to_string().contains("log in"), "{error}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn role_with_20_connections_gets_no_more() {
    let server = Server::start(installed()).await.unwrap();
    let shop = server.create_database("shop", "pw").await.unwrap();
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(connect(&server, &shop.url()).await.unwrap());
    }
    let code = refused(connect(&server, &shop.url())).await;
    assert_eq!(code, SqlState::TOO_MANY_CONNECTIONS);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn server_takes_as_many_connections_as_it_was_told() {
    let server = Server::start(installed().max_connections(7)).await.unwrap();
    let mut open = vec![server.connect_as_superuser().await.unwrap()];
    // The session by which the start has looked at the server may not have ended yet.
    let sessions =
        "select count(*)::text from pg_stat_activity where backend_type = 'client backend'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while text(&open[0], sessions).await != "1" {
        assert!(Instant::now() < deadline, "the other session ends");
    }
    for _ in 1..7 {
        open.push(server.connect_as_superuser().await.unwrap());
    }
    let error = server.connect_as_superuser().await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    let cause = cause.downcast_ref::<tokio_postgres::Error>().unwrap();
    assert_eq!(cause.code(), Some(&SqlState::TOO_MANY_CONNECTIONS));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn database_sorts_and_folds_as_on_heroku() {
    let server = Server::start(installed()).await.unwrap();
    let shop = server.create_database("shop", "pw").await.unwrap();
    let client = connect(&server, &shop.url()).await.unwrap();
    let settings =
        "select concat_ws(' ', 'a' < 'B', lower('É'), current_setting('server_encoding'),
                 current_setting('timezone'), current_setting('default_text_search_config'))";
    let shown = text(&client, settings).await;
    assert_eq!(shown.replace("Etc/", ""), "t é UTF8 UTC pg_catalog.english");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn database_created_again_keeps_its_data_and_takes_the_new_password() {
    let server = Server::start(installed()).await.unwrap();
    let old = server.create_database("my \"shop\"", "old").await.unwrap();
    let client = connect(&server, &old.url()).await.unwrap();
    client.batch_execute("create table kept ()").await.unwrap();

    let new = server.create_database("my \"shop\"", "new").await.unwrap();
    let code = refused(connect(&server, &old.url())).await;
    assert_eq!(code, SqlState::INVALID_PASSWORD);
    let again = connect(&server, &new.url()).await.unwrap();
    again.batch_execute("table kept").await.unwrap();

    server.drop_database("my \"shop\"").await.unwrap();
    server
        .drop_database("my \"shop\"")
        .await
        .expect("a second drop is no error");
    let code = refused(connect(&server, &new.url())).await;
    assert_eq!(code, SqlState::INVALID_PASSWORD);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn database_of_another_program_stays_unchanged() {
    let server = Server::start(installed()).await.unwrap();
    let admin = server.connect_as_superuser().await.unwrap();
    admin.batch_execute("create role theirs").await.unwrap();
    admin.batch_execute("create database mine").await.unwrap();
    for name in ["theirs", "mine", "postgres"] {
        let error = server.create_database(name, "pw").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    }
    let error = server.drop_database("theirs").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn port_in_use_is_named() {
    // Below the range from which systems assign ports: no other program gets this one by chance.
    let (taken, port) = std::iter::repeat_with(|| rand::random_range(20_000..32_000))
        .find_map(|port: u16| Some((TcpListener::bind(("127.0.0.1", port)).ok()?, port)))
        .unwrap();
    let options = installed().port(port);
    let error = Server::start(options.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PortInUse);
    assert!(error.to_string().contains(&port.to_string()), "{error}");

    drop(taken);
    let server = Server::start(options).await.unwrap();
    assert_eq!(server.port(), port);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn cluster_is_initialized_once_for_many_servers() {
    let cache = open_directory();
    let messages = Arc::new(Mutex::new(Vec::new()));
    let options = || {
        let messages = Arc::clone(&messages);
        installed()
            .cache_directory(cache.path().join("cache"))
            .on_progress(move |message| messages.lock().unwrap().push(message.to_owned()))
    };
    for _ in 0..2 {
        Server::start(options())
            .await
            .unwrap()
            .stop()
            .await
            .unwrap();
    }
    let messages = messages.lock().unwrap();
    let count = |word| {
        let starting = messages.iter().filter(|message| message.starts_with(word));
        starting.count()
    };
    assert_eq!(
        (count("initializing"), count("starting")),
        (1, 2),
        "{messages:?}"
    );
}
