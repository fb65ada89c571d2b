//! Authentication of the server.
//!
//! Most of these tests open a connection as a function does, but in the test's own process, which
//! is faster than a process each. Those of `functions.rs` start real ones.

mod artifacts;
mod certificates;
mod danger;
mod direct;
mod early;
mod functions;
mod given_roots;
mod iterations;
mod learnt_keys;
mod mitm;
mod pins;
mod policies;
mod versions;

use std::path::Path;

use stagelink::{Client, Database, Error, ErrorKind, Settings};
use stagelink_local::network::Proxy;
use stagelink_local_postgres::PgBouncer;
use stagelink_tests::{
    Auth, CANARY, Identity, Mitm, MitmBehavior, OwnServer, PATIENT, TLS_LIBRARY, expect_count,
    pooled, through, tls_library,
};
use tempfile::NamedTempFile;

pub(crate) use self::certificates::on_p521;

/// Returns whether a certificate can be verified after the handshake, on the same connection.
fn verifies_afterwards() -> bool {
    tls_library() == "rustls"
}

/// Opens a database by a URL and these variables, and checks that no error contains the password.
async fn open(url: &str, variables: &[(&str, &str)]) -> Result<Client, Error> {
    let library = tls_library();
    let needed = [
        ("STAGELINK_STAGE", "staging"),
        ("DATABASE_URL", url),
        (TLS_LIBRARY, &library),
    ];
    let is_given = |name: &str| variables.iter().any(|(given, _)| *given == name);
    let needed = needed.into_iter().chain(PATIENT);
    let needed = needed.filter(|(name, _)| !is_given(name));
    let variables = needed.chain(variables.iter().copied());
    let opened = Database::new(Settings::from_vars(variables)).client().await;
    if let Err(error) = &opened {
        let report = format!("{error:?} {}", error.report());
        assert!(!report.contains(CANARY), "the password is in an error");
    }
    opened
}

/// Opens a database, and checks that the server is accepted and answers.
async fn accepted(what: &str, url: &str, variables: &[(&str, &str)]) -> Client {
    let client = open(url, variables)
        .await
        .unwrap_or_else(|error| panic!("{what}: {}", error.report()));
    let answer = client.query_typed_one("SELECT 1", &[]).await;
    assert_eq!(answer.expect("an answer").get::<_, i32>(0), 1, "{what}");
    client
}

/// Opens a database, and checks that the server is refused because it is not authenticated.
async fn refused(what: &str, url: &str, variables: &[(&str, &str)]) -> Error {
    let error = open(url, variables)
        .await
        .err()
        .unwrap_or_else(|| panic!("{what} was accepted"));
    assert_eq!(
        error.kind(),
        ErrorKind::ServerNotAuthenticated,
        "{what}: {}",
        error.report()
    );
    error
}

/// Server whose logins do not authenticate it: four login methods, and a pooler. All of them
/// present the same certificate.
struct UnauthenticatedServer {
    logins: Vec<(&'static str, String)>,
    _server: OwnServer,
    balancer: Mitm,
    _bouncer: PgBouncer,
}

impl UnauthenticatedServer {
    async fn start(identity: &Identity) -> Self {
        let server = OwnServer::start(identity).await;
        // Behind a TLS-terminating load balancer, SCRAM has no channel binding.
        let balancer = Mitm::start(server.address(), identity, MitmBehavior::TerminateTls).await;
        let scram = server.database(Auth::Scram).await;
        let bouncer = server.bouncer(&[&scram], identity).await;
        Self {
            logins: vec![
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

/// Starts a proxy in front of a URL's server, and returns it with the URL that leads through it.
async fn network(url: &str) -> (Proxy, String) {
    let port = url.rsplit([':', '/']).nth(1).expect("a port");
    let port: u16 = port.parse().expect("a port");
    let proxy = Proxy::start(([127, 0, 0, 1], port).into()).await;
    let proxy = proxy.expect("a proxy");
    let url = through(&proxy, url);
    (proxy, url)
}

/// Opens a URL's database several times through a new proxy, and checks the number of connections
/// after each time.
async fn expect_connections(what: &str, url: &str, variables: &[(&str, &str)], expected: &[usize]) {
    expect_count(what, expected.to_vec(), async || {
        let (proxy, url) = network(url).await;
        let mut counts = Vec::new();
        for _ in expected {
            accepted(what, &url, variables).await;
            counts.push(proxy.connections());
        }
        counts
    })
    .await;
}

/// Returns a URL with these parameters.
fn with(url: &str, parameters: &str) -> String {
    format!("{url}?{parameters}")
}

/// Returns the parameters that make a URL trust the roots in a file.
fn verify(mode: &str, roots: &Path) -> String {
    format!("sslmode={mode}&sslrootcert={}", roots.display())
}

/// Writes a file with roots.
fn roots(pem: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), pem).expect("a file");
    file
}
