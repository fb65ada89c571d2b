//! A Postgres with the table that the function reads.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use secrecy::{ExposeSecret as _, SecretString};
use stagelink::{Database, Limits, ServerSettings, Stage, StaticUrl};
use stagelink_cli::progress::Step;
use stagelink_local_postgres::{
    Database as LocalDatabase, Server, ServerOptions, ServerSource, random_password,
};
use tempfile::NamedTempFile;
use tokio::time::sleep;

/// A server with one database, and the certificate to trust.
#[derive(Debug)]
pub(super) struct ItemDatabase {
    server: Server,
    database: LocalDatabase,
    certificate: NamedTempFile,
    /// The credentials in the form that functions get them.
    credentials: SecretString,
}

impl ItemDatabase {
    /// Starts the server and fills the table.
    pub(super) async fn start(source: ServerSource) -> anyhow::Result<Self> {
        let step = Step::begin("Postgres");
        let server = Server::start(
            ServerOptions::new()
                .source(source)
                .on_progress(step.teller()),
        )
        .await?;
        let database = server.create_database(NAME, &random_password()).await?;
        let db = server.connect_as_superuser_to(&database).await?;
        db.batch_execute(&format!(
            "SET ROLE {NAME};
             CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL);
             INSERT INTO item SELECT id, 'item ' || id FROM generate_series(1, {ITEMS}) id;
             ANALYZE item"
        ))
        .await
        .context("could not fill the table")?;
        let pem = server.certificate_pem();
        let pem = pem.context("this needs a Postgres of its own, not a URL")?;
        let mut certificate = NamedTempFile::new()?;
        certificate.write_all(pem.as_bytes())?;
        let url = StaticUrl::parse(&database.url().into())?;
        let (limits, settings) = (Limits::default(), ServerSettings::default());
        let link = Database::with_provider(Stage::STAGING, url, limits, settings);
        let found = link.inspect().await?;
        let credentials = found.credentials.to_variable(found.stage);
        step.done(server.description());
        Ok(Self {
            server,
            database,
            certificate,
            credentials,
        })
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    pub(super) fn database(&self) -> &LocalDatabase {
        &self.database
    }

    /// Connection information for a direct connection.
    pub(super) fn access(&self) -> ConnectionInfo {
        ConnectionInfo {
            url: self.database.url(),
            certificate: self.certificate.path().display().to_string(),
            root: None,
            credentials: self.credentials.expose_secret().to_owned(),
        }
    }

    /// Connection information for a connection through another port of this machine.
    pub(super) fn access_at(&self, port: u16) -> ConnectionInfo {
        let (own, other) = (self.server.port(), port);
        let moved = |text: &str| text.replace(&format!(":{own}/"), &format!(":{other}/"));
        let access = self.access();
        ConnectionInfo {
            url: moved(&access.url),
            credentials: moved(&access.credentials),
            ..access
        }
    }

    /// The version of Postgres, as in `17.10`.
    pub(super) async fn version(&self) -> anyhow::Result<String> {
        let facts = self.server.database_admin().stats(&self.database).await?;
        Ok(facts.version)
    }

    /// Terminates the sessions of all functions.
    pub(super) async fn end_sessions(&self) -> anyhow::Result<()> {
        let end = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1";
        let admin = self.server.connect_as_superuser().await?;
        admin.execute(end, &[&NAME]).await?;
        Ok(())
    }

    /// Waits until the server has no session of a function.
    pub(super) async fn without_sessions(&self) -> anyhow::Result<()> {
        let count = "select count(*) from pg_stat_activity where usename = $1";
        let admin = self.server.connect_as_superuser().await?;
        let deadline = Instant::now() + LIMIT;
        while admin.query_one(count, &[&NAME]).await?.get::<_, i64>(0) > 0 {
            ensure!(
                Instant::now() < deadline,
                "the server still has sessions of functions that have ended"
            );
            sleep(POLL).await;
        }
        Ok(())
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        Ok(self.server.stop().await?)
    }
}

/// Information with which a variant connects to the database.
#[derive(Clone)]
pub(super) struct ConnectionInfo {
    pub(super) url: String,
    /// The path of the certificate to trust.
    pub(super) certificate: String,
    /// That certificate as PEM, where the server has no other proof of its identity.
    pub(super) root: Option<String>,
    /// The value of `STAGELINK_CREDENTIALS`, as `stagelink link` sets it.
    pub(super) credentials: String,
}

/// The name of an item in the table.
pub(super) fn name_of(id: usize) -> String {
    format!("item {id}")
}

/// The name of the database and of the role that owns it.
const NAME: &str = "benchmark";

/// A query for whether the server still runs a sleeping query of a function.
pub(super) const IS_SLEEPING: &str = "select exists (select from pg_stat_activity \
    where usename = 'benchmark' and state = 'active' and wait_event = 'PgSleep')";

/// Number of rows in the table.
pub(super) const ITEMS: usize = 1_000;

const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
