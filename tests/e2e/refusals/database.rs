//! Refusals caused by the database.

use std::net::Ipv4Addr;
use std::num::NonZeroUsize;

use stagelink::{
    Credentials, Database, DatabaseUrl, Error, Limits, Provider, ResolveRequest, ServerSettings,
    Stage,
};
use stagelink_tests::{CANARY, HerokuFixture, StubBehavior, StubServer, server};

use tokio::net::TcpSocket;
use tokio_postgres::error::SqlState;

use super::refused;

/// Fixture whose database is a stub.
async fn scene_with(stub: StubBehavior) -> (HerokuFixture, StubServer) {
    let stub = StubServer::start(stub).await;
    let mut fixture = HerokuFixture::with_url(&stub.url("")).await;
    fixture.set("STAGELINK_CONNECT_TIMEOUT_MS", "1500");
    (fixture, stub)
}

#[tokio::test]
async fn refused_password_is_reported() {
    let fixture = HerokuFixture::new().await;
    let url = fixture
        .database
        .url()
        .replace(CANARY, &format!("{CANARY}-old"));
    fixture.set_url(&url);
    refused(&fixture, 503, &["refused role", "password was changed"]).await;
}

#[tokio::test]
async fn database_of_another_role_is_refused() {
    let fixture = HerokuFixture::new().await;
    let other = stagelink_tests::database().await;
    let url = fixture.database.url();
    let (start, _) = url.rsplit_once('/').expect("a URL");
    fixture.set_url(&format!("{start}/{}", other.name()));
    refused(&fixture, 503, &["refused role", other.name()]).await;
}

#[tokio::test]
async fn full_database_is_reported_with_retry_after() {
    struct Fixed(DatabaseUrl);

    impl Provider for Fixed {
        async fn resolve(&self, _: &ResolveRequest) -> Result<Credentials, Error> {
            Ok(Credentials::new(self.0.clone(), "the test"))
        }
    }

    let fixture = HerokuFixture::new().await;
    let url = DatabaseUrl::parse(&fixture.database.url(), "the test").expect("a URL");
    let mut limits = Limits::default();
    limits.pool_size = NonZeroUsize::new(20).expect("not zero");
    let link = Database::with_provider(
        Stage::STAGING,
        Fixed(url),
        limits,
        ServerSettings::default(),
    );
    let mut taken = Vec::new();
    for _ in 0..20 {
        taken.push(link.client().await.expect("one of twenty"));
    }
    let answer = refused(&fixture, 503, &["no connection left for role"]).await;
    let seconds = answer.header("retry-after").parse();
    assert!((1..=4).contains(&seconds.expect("seconds")), "{answer:?}");
    drop((taken, link));
}

#[tokio::test]
async fn missing_database_is_reported() {
    let fixture = HerokuFixture::new().await;
    let url = fixture.database.url();
    let (start, _) = url.rsplit_once('/').expect("a URL");
    fixture.set_url(&format!("{start}/none_such"));
    refused(&fixture, 503, &["has no database none_such"]).await;
}

#[tokio::test]
async fn server_that_is_down_is_reported() {
    // A bound port without a listener, so no other process can take it.
    let held = TcpSocket::new_v4().expect("a socket");
    held.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let port = held.local_addr().expect("a port").port();
    let fixture =
        HerokuFixture::with_url(&format!("postgres://u:{CANARY}@127.0.0.1:{port}/d")).await;
    refused(&fixture, 503, &["could not connect to the database server"]).await;
}

#[tokio::test]
async fn name_that_does_not_resolve_is_reported() {
    let fixture = HerokuFixture::with_url(&format!("postgres://u:{CANARY}@db.invalid/d")).await;
    refused(
        &fixture,
        503,
        &["could not look up the database server db.invalid"],
    )
    .await;
}

#[tokio::test]
async fn silent_server_times_out() {
    let (mut fixture, _stub) = scene_with(StubBehavior::Silent).await;
    fixture.set("STAGELINK_CONNECT_TIMEOUT_MS", "200");
    refused(&fixture, 503, &["more than 200 ms", "(handshake)"]).await;
}

#[tokio::test]
async fn server_without_encryption_is_refused() {
    let (fixture, _stub) = scene_with(StubBehavior::NoTls).await;
    refused(&fixture, 500, &["offers no encryption", "turn on ssl"]).await;
}

#[tokio::test]
async fn server_that_is_not_postgres_is_reported() {
    for stub in [StubBehavior::NotPostgres, StubBehavior::CloseConnection] {
        let (fixture, _stub) = scene_with(stub).await;
        refused(&fixture, 503, &["localhost:"]).await;
    }
}

#[tokio::test]
async fn server_without_channel_binding_is_refused_before_it_gets_a_password() {
    for stub in [
        StubBehavior::Cleartext,
        StubBehavior::Md5,
        StubBehavior::ScramWithoutChannelBinding,
        StubBehavior::Trust,
    ] {
        let (fixture, server) = scene_with(stub).await;
        let (offer, cure) = match stub {
            StubBehavior::ScramWithoutChannelBinding => (
                "SCRAM without channel binding",
                "connect to the database itself",
            ),
            _ => ("it offers no SCRAM", "pg_hba.conf"),
        };
        let reasons = [offer, "its certificate does not verify", cure];
        refused(&fixture, 500, &reasons).await;
        assert!(
            !server.capture().has_sensitive_data(),
            "{stub:?} got an answer"
        );
    }
}

#[tokio::test]
async fn impostor_that_offers_channel_binding_is_refused() {
    let (fixture, _stub) = scene_with(StubBehavior::Impostor).await;
    refused(&fixture, 500, &["could not be authenticated"]).await;
}

#[tokio::test]
async fn postgres_itself_refuses_a_session_without_encryption() {
    let server = server().await;
    let database = stagelink_tests::database().await;
    let url = format!("{}?sslmode=disable", database.url());
    let refused = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .err()
        .expect("the local server wants encryption");
    assert_eq!(
        refused.code().map(SqlState::code),
        Some("28000"),
        "{}",
        server.description()
    );
}
