//! One set of credentials, and the pool of connections made with it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, TimeoutType, Timeouts,
};
use deadpool_postgres::ClientWrapper;
use tokio::time::Instant;

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::connect::{Connector, Opened};
use crate::postgres::failure::{Says, of_query};
use crate::postgres::tap::{Mark, Rest, Tap};
use crate::postgres::watch::Socket;
use crate::settings::{Limits, ServerSettings};
use crate::stage::Stage;
use crate::telemetry::Phases;

/// One set of credentials, and the connections made with it. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Generation(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Counts up from 1.
    number: u64,
    stage: Stage,
    limits: Limits,
    connector: Connector,
    pool: Pool<Connections>,
    /// What the connections have told of the credentials.
    told: Arc<Told>,
}

/// What the connections of a generation have told of its credentials.
#[derive(Debug, Default)]
struct Told {
    /// One was opened since the provider was last asked.
    proved: AtomicBool,
    /// One was ended from outside, and none was opened since.
    doubt: AtomicBool,
    /// Since when none could be opened for want of any answer.
    silent_since: Mutex<Option<Instant>>,
    /// One said that it takes no writes.
    read_only: AtomicBool,
}

impl Told {
    /// What a failure to open a connection says, with what went before it.
    fn judge(&self, error: Error) -> Error {
        let is_silence = matches!(error.kind(), ErrorKind::Timeout(_));
        let doubt = self.doubt.load(Ordering::Relaxed);
        match error.says() {
            Says::Nothing if is_silence && (doubt || self.is_silent_for_long()) => {
                error.that_says(Says::Stale)
            }
            Says::Doubt if doubt => error.that_says(Says::Stale),
            Says::Doubt => {
                self.doubt.store(true, Ordering::Relaxed);
                error
            }
            _ => error,
        }
    }

    fn is_silent_for_long(&self) -> bool {
        let mut since = lock(&self.silent_since);
        since.get_or_insert_with(Instant::now).elapsed() >= SILENCE
    }

    /// A connection was opened.
    fn opened(&self) {
        self.doubt.store(false, Ordering::Relaxed);
        *lock(&self.silent_since) = None;
    }
}

impl Generation {
    pub(super) fn new(
        number: u64,
        stage: Stage,
        credentials: Credentials,
        resolved_in: Option<Duration>,
        limits: &Limits,
        server: &ServerSettings,
    ) -> Result<Self, Error> {
        let (limits_of_steps, server) = (limits.clone(), server.clone());
        let connector = Connector::new(stage, credentials, resolved_in, limits_of_steps, server);
        let told = Arc::<Told>::default();
        let connections = Connections {
            connector: connector.clone(),
            told: Arc::clone(&told),
        };
        let pool = Pool::builder(connections)
            .max_size(limits.pool_size.get())
            .wait_timeout(Some(limits.wait))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| {
                Error::because(ErrorKind::Settings, "could not make the pool", error)
            })?;
        Ok(Self(Arc::new(Inner {
            number,
            stage,
            limits: limits.clone(),
            connector,
            pool,
            told,
        })))
    }

    pub(super) fn number(&self) -> u64 {
        self.0.number
    }

    pub(super) fn credentials(&self) -> &Credentials {
        self.0.connector.credentials()
    }

    pub(super) fn phases(&self) -> Option<Phases> {
        self.0.connector.phases()
    }

    /// A connection: one that is idle, or a new one.
    pub(super) async fn connection(&self) -> Result<Connection, Error> {
        let inner = &*self.0;
        // Most often nobody has to wait, and then no time has to be looked at.
        let taken = match inner.pool.timeout_get(&AT_ONCE).await {
            Err(PoolError::Timeout(TimeoutType::Wait)) => Box::pin(inner.pool.get()).await,
            taken => taken,
        };
        match taken {
            Ok(connection) => Ok(connection),
            Err(PoolError::Backend(error)) => Err(inner.told.judge(error)),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(Error::new(
                ErrorKind::Timeout(Phase::Wait),
                format!(
                    "no connection of the pool for stage {} became free within {} ms: all {} are \
                     in use",
                    inner.stage,
                    inner.limits.wait.as_millis(),
                    inner.limits.pool_size,
                ),
            )),
            // Closed, because another request has renewed the credentials meanwhile.
            Err(error) => Err(Error::because(
                ErrorKind::DatabaseUnreachable,
                format!("the pool for stage {} gave no connection", inner.stage),
                error,
            )
            .that_says(Says::Stale)),
        }
    }

    /// A connection outside of the pool, to whichever database it is.
    pub(super) async fn open_unchecked(&self) -> Result<Opened, Error> {
        self.0.connector.open_unchecked().await
    }

    /// It has given a connection. Whether that is news since [`Self::question`].
    pub(super) fn proves_itself(&self) -> bool {
        !self.0.told.proved.swap(true, Ordering::Relaxed)
    }

    /// What was proved before counts no more.
    pub(super) fn question(&self) {
        self.0.told.proved.store(false, Ordering::Relaxed);
    }

    /// Whether a connection has said that it takes no writes, since this was asked.
    pub(super) fn was_read_only(&self) -> bool {
        self.0.told.read_only.swap(false, Ordering::Relaxed)
    }

    /// Lets it run dry: what is idle ends now, what is lent ends when it comes back.
    pub(super) fn close(&self) {
        self.0.pool.close();
    }
}

