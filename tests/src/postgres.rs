//! One Postgres for the whole run, and a database for each test.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stagelink_local::network::Proxy;
use stagelink_local_postgres::{Database, Server, ServerOptions, ServerSource};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::CANARY;

/// Runtime of everything that tests share. It lasts as long as the process; a test's own runtime
/// ends with the test.
pub(crate) static SHARED: LazyLock<Runtime> =
    LazyLock::new(|| Runtime::new().expect("threads can be started"));

/// Returns the Postgres of this run: from `STAGELINK_POSTGRES` if that is set (`docker`, `local`,
/// `npm` or a URL), else from the first source that is available.
///
/// # Panics
///
/// When no source is available: the message says what can be installed.
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

/// Returns the source of this run's Postgres.
pub(crate) fn source() -> ServerSource {
    let source = std::env::var("STAGELINK_POSTGRES").unwrap_or_else(|_| "auto".to_owned());
    source
        .parse()
        .unwrap_or_else(|error| panic!("STAGELINK_POSTGRES: {}", with_causes(&error)))
}

/// Creates a database with its own role, whose password contains the canary.
///
/// # Panics
///
/// When it cannot be created.
pub async fn database() -> Database {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("test_{}_{number}", std::process::id());
    server()
        .await
        .create_database(&name, &format!("{CANARY}-{name}"))
        .await
        .unwrap_or_else(|error| {
            panic!(
                "could not create a database for the test: {}",
                with_causes(&error)
            )
        })
}

/// Runs SQL as a superuser.
///
/// # Panics
///
/// When it fails.
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

/// Returns the SQL that terminates the sessions of a role, as rotations and failovers do.
pub fn end_sessions(role: &str) -> String {
    format!(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '{role}'"
    )
}

/// The delay of each direction with which a proxy counts the round trips of a login.
///
/// A server sends something unasked, such as the tickets of TLS. Without a delay it may arrive while a
/// client that the machine has held up is still sending, which then counts as another round trip.
pub const NETWORK_DELAY: Duration = Duration::from_millis(20);

/// Starts a proxy in front of this run's server that can simulate a faulty network.
///
/// # Panics
///
/// When it cannot be started.
pub async fn proxy() -> Proxy {
    let server = server().await;
    let addresses = tokio::net::lookup_host((server.host(), server.port())).await;
    let address: Option<SocketAddr> = addresses.expect("the server's address").next();
    let address = address.expect("the server has an address");
    Proxy::start(address).await.expect("a proxy")
}

/// Returns the URL that leads to a database through a proxy.
///
/// # Panics
///
/// When the URL does not parse.
pub fn through(proxy: &Proxy, url: &str) -> String {
    at(url, proxy.port())
}

/// Returns a URL with 127.0.0.1 and this port in place of its host and port.
///
/// # Panics
///
/// When the URL does not parse.
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
