//! The connector: opens connections with the credentials of one generation.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio::task::JoinHandle;

use crate::config::{Limits, ServerSettings};
use crate::credentials::{Credentials, DatabaseUrl, ScramKeys};
use crate::error::{Error, ErrorKind};
use crate::postgres::connect::ConnectAttempt;
use crate::postgres::connect::cancel::CancelToken;
use crate::postgres::connect::scram::ScramKeyCache;
use crate::postgres::connect::server_auth::ServerAuth;
use crate::postgres::connect::server_hints::ServerHints;
use crate::postgres::connect::socket::SocketProbe;
use crate::postgres::connect::startup::{Pipelined, SessionReset};
use crate::postgres::connect::timings::ConnectTimings;
use crate::postgres::connect::tls::PublicKey;
use crate::postgres::connect::turns::Turns;
use crate::postgres::protocol::Tap;
use crate::postgres::stage_mark::StageMark;
use crate::stage::Stage;

/// Opens connections with the credentials of one generation. Clones are the same connector.
#[derive(Clone)]
pub(in crate::postgres) struct Connector(Arc<Inner>);

struct Inner {
    stage: Stage,
    credentials: Credentials,
    limits: Limits,
    settings: ServerSettings,
    /// Shared by the URLs of the pooler and of the database: two passwords never share a salt.
    key_cache: ScramKeyCache,
    hints: ServerHints,
    /// True if connections bypass the pooler that the credentials lead to.
    bypasses_pooler: AtomicBool,
    /// Time that the provider took for the credentials; taken by the first connection.
    resolved_in: Mutex<Option<Duration>>,
    timings: Mutex<Option<ConnectTimings>>,
}

/// A connection that was just opened, with the parts that the pool needs.
pub(in crate::postgres) struct NewConnection {
    pub(in crate::postgres) client: ClientWrapper,
    /// The task that moves messages, until the client is dropped and the server has been told.
    pub(in crate::postgres) task: JoinHandle<()>,
    pub(in crate::postgres) turns: Arc<Turns>,
    pub(in crate::postgres) tap: Tap,
    pub(in crate::postgres) socket: SocketProbe,
    pub(in crate::postgres) cancel_token: CancelToken,
    /// Statements to send ahead of the next one, in the same flight. `None` behind a pooler,
    /// whose sessions other clients share.
    pub(in crate::postgres) pipelined: Option<Pipelined>,
    pub(in crate::postgres) session_reset: SessionReset,
    pub(in crate::postgres) info: ServerInfo,
}

/// The facts about a server and database that opening a connection revealed.
#[derive(Clone, Debug)]
pub(in crate::postgres) struct ServerInfo {
    pub(in crate::postgres) server_auth: ServerAuth,
    /// The server's public key.
    pub(in crate::postgres) key: Option<PublicKey>,
    pub(in crate::postgres) mark: StageMark,
    pub(in crate::postgres) server_version: Option<String>,
    /// True if the server takes a TLS handshake without an SSLRequest.
    pub(in crate::postgres) direct_tls: bool,
    /// True if the server reported that it takes no writes.
    pub(in crate::postgres) is_read_only: bool,
    /// True if the URL itself asks for read-only sessions.
    pub(in crate::postgres) wants_read_only: bool,
    /// True if the session is a pooler's, whose server changes with each transaction.
    pub(in crate::postgres) is_pooled: bool,
    /// Time that the TCP connection took to open: about one round trip.
    pub(in crate::postgres) round_trip: Duration,
}

impl Connector {
    pub(in crate::postgres) fn new(
        stage: Stage,
        credentials: Credentials,
        resolved_in: Option<Duration>,
        limits: Limits,
        settings: ServerSettings,
        hints: ServerHints,
    ) -> Self {
        Self(Arc::new(Inner {
            key_cache: ScramKeyCache::new(credentials.scram_keys.clone()),
            stage,
            credentials,
            limits,
            settings,
            hints,
            bypasses_pooler: AtomicBool::new(false),
            resolved_in: Mutex::new(resolved_in),
            timings: Mutex::new(None),
        }))
    }

    pub(in crate::postgres) fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    /// Returns the SCRAM keys of the latest login, if it used SCRAM.
    pub(in crate::postgres) fn scram_keys(&self) -> Option<ScramKeys> {
        self.0.key_cache.last()
    }

    /// Returns the timings of the connection that was opened last.
    pub(in crate::postgres) fn connect_timings(&self) -> Option<ConnectTimings> {
        *lock(&self.0.timings)
    }

    /// Opens a connection to the stage's own database.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongDatabase`] where the stage mark does not match, besides the reasons why
    /// no connection can be opened.
    pub(in crate::postgres) async fn open(&self) -> Result<NewConnection, Error> {
        let connection = self.open_unchecked().await?;
        let url = &self.0.credentials.url;
        let required = self.0.settings.require_mark;
        connection.info.mark.check(self.0.stage, required, url)?;
        Ok(connection)
    }

    /// Opens a connection whatever the stage mark says. Handlers must not get it.
    pub(in crate::postgres) async fn open_unchecked(&self) -> Result<NewConnection, Error> {
        let credentials = &self.0.credentials;
        let Some(direct) = &credentials.direct else {
            return self.open_at(&credentials.url).await;
        };
        if self.0.bypasses_pooler.load(Ordering::Relaxed) {
            return self.open_at(direct).await;
        }
        match self.open_at(&credentials.url).await {
            Err(error) if error.kind() == ErrorKind::ServerNotAuthenticated => {
                Box::pin(self.bypass_pooler(direct, error)).await
            }
            result => result,
        }
    }

    /// Handles a pooler that could not authenticate itself. A connection to the database itself
    /// may prove the key that the pooler showed, and then the pooler is used; otherwise
    /// connections bypass it from now on.
    async fn bypass_pooler(
        &self,
        direct: &DatabaseUrl,
        error: Error,
    ) -> Result<NewConnection, Error> {
        let database = self.open_at(direct).await?;
        if let Ok(pooled) = self.open_at(&self.0.credentials.url).await {
            return Ok(pooled);
        }
        self.0.bypasses_pooler.store(true, Ordering::Relaxed);
        tracing::warn!(
            reason = %error.report(),
            origin = self.0.credentials.origin(),
            "the pooler is not authenticated, so connections bypass it: pin the pooler's key with \
             STAGELINK_SERVER_PIN, or set STAGELINK_POOLER=never"
        );
        Ok(database)
    }

    async fn open_at(&self, url: &DatabaseUrl) -> Result<NewConnection, Error> {
        let inner = &*self.0;
        let step_timeout = url
            .connect_timeout
            .map_or(inner.limits.connect, |own| own.min(inner.limits.connect));
        let attempt = ConnectAttempt {
            stage: inner.stage,
            url,
            server: &format!("{}:{}", url.host, url.port),
            settings: &inner.settings,
            hints: &inner.hints,
            key_cache: &inner.key_cache,
            idle_timeout: inner.limits.idle,
            step_timeout,
            message_bytes: inner.limits.message_bytes,
        };
        let mut timings = ConnectTimings::default();
        let connection = attempt.run(&mut timings).await?;
        timings.resolve = lock(&inner.resolved_in).take();
        tracing::debug!(origin = inner.credentials.origin(), ?timings, "connected");
        *lock(&inner.timings) = Some(timings);
        Ok(connection)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connector")
            .field(&self.0.credentials)
            .finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
