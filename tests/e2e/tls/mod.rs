//! How a server proves that it is the right one.
//!
//! Most of these open a connection as a function does, in the test's own process, which
//! is quicker than a process each. Those of `functions.rs` have real ones.

mod artifacts;
mod danger;
mod direct;
mod early;
mod functions;
mod given_roots;
mod middle;
mod pins;
mod policies;
mod versions;

use std::path::Path;

use stagelink::{Client, Database, Error, ErrorKind, Settings};
use stagelink_local::testing::network::Proxy;
use stagelink_local_postgres::PgBouncer;
use stagelink_tests::{Auth, CANARY, Identity, Middle, Mitm, OwnServer, pooled, through};
use tempfile::NamedTempFile;

/// What comes of a URL, with these variables beside it.
async fn open(url: &str, variables: &[(&str, &str)]) -> Result<Client, Error> {
    let needed = [("STAGELINK_STAGE", "staging"), ("DATABASE_URL", url)];
    let variables = needed.iter().chain(variables).copied();
    let opened = Database::new(Settings::from_vars(variables)).client().await;
    if let Err(error) = &opened {
        let told = format!("{error:?} {}", error.report());
        assert!(!told.contains(CANARY), "the password is in an error");
    }
    opened
}

/// The same, where a server has to be let in and to answer.
async fn let_in(what: &str, url: &str, variables: &[(&str, &str)]) -> Client {
    let client = open(url, variables)
        .await
        .unwrap_or_else(|error| panic!("{what}: {}", error.report()));
    let answer = client.query_typed_one("SELECT 1", &[]).await;
    assert_eq!(answer.expect("an answer").get::<_, i32>(0), 1, "{what}");
    client
}

/// The same, where it has to be refused because it did not prove who it is.
async fn refused(what: &str, url: &str, variables: &[(&str, &str)]) -> Error {
    let error = open(url, variables)
        .await
        .err()
        .unwrap_or_else(|| panic!("{what} was let in"));
    assert_eq!(
        error.kind(),
        ErrorKind::ServerNotAuthenticated,
        "{what}: {}",
        error.report()
    );
    error
}

/// A server that proves nothing by the way in which one logs in to it: four such ways in,
/// and a pooler. All of them show the same identity.
struct Unproven {
    ways: Vec<(&'static str, String)>,
    _server: OwnServer,
    balancer: Mitm,
    _bouncer: PgBouncer,
}

impl Unproven {
    async fn start(identity: &Identity) -> Self {
        let server = OwnServer::start(identity).await;
        // Who ends the encryption before the server leaves SCRAM without channel binding.
        let balancer = Mitm::start(server.address(), identity, Middle::EndsTls).await;
        let scram = server.database(Auth::Scram).await;
        let bouncer = server.bouncer(&[&scram], identity).await;
        Self {
            ways: vec![
                ("MD5", server.database(Auth::Md5).await.url()),
                ("cleartext", server.database(Auth::Cleartext).await.url()),
                ("trust", server.database(Auth::Trust).await.url()),
                ("SCRAM behind a balancer", balancer.url(&scram.url())),
                ("SCRAM by PgBouncer", pooled(&bouncer, &scram)),
            ],
            _server: server,
            balancer,
            _bouncer: bouncer,
        }
    }
}

/// A network before the server of a URL, and the URL that leads through it.
async fn network(url: &str) -> (Proxy, String) {
    let port = url.rsplit([':', '/']).nth(1).expect("a port");
    let port: u16 = port.parse().expect("a port");
    let proxy = Proxy::start(([127, 0, 0, 1], port).into()).await;
    let proxy = proxy.expect("a proxy");
    let url = through(&proxy, url);
    (proxy, url)
}

/// A URL with parameters.
fn with(url: &str, parameters: &str) -> String {
    format!("{url}?{parameters}")
}

/// The parameters that let a URL trust the roots of a file.
fn verify(mode: &str, roots: &Path) -> String {
    format!("sslmode={mode}&sslrootcert={}", roots.display())
}

/// A file with roots.
fn roots(pem: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), pem).expect("a file");
    file
}