/// A connection that the pool has lent.
pub(super) type Connection = Object<Connections>;

/// A session in the pool.
pub(super) struct Session {
    pub(super) client: ClientWrapper,
    pub(super) tap: Tap,
    socket: Socket,
    lent_at: Mark,
    /// Whether the server said at the start that it takes no writes. That may change,
    /// so it counts for the first loan alone.
    reported_read_only: bool,
    told: Arc<Told>,
}

impl Session {
    /// Whether it is known before anything is sent that this connection takes no
    /// writes. Who asks takes that for the answer to a write.
    pub(super) fn is_reported_read_only(&mut self) -> bool {
        let reported = std::mem::take(&mut self.reported_read_only);
        if reported {
            self.told.read_only.store(true, Ordering::Relaxed);
        }
        reported
    }

    /// What the time since it was lent tells of the credentials, and how it is left.
    pub(super) fn tell(&self) -> Rest {
        let rest = self.tap.rest_since(&self.lent_at);
        if rest.has_ended {
            self.told.doubt.store(true, Ordering::Relaxed);
        }
        let error = rest.error.as_deref();
        if let Some((ErrorKind::DatabaseReadOnly, _)) = error.and_then(of_query) {
            self.told.read_only.store(true, Ordering::Relaxed);
        }
        rest
    }
}

/// Makes connections for the pool, and judges those that come back.
pub(super) struct Connections {
    connector: Connector,
    told: Arc<Told>,
}

impl Manager for Connections {
    // In a box, since the pool moves it about with each loan.
    type Type = Box<Session>;
    type Error = Error;

    async fn create(&self) -> Result<Box<Session>, Error> {
        // Large and rare: what only takes a connection that is there does not carry it.
        let Opened {
            client,
            tap,
            socket,
            facts,
        } = Box::pin(self.connector.open()).await?;
        self.told.opened();
        Ok(Box::new(Session {
            client,
            lent_at: tap.mark(),
            tap,
            socket,
            reported_read_only: facts.is_read_only,
            told: Arc::clone(&self.told),
        }))
    }

    /// No ping: a warm request pays for its query alone. What the server has
    /// said meanwhile costs nothing to know.
    async fn recycle(&self, session: &mut Box<Session>, _: &Metrics) -> RecycleResult<Error> {
        // What has come and was not looked at yet: the connection's own task has to
        // see whether the server has ended it.
        if session.socket.has_news() {
            tokio::task::yield_now().await;
        }
        let rest = session.tell();
        if session.client.is_closed() || rest.has_ended {
            return Err(RecycleError::message("the connection has ended"));
        }
        if !rest.is_idle {
            return Err(RecycleError::message(
                "it was left with a statement running or a transaction open",
            ));
        }
        session.lent_at = rest.mark;
        session.reported_read_only = false;
        Ok(())
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connections").field(&self.connector).finish()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("tap", &self.tap)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const AT_ONCE: Timeouts = Timeouts {
    wait: Some(Duration::ZERO),
    create: None,
    recycle: None,
};

/// A time-out says nothing of the credentials, and a busy network has some in a
/// row. A server that has not answered for this long may be another's address by now.
const SILENCE: Duration = Duration::from_secs(30);
