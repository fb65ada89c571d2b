//! The pool of connections to one stage's database, renewed with its credentials.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use deadpool_postgres::{
    ClientWrapper, Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use tokio::sync::Mutex;

use crate::credentials::{AnyProvider, Backoff, Credentials};
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::connect::{Connector, took_too_long, uncarry};
use crate::settings::Limits;
use crate::stage::Stage;
use crate::telemetry::Phases;

/// The connections to a stage's database.
///
/// They belong to a generation: one set of credentials, with a pool of its own.
/// The first is the sealed one, or the provider is asked for it when the first
/// connection is wanted; and for the next only when a connection fails in a way that says that the
/// credentials are stale. The pool of the old generation closes then: what is
/// idle in it ends, and what is lent ends when it comes back.
#[derive(Clone, Debug)]
pub(crate) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stage: Stage,
    provider: AnyProvider,
    limits: Limits,
    current: RwLock<Option<Generation>>,
    /// Held by the one that asks the provider, while others wait for its answer.
    asking: Mutex<Asking>,
}

/// What is remembered of the questions to the provider.
#[derive(Debug, Default)]
struct Asking {
    backoff: Backoff,
    /// Why the last question bore nothing.
    last: Option<Error>,
}

/// One set of credentials, and the connections made with it.
#[derive(Clone, Debug)]
struct Generation {
    /// Counts up from 1.
    number: u64,
    connector: Connector,
    pool: deadpool_postgres::Pool,
    /// Whether it has given a connection since the provider was last asked.
    proved: Arc<AtomicBool>,
}

impl Pool {
    /// A pool that starts from sealed credentials, if there are any.
    pub(crate) fn new(
        stage: Stage,
        provider: AnyProvider,
        sealed: Option<Credentials>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let first = sealed
            .map(|credentials| Generation::new(1, credentials, None, &limits))
            .transpose()?;
        Ok(Self(Arc::new(Inner {
            stage,
            provider,
            limits,
            current: RwLock::new(first),
            asking: Mutex::default(),
        })))
    }

    pub(crate) async fn client(&self) -> Result<Client, Error> {
        let inner = &self.0;
        let generation = match inner.current() {
            Some(generation) => generation,
            None => inner.renewed(None).await?,
        };
        match generation.client(inner).await {
            Err(evidence) if evidence.says_stale() => {
                let next = inner.renewed(Some((&generation, &evidence))).await?;
                next.client(inner).await
            }
            answer => answer,
        }
    }

    pub(crate) fn phases(&self) -> Option<Phases> {
        self.0.current()?.connector.phases()
    }
}

impl Inner {
    fn current(&self) -> Option<Generation> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The generation after a stale one, or the first. Whoever comes second
    /// gets the answer that the first one gets.
    async fn renewed(&self, stale: Option<(&Generation, &Error)>) -> Result<Generation, Error> {
        let mut asking = self.asking.lock().await;
        let known = stale.map_or(0, |(generation, _)| generation.number);
        if let Some(current) = self.current().filter(|current| current.number > known) {
            return Ok(current);
        }
        if let Some(last) = &asking.last
            && !asking.backoff.allows(Instant::now())
        {
            return Err(stale.map_or(last, |(_, evidence)| evidence).clone());
        }
        let started = Instant::now();
        let (wanted_pause, answer) = match (self.ask().await, stale) {
            (Ok(credentials), Some((old, evidence))) if old.is_of(&credentials) => {
                (None, self.still_the_same(&credentials, evidence))
            }
            (Ok(credentials), _) => {
                let took = Some(started.elapsed());
                let next = Generation::new(known + 1, credentials, took, &self.limits)?;
                // Until it has given a connection it may be as bad as the one before.
                asking.backoff.bore_nothing(Instant::now(), None, random());
                asking.last = stale.map(|(_, evidence)| evidence.clone());
                self.replace(&next);
                return Ok(next);
            }
            (Err(error), None) => (error.retry_after(), error),
            (Err(error), Some((_, evidence))) => {
                tracing::warn!(reason = %error.report(), "could not ask for new credentials");
                (error.retry_after(), evidence.clone())
            }
        };
        if let Some((old, _)) = stale {
            old.proved.store(false, Ordering::Relaxed);
        }
        asking
            .backoff
            .bore_nothing(Instant::now(), wanted_pause, random());
        asking.last = Some(answer.clone());
        Err(answer)
    }

