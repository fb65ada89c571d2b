//! Failures to connect, judged by what they mean: told at once, asked about once, or waited out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use stagelink::{
    Credentials, Database, DatabaseUrl, Error, ErrorKind, Limits, Provider, ResolveRequest,
    ServerSettings, Settings, Stage,
};
use stagelink_tests::{
    Auth, CANARY, Identity, Mitm, MitmBehavior, OwnServer, PATIENT, StubBehavior, StubServer,
    database, expect_count, patient_limits, through,
};

/// Provider that always gives the same URL, though it might give another, and counts its requests.
#[derive(Clone)]
struct CountingProvider {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl CountingProvider {
    fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            requests: Arc::default(),
        }
    }

    fn database(&self, limits: Limits) -> Database {
        Database::with_provider(
            Stage::STAGING,
            self.clone(),
            limits,
            ServerSettings::default(),
        )
    }
}

impl Provider for CountingProvider {
    async fn resolve(&self, _: &ResolveRequest) -> Result<Credentials, Error> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        Ok(Credentials::new(
            DatabaseUrl::parse(&self.url, "a test")?,
            "a test",
        ))
    }
}

/// Reads from a database, and expects that this fails. Returns the error and the time it took.
async fn failure(database: &Database) -> (Error, Duration) {
    let started = Instant::now();
    let read = database.read(|_db| async { Ok::<_, Error>(()) }).await;
    let error = read.expect_err("no connection");
    let report = error.report().to_string();
    assert!(!report.contains(CANARY), "{report}");
    (error, started.elapsed())
}

/// Reads from the database of a fixed URL, and expects that the failure is told at once.
async fn told_at_once(url: &str, pin: Option<&str>, kind: ErrorKind) -> String {
    let mut variables = vec![("STAGELINK_STAGE", "staging"), ("DATABASE_URL", url)];
    variables.extend(pin.map(|pin| ("STAGELINK_SERVER_PIN", pin)));
    variables.extend(PATIENT);
    variables.push(("STAGELINK_RETRY_TIMEOUT_MS", "60000"));
    let (error, took) = failure(&Database::new(Settings::from_vars(variables))).await;
    let report = error.report().to_string();
    assert_eq!(error.kind(), kind, "{report}");
    assert!(!error.is_retryable() && error.retry_after().is_none());
    assert!(took < AT_ONCE, "{took:?}: {report}");
    report
}

#[tokio::test]
async fn option_that_a_pooler_refuses_is_told_at_once() {
    let identity = Identity::self_signed();
    let server = OwnServer::start(&identity).await;
    let database = server.database(Auth::Scram).await;
    let bouncer = server.bouncer(&[&database], &identity).await;
    let url = format!(
        "{}?options=-c%20search_path%3Dpublic",
        bouncer.url(&database)
    );
    let pin = identity.pin();
    let report = told_at_once(&url, Some(&pin), ErrorKind::DatabaseUrl).await;
    assert!(report.contains("does not take a setting in the URL's options"));
    assert!(report.contains("remove it from the URL"), "{report}");
}

#[tokio::test]
async fn rejection_by_pg_hba_is_told_at_once_and_blames_no_password() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Rejected).await.url();
    let report = told_at_once(&url, None, ErrorKind::DatabaseRefused).await;
    assert!(report.contains("a rule rejects this client"), "{report}");
    assert!(!report.contains("password was changed"), "{report}");
}

#[tokio::test]
async fn wrong_password_of_a_fixed_url_is_told_at_once() {
    let url = database().await.url().replace(CANARY, "old");
    let report = told_at_once(&url, None, ErrorKind::DatabaseRefused).await;
    assert!(report.contains("password was changed"), "{report}");
    assert!(report.contains("DATABASE_URL"), "{report}");
}

