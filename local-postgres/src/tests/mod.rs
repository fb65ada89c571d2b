//! Whole servers: what they let in, and what they leave behind.

mod bouncer;
mod databases;
mod in_docker;
mod kept;
mod killed;
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

use super::{Options, Progress, Server, Source};
use crate::ErrorKind;

/// A server of this machine's own binaries.
fn installed() -> Options {
    Options {
        source: Source::Binaries { dir: None },
        ..Options::default()
    }
}

/// A directory that the server's user can work in, even if this user is root.
fn open_directory() -> TempDir {
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    directory
}

/// Connects as a careful client does: the certificate and the host name are verified.
async fn connect(server: &Server, url: &str) -> Result<Client, tokio_postgres::Error> {
    let pem = server.certificate_pem().expect("a server of ours");
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

/// The server's directory and its process.
async fn traces(server: &Server) -> (PathBuf, Pid) {
    let client = server.admin().await.unwrap();
    let data = PathBuf::from(text(&client, "show data_directory").await);
    let pid_file = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    let pid = pid_file.lines().next().unwrap().parse().unwrap();
    (data, Pid::from_raw(pid))
}

fn is_gone(pid: Pid) -> bool {
    kill(pid, None) == Err(Errno::ESRCH)
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn refused<T>(future: impl Future<Output = Result<T, tokio_postgres::Error>>) -> SqlState {
    let error = future.await.err().expect("refused");
    error.code().expect("by the server").clone()
}

#[tokio::test]
async fn server_after_stop_leaves_no_process_and_no_directory() {
    let server = Server::start(installed()).await.unwrap();
    assert!(
        server.description().starts_with("PostgreSQL 1"),
        "{server:?}"
    );
    let (data, pid) = traces(&server).await;
    assert!(data.exists() && !is_gone(pid));
    server.stop().await.unwrap();
    assert!(!data.parent().unwrap().exists());
    assert!(is_gone(pid));
}

#[tokio::test]
async fn server_dropped_leaves_no_process_and_no_directory() {
    let server = Server::start(installed()).await.unwrap();
    let (data, pid) = traces(&server).await;
    drop(server);
    eventually("the server ends", || {
        is_gone(pid) && !data.parent().unwrap().exists()
    })
    .await;
}

#[tokio::test]
async fn servers_started_at_once_are_apart() {
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
async fn role_gets_into_its_own_database_over_tls_only() {
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
    let stranger = other.url().replace(":pw@", ":wrong@");
    let code = refused(connect(&server, &stranger)).await;
    assert_eq!(code, SqlState::INVALID_PASSWORD);
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
async fn database_sorts_and_folds_as_on_heroku() {
    let server = Server::start(installed()).await.unwrap();
    let shop = server.create_database("shop", "pw").await.unwrap();
    let client = connect(&server, &shop.url()).await.unwrap();
    let facts = "select concat_ws(' ', 'a' < 'B', lower('É'), current_setting('server_encoding'),
                 current_setting('timezone'), current_setting('default_text_search_config'))";
    let told = text(&client, facts).await;
    assert_eq!(told.replace("Etc/", ""), "t é UTF8 UTC pg_catalog.english");
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
        .expect("none left");
    let code = refused(connect(&server, &new.url())).await;
    assert_eq!(code, SqlState::INVALID_PASSWORD);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn database_of_someone_else_is_left_alone() {
    let server = Server::start(installed()).await.unwrap();
    let admin = server.admin().await.unwrap();
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
    // From below the range in which systems look for a free port: what asks for
    // any port meanwhile does not get this one.
    let (taken, port) = std::iter::repeat_with(|| rand::random_range(20_000..32_000))
        .find_map(|port: u16| Some((TcpListener::bind(("127.0.0.1", port)).ok()?, port)))
        .unwrap();
    let options = Options {
        port,
        ..installed()
    };
    let error = Server::start(options.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PortInUse);
    assert!(error.to_string().contains(&port.to_string()), "{error}");

    drop(taken);
    let server = Server::start(options).await.unwrap();
    assert_eq!(server.port(), port);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn cluster_is_initialised_once_for_many_servers() {
    let cache = open_directory();
    let told = Arc::new(Mutex::new(Vec::new()));
    let options = || {
        let told = Arc::clone(&told);
        Options {
            cache: Some(cache.path().join("cache")),
            progress: Progress::from(move |what: &str| told.lock().unwrap().push(what.to_owned())),
            ..installed()
        }
    };
    for _ in 0..2 {
        Server::start(options())
            .await
            .unwrap()
            .stop()
            .await
            .unwrap();
    }
    let told = told.lock().unwrap();
    let count = |word| told.iter().filter(|what| what.starts_with(word)).count();
    assert_eq!(
        (count("initialising"), count("starting")),
        (1, 2),
        "{told:?}"
    );
}
