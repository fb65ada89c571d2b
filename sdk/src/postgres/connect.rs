//! Opens connections for the pool, with the credentials of one generation.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio::task::JoinHandle;

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::attempt::Attempt;
use crate::postgres::cancel::Canceller;
use crate::postgres::identity::StageMark;
use crate::postgres::policy::Proof;
use crate::postgres::session::{Ahead, Keyring, ScramKeys};
use crate::postgres::tap::Tap;
use crate::postgres::tls::PublicKey;
use crate::postgres::url::DatabaseUrl;
use crate::postgres::watch::Socket;
use crate::settings::{Limits, ServerSettings};
use crate::stage::Stage;
use crate::telemetry::Phases;

/// Opens connections with the credentials of one generation.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    stage: Stage,
    credentials: Credentials,
    limits: Limits,
    settings: ServerSettings,
    /// No two passwords have one salt, so what leads past a pooler may use it as well.
    keyring: Keyring,
    /// Whether the pooler that the credentials lead to is passed by.
    passes_pooler: AtomicBool,
    /// How long it took to get the credentials, until it is told once.
    resolved_in: Mutex<Option<Duration>>,
    phases: Mutex<Option<Phases>>,
}

/// A session on a server, and what passes on it.
pub(super) struct Opened {
    pub(super) client: ClientWrapper,
    /// Moves what is sent and received, until the client is dropped and the server knows.
    pub(super) task: JoinHandle<()>,
    pub(super) tap: Tap,
    pub(super) socket: Socket,
    pub(super) canceller: Canceller,
    /// What goes ahead of the first statement. A pooler's sessions are set to nothing:
    /// it may show that to others.
    pub(super) ahead: Option<Ahead>,
    pub(super) facts: Facts,
}

/// What was shown and told while a connection was opened.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) proof: Proof,
    /// The server's public key.
    pub(super) key: Option<PublicKey>,
    pub(super) mark: StageMark,
    pub(super) server_version: Option<String>,
    /// Whether it takes a TLS handshake at once.
    pub(super) direct_tls: bool,
    /// Whether it says that it takes no writes.
    pub(super) is_read_only: bool,
    /// Whether sessions are those of a pooler, whose server changes with each transaction.
    pub(super) is_pooled: bool,
    /// How long the server took to take the connection: about a round trip.
    pub(super) round_trip: Duration,
}

impl Connector {
    pub(super) fn new(
        stage: Stage,
        credentials: Credentials,
        resolved_in: Option<Duration>,
        limits: Limits,
        settings: ServerSettings,
    ) -> Self {
        Self(Arc::new(Inner {
            keyring: Keyring::with(credentials.scram_keys().cloned()),
            stage,
            credentials,
            limits,
            settings,
            passes_pooler: AtomicBool::new(false),
            resolved_in: Mutex::new(resolved_in),
            phases: Mutex::new(None),
        }))
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    /// What SCRAM made of the password, where it was asked for.
    pub(super) fn scram_keys(&self) -> Option<ScramKeys> {
        self.0.keyring.last()
    }

    /// How long the phases of the connection opened last took.
    pub(super) fn phases(&self) -> Option<Phases> {
        *lock(&self.0.phases)
    }

    /// A connection to the stage's own database.
    pub(super) async fn open(&self) -> Result<Opened, Error> {
        let opened = self.open_unchecked().await?;
        let url = self.0.credentials.url();
        let required = self.0.settings.require_mark;
        opened.facts.mark.check(self.0.stage, required, url)?;
        Ok(opened)
    }

    /// A connection to whichever database the credentials lead to, not to be handed out.
    pub(super) async fn open_unchecked(&self) -> Result<Opened, Error> {
        let credentials = &self.0.credentials;
        let Some(direct) = credentials.direct() else {
            return self.open_at(credentials.url()).await;
        };
        if self.0.passes_pooler.load(Ordering::Relaxed) {
            return self.open_at(direct).await;
        }
        match self.open_at(credentials.url()).await {
            Err(error) if error.kind() == ErrorKind::Insecure => {
                Box::pin(self.past_pooler(direct, error)).await
            }
            answer => answer,
        }
    }

    /// What to do with a pooler that proves nothing: the database itself may show the same
    /// key, with a proof. Where that does not help, it is taken without the pooler.
    async fn past_pooler(&self, direct: &DatabaseUrl, error: Error) -> Result<Opened, Error> {
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

    async fn open_at(&self, url: &DatabaseUrl) -> Result<Opened, Error> {
        let inner = &*self.0;
        let budget = url
            .connect_timeout
            .map_or(inner.limits.connect, |own| own.min(inner.limits.connect));
        let attempt = Attempt {
            url,
            server: &format!("{}:{}", url.host, url.port),
            settings: &inner.settings,
            keyring: &inner.keyring,
            idle: inner.limits.idle,
            budget,
        };
        let mut phases = Phases::default();
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

pub(super) fn took_too_long(phase: Phase, limit: Duration, what: &str) -> Error {
    Error::new(
        ErrorKind::Timeout(phase),
        format!("{what} took more than {} ms ({phase})", limit.as_millis()),
    )
    .for_a_while()
}