#[tokio::test]
async fn wrong_password_of_deploy_time_credentials_alone_is_told_at_once() {
    let url = database().await.url().replace(CANARY, "old");
    let credentials = format!("staging={url}");
    let variables = [
        ("STAGELINK_STAGE", "staging"),
        ("STAGELINK_CREDENTIALS", credentials.as_str()),
        ("STAGELINK_RETRY_TIMEOUT_MS", "60000"),
    ];
    let variables = variables.into_iter().chain(PATIENT);
    let (error, took) = failure(&Database::new(Settings::from_vars(variables))).await;
    assert_eq!(error.kind(), ErrorKind::DatabaseRefused);
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn what_only_a_person_can_change_is_told_at_once() {
    for (code, message, kind) in [
        (
            "28000",
            "connection requires a valid client certificate",
            ErrorKind::DatabaseRefused,
        ),
        (
            "XX000",
            "The endpoint has been disabled. Enable it using Neon API and retry.",
            ErrorKind::DatabaseUnreachable,
        ),
        (
            "XX000",
            "SSL connection is required",
            ErrorKind::ServerNotAuthenticated,
        ),
        (
            "0A000",
            "RDS Proxy currently doesn't support command-line options.",
            ErrorKind::DatabaseUrl,
        ),
    ] {
        let stub = StubServer::start(StubBehavior::Refuse(code, message)).await;
        told_at_once(&stub.url(""), None, kind).await;
        assert_eq!(stub.capture().connections(), 1, "{message}");
    }
}

#[tokio::test]
async fn error_before_encryption_is_told_at_once_and_never_quoted() {
    let stub = StubServer::start(StubBehavior::RefuseBeforeTls("forged by an attacker\n")).await;
    let report = told_at_once(&stub.url(""), None, ErrorKind::DatabaseUnreachable).await;
    assert!(!report.contains("forged"), "{report}");
    assert!(report.contains("before") || report.contains("SSLRequest"));
    assert_eq!(stub.capture().connections(), 1);
}

/// Crowded servers, as they say it. An attempt costs a connection, so there are few of them.
#[tokio::test]
async fn crowded_server_is_not_crowded_more() {
    let stubs = [
        StubBehavior::Refuse("XX000", "Max client connections reached"),
        StubBehavior::Refuse(
            "XX000",
            "MaxClientsInSessionMode: max clients reached - in Session mode max clients are \
             limited to pool_size",
        ),
        StubBehavior::Refuse("08P01", "no more connections allowed (max_client_conn)"),
        StubBehavior::RefuseBeforeTls("could not fork new process for connection\n\0"),
    ];
    let tries = stubs.map(|behavior| async move {
        let stub = StubServer::start(behavior).await;
        let provider = CountingProvider::new(&stub.url(""));
        let (error, _) = failure(&provider.database(patient_limits())).await;
        assert_eq!(error.kind(), ErrorKind::TooManyConnections, "{behavior:?}");
        assert!(error.retry_after().is_some());
        let connections = stub.capture().connections();
        assert!(connections <= 12, "{behavior:?}: {connections}");
        assert_eq!(provider.requests.load(Ordering::SeqCst), 1, "{behavior:?}");
    });
    futures_util::future::join_all(tries).await;
}

#[tokio::test]
async fn unknown_tenant_or_endpoint_is_asked_about_once() {
    for (code, message) in [
        ("XX000", "Tenant or user not found"),
        ("08006", "(ENOTFOUND) tenant/user postgres.ref not found"),
        (
            "XX000",
            "The requested endpoint could not be found, or you don't have access to it.",
        ),
    ] {
        let stub = StubServer::start(StubBehavior::Refuse(code, message)).await;
        let provider = CountingProvider::new(&stub.url(""));
        let mut limits = patient_limits();
        limits.retry = Duration::from_secs(60);
        let (error, took) = failure(&provider.database(limits)).await;
        assert_eq!(error.kind(), ErrorKind::DatabaseMissing, "{message}");
        assert!(took < AT_ONCE, "{message}: {took:?}");
        // For the first credentials, and for others.
        assert_eq!(provider.requests.load(Ordering::SeqCst), 2, "{message}");
        assert_eq!(stub.capture().connections(), 1, "{message}");
    }
}

/// A server that takes no early message, and refuses the password besides.
#[tokio::test]
async fn failed_attempt_teaches_the_next_one_how_to_begin() {
    let server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    let url = url.replace(CANARY, "old");
    let behavior = MitmBehavior::CloseOnEarlyBytes;
    let between = Mitm::start(server.address(), server.identity(), behavior).await;
    expect_count("connections", vec![2, 3, 4], async || {
        let proxy = stagelink_local::network::Proxy::start(between.address());
        let proxy = proxy.await.expect("a proxy");
        let url = through(&proxy, &url);
        let needed = [("STAGELINK_STAGE", "staging"), ("DATABASE_URL", &url)];
        let mut counts = Vec::new();
        for _ in 0..3 {
            let settings = Settings::from_vars(needed.into_iter().chain(PATIENT));
            let error = Database::new(settings).client().await;
            let error = error.expect_err("a wrong password");
            assert_eq!(error.kind(), ErrorKind::DatabaseRefused);
            counts.push(proxy.connections());
        }
        counts
    })
    .await;
}

/// Longer than a loaded machine takes for a handshake, and far below these tests' time limit for
/// retries.
const AT_ONCE: Duration = Duration::from_secs(30);
