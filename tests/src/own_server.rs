//! A Postgres server for one test, which chooses its certificate, rules and settings.

use std::net::SocketAddr;
use std::pin::Pin;

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use stagelink_local::network::Proxy;
use stagelink_local_postgres::{
    Database, PgBouncer, PgBouncerOptions, Server, ServerOptions, ServerSource,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;
use tokio_postgres::Client;

use crate::CANARY;
use crate::mitm::{Mitm, MitmBehavior, SSL_REQUEST};
use crate::postgres::{source, with_causes};
use crate::server_identity::{Identity, x509};

/// Postgres server that belongs to one test.
///
/// It may run in a container, so files are changed by `COPY` and settings by `ALTER SYSTEM`, both
/// over a superuser's connection.
#[derive(Debug)]
pub struct OwnServer {
    server: Server,
    address: SocketAddr,
    identity: Identity,
}

/// Authentication method of a role in `pg_hba.conf`. Each has its own role and database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// SCRAM; over TLS the server offers channel binding. Only this role may also connect without
    /// TLS, as a TLS-terminating load balancer does.
    Scram,
    /// MD5 hash of the password.
    Md5,
    /// Cleartext password.
    Cleartext,
    /// No password.
    Trust,
    /// Login rejected.
    Rejected,
}

impl Auth {
    fn role(self) -> &'static str {
        match self {
            Self::Scram => "scram",
            Self::Md5 => "md5",
            Self::Cleartext => "cleartext",
            Self::Trust => "trust",
            Self::Rejected => "rejected",
        }
    }
}

impl OwnServer {
    /// Starts a server from the source that the tests' Postgres has, with this certificate.
    ///
    /// # Panics
    ///
    /// When a step fails, as all methods do.
    pub async fn start(identity: &Identity) -> Self {
        let source = match source() {
            // A server that already runs elsewhere keeps its rules.
            ServerSource::Url(_) => ServerSource::Auto,
            source => source,
        };
        Self::from_source(source, identity).await
    }

    /// Starts a server from this source.
    pub async fn from_source(source: ServerSource, identity: &Identity) -> Self {
        let started = Server::start(ServerOptions::new().source(source));
        let server = started.await.unwrap_or_else(|error| {
            panic!(
                "could not start a server for the test: {}",
                with_causes(&error)
            )
        });
        let found = tokio::net::lookup_host((server.host(), server.port())).await;
        let address = found.expect("its address").next().expect("its address");
        let mut own = Self {
            server,
            address,
            identity: identity.clone(),
        };
        own.write("hba_file", RULES).await;
        own.set_identity(identity).await;
        own
    }

    /// Returns the server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the server's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the certificate that the server presents.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Starts a man in the middle with the server's own certificate in front of it.
    ///
    /// # Panics
    ///
    /// When a step fails.
    pub async fn mitm(&self, behavior: MitmBehavior) -> Mitm {
        Mitm::start(self.address, &self.identity, behavior).await
    }

    /// Returns the server's major version.
    pub fn major(&self) -> u32 {
        let version = self.server.description().split([' ', '.']).nth(1);
        version
            .and_then(|major| major.parse().ok())
            .expect("a version")
    }

    /// Creates a database whose role logs in by this method. The password contains the canary.
    pub async fn database(&self, auth: Auth) -> Database {
        let role = auth.role();
        let password = format!("{CANARY}-{role}");
        let database = self.server.create_database(role, &password).await;
        if auth == Auth::Md5 {
            self.run(&format!(
                "SET password_encryption = 'md5'; ALTER ROLE {role} PASSWORD '{password}'"
            ))
            .await;
        }
        database.expect("a database")
    }

    /// Replaces the certificate that the server presents to new connections.
    pub async fn set_identity(&mut self, identity: &Identity) {
        self.write("ssl_key_file", &identity.key_pem).await;
        self.write("ssl_cert_file", &identity.certificate_pem).await;
        self.reload().await;
        let expected = x509(&identity.certificate_pem).to_der().expect("DER");
        let shown = certificate_of(self.address).await.expect("a handshake");
        assert!(
            shown == expected,
            "the server did not reload its certificate"
        );
        self.identity = identity.clone();
    }