    /// Asks the provider, once and within the time limit.
    async fn ask(&self) -> Result<Credentials, Error> {
        let limit = self.limits.resolve;
        tokio::time::timeout(limit, self.provider.resolve(self.stage))
            .await
            .unwrap_or_else(|_| {
                let stage = self.stage;
                let what = format!("asking the provider for the database of stage {stage}");
                Err(took_too_long(Phase::Resolve, limit, &what))
            })
    }

    /// Makes a generation the current one, and lets the one before it run dry.
    fn replace(&self, next: &Generation) {
        let old = self
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(next.clone());
        if let Some(old) = old {
            tracing::info!(
                generation = next.number,
                origin = next.connector.credentials().origin(),
                "the credentials were stale and have been renewed"
            );
            old.pool.close();
        }
    }

    fn still_the_same(&self, credentials: &Credentials, evidence: &Error) -> Error {
        Error::because(
            evidence.kind(),
            format!(
                "the database of stage {} cannot be used, and {} still holds the same URL: look \
                 after the database at its provider",
                self.stage,
                credentials.origin()
            ),
            evidence.clone(),
        )
    }
}

impl Generation {
    fn new(
        number: u64,
        credentials: Credentials,
        resolved_in: Option<Duration>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let connector = Connector::new(credentials, resolved_in, limits.clone());
        let manager = Manager::from_connect(
            // The connector brings its own settings with the credentials.
            tokio_postgres::Config::new(),
            connector.clone(),
            ManagerConfig {
                // No ping: a warm request pays for its query alone.
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(limits.pool_size.get())
            .wait_timeout(Some(limits.wait))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| {
                Error::because(ErrorKind::Settings, "could not make the pool", error)
            })?;
        Ok(Self {
            number,
            connector,
            pool,
            proved: Arc::default(),
        })
    }

    fn is_of(&self, credentials: &Credentials) -> bool {
        let own = self.connector.credentials();
        own.url().is_same_as(credentials.url())
    }

    async fn client(&self, inner: &Inner) -> Result<Client, Error> {
        match self.pool.get().await {
            Ok(client) => {
                if !self.proved.swap(true, Ordering::Relaxed) {
                    *inner.asking.lock().await = Asking::default();
                }
                Ok(Client(client))
            }
            Err(PoolError::Backend(error)) => Err(uncarry(error)),
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
            .of_stale_credentials()),
        }
    }
}

/// A number from 0 to 1 that differs between calls and processes.
fn random() -> f64 {
    // The standard library seeds each of these anew.
    let [high, low, ..] = RandomState::new().hash_one(()).to_be_bytes();
    f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX)
}

/// A connection to the stage's database, lent by the pool until it is dropped.
///
/// It is used as a [`tokio_postgres::Client`]: `query_typed`, `execute_typed`
/// and a prepared statement (`prepare_cached`) each cost one round trip,
/// `query` with a text costs two, since it is prepared first.
///
/// ```no_run
/// # async fn example(request: lambda_http::Request) -> Result<(), stagelink::Error> {
/// use tokio_postgres::types::Type;
///
/// let db = stagelink::client(&request).await?;
/// let row = db
///     .query_typed_one("SELECT count(*) FROM guestbook WHERE id < $1", &[(&100_i64, Type::INT8)])
///     .await?;
/// # let _: i64 = row.get(0);
/// # Ok(())
/// # }
/// ```
///
/// Dropping it in the middle of a [`transaction`](ClientWrapper::transaction)
/// rolls that back. Dropping a query's future does not stop the query in the
/// server. `CancelToken::cancel_query` does not work on it, since the driver
/// does not know the address that it was connected to;
/// `cancel_query_raw` with a stream of one's own does.
pub struct Client(deadpool_postgres::Client);

