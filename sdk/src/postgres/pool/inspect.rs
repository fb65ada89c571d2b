//! Inspects a stage's database and its server by a connection outside of the pool, and sets its
//! stage mark.

use std::sync::Arc;
use std::time::Duration;

use crate::config::ServerPin;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::postgres::connect::connector::{NewConnection, ServerInfo};
use crate::postgres::connect::server_auth::ServerAuth;
use crate::postgres::connect::tls::PublicKey;
use crate::postgres::pool::Pool;
use crate::postgres::pool::connection::PooledConnection;
use crate::postgres::pool::manager::Connections;
use crate::postgres::stage_mark::{self, StageMark};
use crate::stage::Stage;

/// The facts of a stage's database and its server, as a fresh connection found them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DatabaseInfo {
    /// The stage whose credentials led there.
    pub stage: Stage,
    /// The source of these credentials.
    pub origin: String,
    /// The server, as `host:port`.
    pub server: String,
    /// The database's name.
    pub database: String,
    /// The role that logged in.
    pub role: String,
    /// The stage that the database is marked with.
    pub mark: StageMark,
    /// The proof by which the server authenticated itself.
    pub server_auth: ServerAuth,
    /// The server's public key, to be pinned. `None` where the server is not authenticated:
    /// a key is not learnt by trust on first use.
    pub pin: Option<ServerPin>,
    /// The version that the server reports, such as `17.4`. `None` where it reports none.
    pub server_version: Option<String>,
    /// True if the server takes a TLS handshake at once (direct TLS).
    pub direct_tls: bool,
    /// True if the server reports that it refuses writes.
    pub is_read_only: bool,
    /// True if a transaction pooler stands between the client and the server.
    pub is_pooled: bool,
    /// The time that the TCP connection took to open: about one round trip.
    pub round_trip: Duration,
    /// The credentials, with the SCRAM keys that were derived from the password:
    /// [`Credentials::to_variable`] makes the value of `STAGELINK_CREDENTIALS` of them. A function
    /// that starts with it neither asks the provider nor hashes the password.
    pub credentials: Credentials,
}

impl DatabaseInfo {
    /// Returns whether the database is marked as another stage's than the one whose
    /// credentials led there.
    pub fn is_of_another_stage(&self) -> bool {
        match self.mark {
            StageMark::None => false,
            StageMark::Of(stage) => stage != self.stage,
            StageMark::Unknown(_) => true,
        }
    }
}

impl Pool {
    /// Inspects the database, whatever its mark.
    pub(crate) async fn inspect(&self) -> Result<DatabaseInfo, Error> {
        let (connections, opened) = self.open_unchecked().await?;
        Ok(self.info(&connections, opened.info))
    }

    /// Inspects the database, and keeps the connection unless the mark is another stage's.
    pub(in crate::postgres) async fn inspect_and_connect(
        &self,
    ) -> Result<(DatabaseInfo, Option<PooledConnection>), Error> {
        let (connections, opened) = self.open_unchecked().await?;
        let info = self.info(&connections, opened.info.clone());
        if info.is_of_another_stage() {
            return Ok((info, None));
        }
        let manager = connections.manager();
        let connection = PooledConnection::new(
            opened,
            manager.generation,
            Arc::clone(&manager.health),
            Arc::clone(&manager.reset_tasks),
            &manager.loans,
            manager.limits.idle,
        );
        connection.leave_pool();
        Ok((info, Some(connection)))
    }

    /// Sets or clears the database's mark, and inspects it again.
    pub(crate) async fn set_mark(&self, mark: Option<Stage>) -> Result<DatabaseInfo, Error> {
        let (connections, opened) = self.open_unchecked().await?;
        let url = connections.manager().connector.credentials().url();
        let failed = |database: &str, error| {
            let message = format!(
                "could not change the mark of database {database}: that takes its owner, and role \
                 {} may not be",
                url.user
            );
            Error::with_source(ErrorKind::Query, message, error)
        };
        let name = stage_mark::database_name(&opened.client).await;
        // A pooler's alias may be the name of another database of the server.
        let name = name.map_err(|error| failed(&url.database, error))?;
        let name = name.as_deref().unwrap_or(&url.database);
        opened
            .client
            .batch_execute(&stage_mark::set_statement(name, mark))
            .await
            .map_err(|error| failed(name, error))?;
        drop(opened);
        self.inspect().await
    }

    /// Opens a connection to a database that may be another stage's. It is never lent.
    pub(in crate::postgres::pool) async fn open_unchecked(
        &self,
    ) -> Result<(Connections, NewConnection), Error> {
        let connections = match self.current() {
            Some(connections) => connections,
            None => Box::pin(self.renew(None)).await?,
        };
        match connections.manager().connector.open_unchecked().await {
            Ok(opened) => Ok((connections, opened)),
            Err(evidence) if evidence.meaning().is_stale() => {
                let next = Box::pin(self.renew(Some((&connections, &evidence)))).await?;
                let opened = next.manager().connector.open_unchecked().await?;
                Ok((next, opened))
            }
            Err(error) => Err(error),
        }
    }

    fn info(&self, connections: &Connections, facts: ServerInfo) -> DatabaseInfo {
        let connector = &connections.manager().connector;
        let credentials = connector.credentials();
        let url = credentials.url();
        DatabaseInfo {
            stage: self.stage(),
            origin: credentials.origin().to_owned(),
            server: format!("{}:{}", url.host, url.port),
            database: url.database.clone(),
            role: url.user.clone(),
            mark: facts.mark,
            server_auth: facts.server_auth,
            pin: facts
                .key
                .filter(|_| facts.server_auth != ServerAuth::Unauthenticated)
                .map(PublicKey::pin),
            server_version: facts.server_version,
            direct_tls: facts.direct_tls,
            is_read_only: facts.is_read_only,
            is_pooled: facts.is_pooled,
            round_trip: facts.round_trip,
            credentials: credentials.clone().with_scram_keys(connector.scram_keys()),
        }
    }
}
