//! One set of credentials, and the pool of connections made with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Pool, PoolError, TimeoutType, Timeouts};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::config::{Limits, ServerSettings};
use crate::credentials::Credentials;
use crate::credentials::ScramKeys;
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::connect::connector::{Connector, NewConnection};
use crate::postgres::connect::server_hints::ServerHints;
use crate::postgres::connect::timings::ConnectTimings;
use crate::postgres::pool::health::CredentialHealth;
use crate::postgres::pool::manager::{Connection, ConnectionManager, PooledConnection};
use crate::postgres::pool::reset::ResetTasks;
use crate::postgres::sqlstate::Staleness;
use crate::stage::Stage;

/// One set of credentials, and the connections made with it. Clones are the same one.
#[derive(Clone, Debug)]
pub(in crate::postgres) struct Generation(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Counts up from 1.
    number: u64,
    stage: Stage,
    limits: Limits,
    connector: Connector,
    pool: Pool<ConnectionManager>,
    /// What the connections have told of the credentials.
    health: Arc<CredentialHealth>,
    reset_tasks: Arc<ResetTasks>,
}

impl Generation {
    pub(in crate::postgres) fn new(
        number: u64,
        stage: Stage,
        credentials: Credentials,
        resolved_in: Option<Duration>,
        limits: &Limits,
        server: &ServerSettings,
        hints: &ServerHints,
    ) -> Result<Self, Error> {
        let (limits_of_steps, server) = (limits.clone(), server.clone());
        let connector = Connector::new(
            stage,
            credentials,
            resolved_in,
            limits_of_steps,
            server,
            hints.clone(),
        );
        let health = Arc::<CredentialHealth>::default();
        let reset_tasks = Arc::<ResetTasks>::default();
        let connections = ConnectionManager::new(
            connector.clone(),
            Arc::clone(&health),
            Arc::clone(&reset_tasks),
            limits.idle,
        );
        let pool = Pool::builder(connections)
            .max_size(limits.pool_size.get())
            .wait_timeout(Some(limits.wait))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| {
                Error::with_source(ErrorKind::Settings, "could not make the pool", error)
            })?;
        Ok(Self(Arc::new(Inner {
            number,
            stage,
            limits: limits.clone(),
            connector,
            pool,
            health,
            reset_tasks,
        })))
    }

    pub(in crate::postgres) fn number(&self) -> u64 {
        self.0.number
    }

    pub(in crate::postgres) fn credentials(&self) -> &Credentials {
        self.0.connector.credentials()
    }

    pub(in crate::postgres) fn scram_keys(&self) -> Option<ScramKeys> {
        self.0.connector.scram_keys()
    }

    pub(in crate::postgres) fn connect_timings(&self) -> Option<ConnectTimings> {
        self.0.connector.connect_timings()
    }

    /// A connection: one that is idle, or a new one. Waits for one no longer than until then.
    pub(in crate::postgres) async fn connection(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Connection, Error> {
        let inner = &*self.0;
        // Most often nobody has to wait, and then no time has to be looked at.
        let taken = match inner.pool.timeout_get(&AT_ONCE).await {
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                Box::pin(self.free_connection(deadline)).await
            }
            taken => taken,
        };
        match taken {
            Ok(connection) => Ok(connection),
            Err(PoolError::Backend(error)) => Err(inner.health.judge(error)),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(self.none_is_free(deadline)),
            // Closed, because another request has renewed the credentials meanwhile.
            Err(error) => Err(Error::with_source(
                ErrorKind::DatabaseUnreachable,
                format!("the pool for stage {} gave no connection", inner.stage),
                error,
            )
            .with_staleness(Staleness::Stale)),
        }
    }

    fn none_is_free(&self, deadline: Option<Instant>) -> Error {
        let inner = &*self.0;
        let is_over = deadline.is_some_and(|deadline| deadline <= Instant::now());
        let limit = if is_over {
            "as long as this invocation may last".to_owned()
        } else {
            format!("{} ms", inner.limits.wait.as_millis())
        };
        let error = Error::new(
            ErrorKind::Timeout(Phase::Wait),
            format!(
                "no connection of the pool for stage {} became free within {limit}: all {} are in \
                 use",
                inner.stage, inner.limits.pool_size,
            ),
        );
        if is_over { error } else { error.for_a_while() }
    }

    /// The connection that becomes free next.
    async fn free_connection(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Connection, PoolError<Error>> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let wait = left.map_or(self.0.limits.wait, |left| left.min(self.0.limits.wait));
        let timeouts = Timeouts {
            wait: Some(wait),
            ..AT_ONCE
        };
        self.0.pool.timeout_get(&timeouts).await
    }

    /// A connection outside of the pool, to whichever database it is.
    pub(in crate::postgres) async fn open_unchecked(&self) -> Result<NewConnection, Error> {
        self.0.connector.open_unchecked().await
    }

    /// It has given a connection. Whether that is news since [`Self::question`].
    pub(in crate::postgres) fn mark_verified(&self) -> bool {
        !self.0.health.proved.swap(true, Ordering::Relaxed)
    }

    /// What was proved before counts no more.
    pub(in crate::postgres) fn question(&self) {
        self.0.health.proved.store(false, Ordering::Relaxed);
    }

    /// Whether a connection has said that it takes no writes, since this was asked.
    pub(in crate::postgres) fn take_read_only(&self) -> bool {
        self.0.health.read_only.swap(false, Ordering::Relaxed)
    }

    pub(in crate::postgres) fn is_tidied(&self) -> bool {
        self.0.reset_tasks.is_done()
    }

    /// Waits until what was abandoned is tidied up.
    pub(in crate::postgres) async fn tidied(&self) {
        self.0.reset_tasks.done().await;
    }

    /// Whether a connection has said that there is hardly room for others, since this was asked.
    pub(in crate::postgres) fn take_near_limit(&self) -> bool {
        let crowded = &self.0.health.crowded;
        // Looked at with each request, and hardly ever so.
        crowded.load(Ordering::Relaxed) && crowded.swap(false, Ordering::Relaxed)
    }

    pub(in crate::postgres) fn is_crowded(&self) -> bool {
        self.0.health.crowded.load(Ordering::Relaxed)
    }

    /// Ends what is idle, and returns when the server knows.
    pub(in crate::postgres) async fn give_back(&self) {
        let idle = self.0.pool.retain(|_, _| false).removed;
        join_all(idle.into_iter().map(PooledConnection::end)).await;
    }

    /// Lets it run dry: what is idle ends now, what is lent ends when it comes back.
    pub(in crate::postgres) fn close(&self) {
        self.0.pool.close();
    }
}

const AT_ONCE: Timeouts = Timeouts {
    wait: Some(Duration::ZERO),
    create: None,
    recycle: None,
};