impl Deref for Client {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.0
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        &mut self.0
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::num::NonZeroUsize;
    use std::sync::atomic::AtomicUsize;

    use tokio::net::TcpSocket;

    use super::*;
    use crate::credentials::Provider;
    use crate::postgres::DatabaseUrl;

    /// Knows a database on a port where nobody listens, and counts how often it is asked.
    #[derive(Clone)]
    struct Fake {
        /// Holds the port, so that nobody else can listen there meanwhile.
        _held: Arc<TcpSocket>,
        asked: Arc<AtomicUsize>,
        url: String,
        behaviour: Behaviour,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Behaviour {
        /// Always the same URL.
        Same,
        /// Another URL each time, none of which works.
        Another,
        /// No answer.
        Hangs,
        /// An error, with the time to come back.
        Busy,
    }

    impl Fake {
        fn new(behaviour: Behaviour) -> Self {
            let held = TcpSocket::new_v4().unwrap();
            held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let port = held.local_addr().unwrap().port();
            Self {
                _held: Arc::new(held),
                asked: Arc::default(),
                url: format!("postgres://u:p@127.0.0.1:{port}/d"),
                behaviour,
            }
        }

        fn pool(&self) -> Pool {
            let limits = Limits {
                pool_size: NonZeroUsize::new(20).unwrap(),
                resolve: Duration::from_millis(50),
                ..Limits::default()
            };
            let provider = AnyProvider::new(self.clone());
            Pool::new(Stage::Staging, provider, None, limits).unwrap()
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl Provider for Fake {
        async fn resolve(&self, _: Stage) -> Result<Credentials, Error> {
            let time = self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let url = match self.behaviour {
                Behaviour::Same => self.url.clone(),
                Behaviour::Another => format!("{}{time}", self.url),
                Behaviour::Hangs => pending().await,
                Behaviour::Busy => {
                    return Err(Error::busy("busy", Some(Duration::from_secs(60))));
                }
            };
            Ok(Credentials::new(
                DatabaseUrl::parse(&url, "a fake")?,
                "a fake",
            ))
        }
    }

    /// What twenty requests at the same time get to hear.
    async fn storm(pool: &Pool) -> Vec<Error> {
        let requests: Vec<_> = (0..20)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.client().await.unwrap_err() })
            })
            .collect();
        let mut errors = Vec::new();
        for request in requests {
            errors.push(request.await.unwrap());
        }
        errors
    }

    #[tokio::test]
    async fn same_stale_url_is_asked_for_a_few_times_however_many_want_it() {
        let fake = Fake::new(Behaviour::Same);
        let pool = fake.pool();
        for error in [storm(&pool).await, storm(&pool).await].concat() {
            assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable);
        }
        // Once to begin with; then two at once and one more before the first wait.
        assert!(fake.asked() <= 4, "{}", fake.asked());
    }

    #[tokio::test]
    async fn busy_provider_is_left_alone_for_as_long_as_it_says() {
        let fake = Fake::new(Behaviour::Busy);
        let pool = fake.pool();
        for error in storm(&pool).await {
            assert_eq!(error.kind(), ErrorKind::ProviderBusy);
            assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
        }
        assert_eq!(fake.asked(), 1);
    }

    #[tokio::test]
    async fn hanging_provider_is_a_time_out_of_the_phase() {
        let fake = Fake::new(Behaviour::Hangs);
        let error = fake.pool().client().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Resolve));
    }

    #[tokio::test]
    async fn new_urls_that_never_work_are_asked_for_a_few_times() {
        let fake = Fake::new(Behaviour::Another);
        let pool = fake.pool();
        storm(&pool).await;
        storm(&pool).await;
        assert!(fake.asked() <= 4, "{}", fake.asked());
    }

    #[tokio::test]
    async fn new_url_makes_a_new_generation() {
        let fake = Fake::new(Behaviour::Another);
        let pool = fake.pool();
        let error = pool.client().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable);
        assert_eq!(fake.asked(), 2);
        let current = pool.0.current().unwrap();
        assert_eq!(current.number, 2);
        assert_eq!(current.connector.credentials().url().database(), "d1");
    }
}
