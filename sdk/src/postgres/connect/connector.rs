//! Opens connections for the pool, with the credentials of one generation.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio::task::JoinHandle;

use crate::config::{Limits, ServerSettings};
use crate::credentials::Credentials;
use crate::credentials::DatabaseUrl;
use crate::credentials::ScramKeys;
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::connect::ConnectAttempt;
use crate::postgres::connect::cancel::CancelToken;
use crate::postgres::connect::scram::ScramKeyCache;
use crate::postgres::connect::server_auth::ServerAuth;
use crate::postgres::connect::startup::Pipelined;
use crate::postgres::connect::timings::ConnectTimings;
use crate::postgres::connect::tls::PublicKey;
use crate::postgres::connect::watch::Socket;
use crate::postgres::protocol::Tap;
use crate::postgres::stage_mark::StageMark;
use crate::stage::Stage;

/// Opens connections with the credentials of one generation.
#[derive(Clone)]
pub(in crate::postgres) struct Connector(Arc<Inner>);

struct Inner {
    stage: Stage,
    credentials: Credentials,
    limits: Limits,
    settings: ServerSettings,
    /// No two passwords have one salt, so what leads past a pooler may use it as well.
    key_cache: ScramKeyCache,
    /// Whether the pooler that the credentials lead to is passed by.
    passes_pooler: AtomicBool,
    /// How long it took to get the credentials, until it is told once.
    resolved_in: Mutex<Option<Duration>>,
    phases: Mutex<Option<ConnectTimings>>,
}

/// A session on a server, and what passes on it.
pub(in crate::postgres) struct NewConnection {
    pub(in crate::postgres) client: ClientWrapper,
    /// Moves what is sent and received, until the client is dropped and the server knows.
    pub(in crate::postgres) task: JoinHandle<()>,
    pub(in crate::postgres) tap: Tap,
    pub(in crate::postgres) socket: Socket,
    pub(in crate::postgres) cancel_token: CancelToken,
    /// What goes ahead of the first statement. A pooler's sessions are set to nothing:
    /// it may show that to others.
    pub(in crate::postgres) ahead: Option<Pipelined>,
    pub(in crate::postgres) facts: ServerInfo,
}

/// What was shown and told while a connection was opened.
#[derive(Clone, Debug)]
pub(in crate::postgres) struct ServerInfo {
    pub(in crate::postgres) server_auth: ServerAuth,
    /// The server's public key.
    pub(in crate::postgres) key: Option<PublicKey>,
    pub(in crate::postgres) mark: StageMark,
    pub(in crate::postgres) server_version: Option<String>,
    /// Whether it takes a TLS handshake at once.
    pub(in crate::postgres) direct_tls: bool,
    /// Whether it says that it takes no writes.
    pub(in crate::postgres) is_read_only: bool,
    /// Whether sessions are those of a pooler, whose server changes with each transaction.
    pub(in crate::postgres) is_pooled: bool,
    /// How long the server took to take the connection: about a round trip.
    pub(in crate::postgres) round_trip: Duration,
}

impl Connector {
    pub(in crate::postgres) fn new(
        stage: Stage,
        credentials: Credentials,
        resolved_in: Option<Duration>,
        limits: Limits,
        settings: ServerSettings,
    ) -> Self {
        Self(Arc::new(Inner {
            key_cache: ScramKeyCache::with(credentials.scram_keys().cloned()),
            stage,
            credentials,
            limits,
            settings,
            passes_pooler: AtomicBool::new(false),
            resolved_in: Mutex::new(resolved_in),
            phases: Mutex::new(None),
        }))
    }

    pub(in crate::postgres) fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    /// What SCRAM made of the password, where it was asked for.
    pub(in crate::postgres) fn scram_keys(&self) -> Option<ScramKeys> {
        self.0.key_cache.last()
    }

    /// How long the phases of the connection opened last took.
    pub(in crate::postgres) fn connect_timings(&self) -> Option<ConnectTimings> {
        *lock(&self.0.phases)
    }

    /// A connection to the stage's own database.
    pub(in crate::postgres) async fn open(&self) -> Result<NewConnection, Error> {
        let opened = self.open_unchecked().await?;
        let url = self.0.credentials.url();
        let required = self.0.settings.require_mark;
        opened.facts.mark.check(self.0.stage, required, url)?;
        Ok(opened)
    }

    /// A connection to whichever database the credentials lead to, not to be handed out.
    pub(in crate::postgres) async fn open_unchecked(&self) -> Result<NewConnection, Error> {
        let credentials = &self.0.credentials;
        let Some(direct) = credentials.direct() else {
            return self.open_at(credentials.url()).await;
        };
        if self.0.passes_pooler.load(Ordering::Relaxed) {
            return self.open_at(direct).await;
        }
        match self.open_at(credentials.url()).await {
            Err(error) if error.kind() == ErrorKind::ServerNotAuthenticated => {
                Box::pin(self.past_pooler(direct, error)).await
            }
            answer => answer,
        }
    }

    /// What to do with a pooler that proves nothing: the database itself may show the same
    /// key, with a proof. Where that does not help, it is taken without the pooler.
    async fn past_pooler(
        &self,
        direct: &DatabaseUrl,
        error: Error,
    ) -> Result<NewConnection, Error> {
        let database = self.open_at(direct).await?;
        if let Ok(pooled) = self.open_at(self.0.credentials.url()).await {
            return Ok(pooled);
        }
        self.0.passes_pooler.store(true, Ordering::Relaxed);
        tracing::warn!(
            reason = %error.report(),
            origin = self.0.credentials.origin(),
            "the pooler is passed by, and connections are the database's own: pin the pooler's \
             key with STAGELINK_SERVER_PIN, or set STAGELINK_POOLER=never"
        );
        Ok(database)
    }

    async fn open_at(&self, url: &DatabaseUrl) -> Result<NewConnection, Error> {
        let inner = &*self.0;
        let budget = url
            .connect_timeout
            .map_or(inner.limits.connect, |own| own.min(inner.limits.connect));
        let attempt = ConnectAttempt {
            url,
            server: &format!("{}:{}", url.host, url.port),
            settings: &inner.settings,
            key_cache: &inner.key_cache,
            idle: inner.limits.idle,
            budget,
        };
        let mut phases = ConnectTimings::default();
        let opened = attempt.run(&mut phases).await?;
        phases.resolve = lock(&inner.resolved_in).take();
        tracing::debug!(origin = inner.credentials.origin(), ?phases, "connected");
        *lock(&inner.phases) = Some(phases);
        Ok(opened)
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

pub(in crate::postgres) fn took_too_long(phase: Phase, limit: Duration, what: &str) -> Error {
    Error::new(
        ErrorKind::Timeout(phase),
        format!("{what} took more than {} ms ({phase})", limit.as_millis()),
    )
    .for_a_while()
}
