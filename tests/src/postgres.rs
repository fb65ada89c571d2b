//! One Postgres for the whole run, and a database for each test.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use stagelink_local::testing::network::Proxy;
use stagelink_local_postgres::{Database, Server, ServerOptions, ServerSource};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::CANARY;

/// What all tests share lives in a runtime that ends with the process: a test's
/// own ends with the test.
pub(crate) static SHARED: LazyLock<Runtime> =
    LazyLock::new(|| Runtime::new().expect("this machine runs threads"));

/// The Postgres of this run: from `STAGELINK_POSTGRES` if that is set (`docker`,
/// `local`, `npm` or a URL), else the first source that this machine has.
///
/// # Panics
///
/// When there is none: the message says what can be installed.
pub async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER
        .get_or_init(|| async {
            let started = Server::start(ServerOptions::new().source(source()));
            match SHARED.spawn(started).await {
                Ok(Ok(server)) => server,
                Ok(Err(error)) => panic!("the tests need a Postgres: {}", with_causes(&error)),
                Err(error) => panic!("the start of Postgres panicked: {error}"),
            }
        })
        .await
}

/// Where the Postgres of this run comes from.
pub(crate) fn source() -> ServerSource {
    let source = std::env::var("STAGELINK_POSTGRES").unwrap_or_else(|_| "auto".to_owned());
    source
        .parse()
        .unwrap_or_else(|error| panic!("STAGELINK_POSTGRES: {}", with_causes(&error)))
}

/// A new database, with a role of its own whose password holds the canary.
///
/// # Panics
///
/// When it cannot be made.
pub async fn database() -> Database {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("test_{}_{number}", std::process::id());
    server()
        .await
        .create_database(&name, &format!("{CANARY}-{name}"))
        .await
        .unwrap_or_else(|error| panic!("no database for the test: {}", with_causes(&error)))
}

/// Does something as a superuser.
///
/// # Panics
///
/// When that fails.
pub async fn as_superuser(sql: &str) {
    let admin = server()
        .await
        .connect_as_superuser()
        .await
        .expect("a superuser");
    admin
        .batch_execute(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {}", with_causes(&error)));
}

/// The SQL that ends the sessions of a role, as rotations and failovers do.
pub fn end_sessions(role: &str) -> String {
    format!(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '{role}'"
    )
}

/// A faulty network before the server of this run.
///
/// # Panics
///
/// When it cannot be had.
pub async fn proxy() -> Proxy {
    let server = server().await;
    let addresses = tokio::net::lookup_host((server.host(), server.port())).await;
    let address: Option<SocketAddr> = addresses.expect("the server's address").next();
    let address = address.expect("the server has an address");
    Proxy::start(address).await.expect("a proxy")
}

/// The URL that leads through a proxy to the same database.
///
/// # Panics
///
/// When the URL is none.
pub fn through(proxy: &Proxy, url: &str) -> String {
    at(url, proxy.port())
}

/// The same URL for another port, of this machine.
///
/// # Panics
///
/// When the URL is none.
pub fn at(url: &str, port: u16) -> String {
    let (before, rest) = url.split_once('@').expect("a role");
    let (_, after) = rest.split_once('/').expect("a database");
    format!("{before}@127.0.0.1:{port}/{after}")
}

pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