    /// Changes a setting for new connections.
    pub async fn set(&self, setting: &str, value: &str) {
        self.run(&format!("ALTER SYSTEM SET {setting} = '{value}'"))
            .await;
        self.reload().await;
        let now = self.text(&format!("SHOW {setting}")).await;
        assert_eq!(now, value, "{setting}");
    }

    /// Runs SQL as a superuser.
    pub async fn run(&self, sql: &str) {
        let done = self.admin().await.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {}", with_causes(&error)));
    }

    /// Starts a proxy in front of the server that counts round trips.
    pub async fn proxy(&self) -> Proxy {
        Proxy::start(self.address).await.expect("a proxy")
    }

    /// Starts a PgBouncer in front of the server, with these databases and this certificate.
    pub async fn bouncer(&self, databases: &[&Database], identity: &Identity) -> PgBouncer {
        self.bouncer_with(PgBouncerOptions::new(), databases, identity)
            .await
    }

    /// Starts a PgBouncer with these options in front of the server.
    pub async fn bouncer_with(
        &self,
        options: PgBouncerOptions,
        databases: &[&Database],
        identity: &Identity,
    ) -> PgBouncer {
        let options = options.certificate(&identity.certificate_pem, &identity.key_pem);
        PgBouncer::start(&self.server, databases, options)
            .await
            .unwrap_or_else(|error| panic!("the tests need PgBouncer: {}", with_causes(&error)))
    }

    /// Reloads the server's files and settings, and waits until that is done.
    async fn reload(&self) {
        let admin = self.admin().await;
        let read = "SELECT pg_conf_load_time()::text";
        let before = text(&admin, read).await;
        text(&admin, "SELECT pg_reload_conf()::text").await;
        // The server signals its sessions once it has reloaded its settings, and reads its rules
        // and its certificate before it accepts another connection.
        while text(&admin, read).await == before {}
    }

    /// Writes the file that a setting names. The file exists already, and keeps its mode.
    async fn write(&self, setting: &str, content: &str) {
        let path = self
            .text(&format!(
                "SELECT regexp_replace(current_setting('{setting}'), '^([^/])', \
                 current_setting('data_directory') || '/\\1')"
            ))
            .await;
        self.run(&format!(
            "COPY (SELECT unnest(string_to_array($file${content}$file$, E'\\n'))) TO '{path}'"
        ))
        .await;
    }

    async fn text(&self, sql: &str) -> String {
        text(&self.admin().await, sql).await
    }

    async fn admin(&self) -> Client {
        self.server
            .connect_as_superuser()
            .await
            .expect("a superuser")
    }
}

/// Returns the URL of a database behind a PgBouncer.
pub fn pooled(bouncer: &PgBouncer, database: &Database) -> String {
    bouncer.url(database)
}

async fn text(client: &Client, sql: &str) -> String {
    let row = client.query_one(sql, &[]).await;
    row.unwrap_or_else(|error| panic!("{sql}: {}", with_causes(&error)))
        .get(0)
}

/// Returns the certificate that a server presents, as DER.
async fn certificate_of(address: SocketAddr) -> anyhow::Result<Vec<u8>> {
    let mut tcp = TcpStream::connect(address).await?;
    tcp.write_all(&SSL_REQUEST).await?;
    anyhow::ensure!(tcp.read_u8().await? == b'S', "the server refuses TLS");
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_verify(SslVerifyMode::NONE);
    let connector = connector.build().configure()?.verify_hostname(false);
    let mut tls = SslStream::new(connector.into_ssl("localhost")?, tcp)?;
    Pin::new(&mut tls).connect().await?;
    let certificate = tls.ssl().peer_certificate();
    Ok(certificate
        .ok_or_else(|| anyhow::anyhow!("none"))?
        .to_der()?)
}

/// One rule for each authentication method; the superuser logs in by SCRAM.
const RULES: &str = "\
hostssl   all postgres  all scram-sha-256
hostssl   all scram     all scram-sha-256
hostnossl all scram     all scram-sha-256
hostssl   all md5       all md5
hostssl   all cleartext all password
hostssl   all trust     all trust
hostssl   all rejected  all reject";
