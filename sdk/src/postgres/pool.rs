//! The way to one stage's database: a generation of connections, renewed with its credentials.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::Mutex;

use crate::credentials::{AnyProvider, Backoff, Credentials, spread};
use crate::error::{Error, ErrorKind, Phase};
use crate::link::Examination;
use crate::postgres::client::Client;
use crate::postgres::connect::{Facts, Opened, took_too_long};
use crate::postgres::failure::Says;
use crate::postgres::generation::Generation;
use crate::postgres::identity;
use crate::postgres::policy::Proof;
use crate::settings::{Limits, ServerSettings};
use crate::stage::Stage;
use crate::telemetry::Phases;

/// The connections to a stage's database.
///
/// They belong to a generation: one set of credentials, with a pool of its own.
/// The first is the sealed one, or the provider is asked for it when the first
/// connection is wanted; and for the next only when a failure says that the
/// credentials are stale. The pool of the old generation closes then: what is
/// idle in it ends, and what is lent ends when it comes back.
#[derive(Clone, Debug)]
pub(crate) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stage: Stage,
    provider: AnyProvider,
    limits: Limits,
    server: ServerSettings,
    current: RwLock<Option<Generation>>,
    /// Held by the one that asks the provider, while others wait for its answer.
    asking: Mutex<Asking>,
    trouble: RwLock<Trouble>,
}

/// Since when something has not worked.
#[derive(Debug, Default)]
struct Trouble {
    /// To reach the database.
    reaching: Option<Instant>,
    /// To write to it.
    writing: Option<Instant>,
}

/// What is remembered of the questions to the provider.
#[derive(Debug, Default)]
struct Asking {
    /// Because no connection could be opened, or none was there yet.
    unreachable: Backoff,
    /// Because the database takes no writes. Apart, since a connection that
    /// opens proves nothing about that.
    read_only: Backoff,
    /// Why the last question bore nothing.
    last: Option<Error>,
}

impl Asking {
    fn backoff(&mut self, evidence: Option<&Error>) -> &mut Backoff {
        match evidence.map(Error::kind) {
            Some(ErrorKind::DatabaseReadOnly) => &mut self.read_only,
            _ => &mut self.unreachable,
        }
    }
}

impl Pool {
    /// A pool that starts from sealed credentials, if there are any.
    pub(crate) fn new(
        stage: Stage,
        provider: AnyProvider,
        sealed: Option<Credentials>,
        limits: Limits,
        server: ServerSettings,
    ) -> Result<Self, Error> {
        server.suit(stage)?;
        let first = sealed
            .map(|credentials| Generation::new(1, stage, credentials, None, &limits, &server))
            .transpose()?;
        Ok(Self(Arc::new(Inner {
            stage,
            provider,
            limits,
            server,
            current: RwLock::new(first),
            asking: Mutex::default(),
            trouble: RwLock::default(),
        })))
    }

    /// A connection by the credentials as they are, or by new ones where the
    /// failure says that these are stale.
    pub(crate) async fn client(&self) -> Result<Client, Error> {
        let inner = &*self.0;
        let mut generation = match inner.current() {
            Some(generation) => generation,
            None => Box::pin(inner.renewed(None)).await?,
        };
        if generation.was_read_only() {
            let evidence = read_only(inner.stage);
            // Where there is nothing new, what only reads may go on.
            if let Ok(next) = Box::pin(inner.renewed(Some((&generation, &evidence)))).await {
                generation = next;
            }
        }
        match inner.client(&generation).await {
            Err(evidence) if evidence.says() == Says::Stale => {
                let renewed = async {
                    let next = inner.renewed(Some((&generation, &evidence))).await?;
                    inner.client(&next).await
                };
                Box::pin(renewed).await
            }
            answer => answer,
        }
    }

    /// What a new connection shows and tells, whatever the mark of the database.
    pub(crate) async fn examine(&self) -> Result<Examination, Error> {
        let (generation, opened) = self.open_unchecked().await?;
        Ok(self.told(&generation, opened.facts))
    }

    /// Marks the database, or takes its mark away, and looks again.
    pub(crate) async fn set_mark(&self, mark: Option<Stage>) -> Result<Examination, Error> {
        let (generation, opened) = self.open_unchecked().await?;
        let url = generation.credentials().url();
        let statement = identity::statement(&url.database, mark);
        opened
            .client
            .batch_execute(&statement)
            .await
            .map_err(|error| {
                Error::because(
                    ErrorKind::Query,
                    format!(
                        "could not change the mark of database {}: that takes its owner, and role \
                         {} may not be",
                        url.database, url.user
                    ),
                    error,
                )
            })?;
        drop(opened);
        self.examine().await
    }

    /// A connection outside of the pool to a database that may be another stage's, not
    /// to be handed out.
    async fn open_unchecked(&self) -> Result<(Generation, Opened), Error> {
        let inner = &*self.0;
        let generation = match inner.current() {
            Some(generation) => generation,
            None => Box::pin(inner.renewed(None)).await?,
        };
        match generation.open_unchecked().await {
            Ok(opened) => Ok((generation, opened)),
            Err(evidence) if evidence.says() == Says::Stale => {
                let next = Box::pin(inner.renewed(Some((&generation, &evidence)))).await?;
                let opened = next.open_unchecked().await?;
                Ok((next, opened))
            }
            Err(error) => Err(error),
        }
    }

    fn told(&self, generation: &Generation, facts: Facts) -> Examination {
        let credentials = generation.credentials();
        let url = credentials.url();
        Examination {
            stage: self.0.stage,
            origin: credentials.origin().to_owned(),
            server: format!("{}:{}", url.host, url.port),
            database: url.database.clone(),
            role: url.user.clone(),
            mark: facts.mark,
            proof: facts.proof,
            pin: facts.key.filter(|_| facts.proof != Proof::Nothing),
            server_version: facts.server_version,
            direct_tls: facts.direct_tls,
            is_read_only: facts.is_read_only,
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.0.stage
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn phases(&self) -> Option<Phases> {
        self.0.current()?.phases()
    }

    /// This has failed. Returns since when it does.
    pub(crate) fn is_in_trouble(&self, failure: &Error) -> Instant {
        let mut trouble = write(&self.0.trouble);
        let since = match failure.kind() {
            ErrorKind::DatabaseReadOnly => &mut trouble.writing,
            _ => &mut trouble.reaching,
        };
        *since.get_or_insert_with(Instant::now)
    }

    /// A read has worked.
    pub(crate) fn is_read(&self) {
        if read(&self.0.trouble).reaching.is_some() {
            write(&self.0.trouble).reaching = None;
        }
    }

    /// A write has worked, or failed by its own fault.
    pub(crate) fn is_written(&self) {
        self.is_read();
        if read(&self.0.trouble).writing.is_some() {
            write(&self.0.trouble).writing = None;
        }
    }
}

impl Inner {
    fn current(&self) -> Option<Generation> {
        read(&self.current).clone()
    }

    async fn client(&self, generation: &Generation) -> Result<Client, Error> {
        let connection = generation.connection().await?;
        if generation.proves_itself() {
            let mut asking = self.asking.lock().await;
            asking.unreachable.settled();
            asking.last = None;
        }
        Ok(Client(connection))
    }

    /// The generation after a stale one, or the first. Whoever comes second
    /// gets the answer that the first one gets.
    async fn renewed(&self, stale: Option<(&Generation, &Error)>) -> Result<Generation, Error> {
        let mut asking = self.asking.lock().await;
        let known = stale.map_or(0, |(generation, _)| generation.number());
        let evidence = stale.map(|(_, evidence)| evidence);
        if let Some(current) = self.current().filter(|current| current.number() > known) {
            return Ok(current);
        }
        if !asking.backoff(evidence).allows(Instant::now()) {
            let reason = evidence.or(asking.last.as_ref()).cloned();
            return Err(reason.unwrap_or_else(|| self.too_many_questions()));
        }
        if stale.is_some() {
            tokio::time::sleep(spread(fastrand::f64())).await;
        }
        let started = Instant::now();
        asking.backoff(evidence).asks(started);
        let (wanted_pause, answer) = match (self.ask().await, stale) {
            (Ok(credentials), Some((old, evidence))) if is_same(old, &credentials) => {
                (None, self.still_the_same(&credentials, evidence))
            }
            (Ok(credentials), _) => {
                let took = Some(started.elapsed());
                let (stage, limits, server) = (self.stage, &self.limits, &self.server);
                let next = Generation::new(known + 1, stage, credentials, took, limits, server)?;
                // Until it has given a connection it may be as bad as the one before.
                asking
                    .backoff(evidence)
                    .bore_nothing(Instant::now(), None, fastrand::f64());
                asking.last = evidence.cloned();
                self.replace(&next);
                return Ok(next);
            }
            (Err(error), None) => (error.retry_after(), error),
            (Err(error), Some((_, evidence))) => {
                tracing::warn!(reason = %error.report(), "could not ask for new credentials");
                let wait = error.retry_after();
                (wait, evidence.clone())
            }
        };
        if let Some((old, _)) = stale {
            old.question();
        }
        asking
            .backoff(evidence)
            .bore_nothing(Instant::now(), wanted_pause, fastrand::f64());
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
        let old = write(&self.current).replace(next.clone());
        if let Some(old) = old {
            tracing::info!(
                generation = next.number(),
                origin = next.credentials().origin(),
                "the credentials were stale and have been renewed"
            );
            old.close();
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

    fn too_many_questions(&self) -> Error {
        Error::new(
            ErrorKind::ProviderBusy,
            format!(
                "the provider was asked for the database of stage {} often enough in the last \
                 minute",
                self.stage
            ),
        )
    }
}

/// What a database that takes no writes says of its URL.
pub(crate) fn read_only(stage: Stage) -> Error {
    Error::new(
        ErrorKind::DatabaseReadOnly,
        format!(
            "the database of stage {stage} takes no writes: it is a standby, or was made read-only \
             for a while"
        ),
    )
    .that_says(Says::Stale)
}

fn is_same(generation: &Generation, credentials: &Credentials) -> bool {
    let own = generation.credentials().url();
    own.is_same_as(credentials.url())
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::TcpListener;
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

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
            Pool::new(
                Stage::Staging,
                provider,
                None,
                limits,
                ServerSettings::default(),
            )
            .unwrap()
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

    #[tokio::test(start_paused = true)]
    async fn server_that_is_silent_for_long_may_have_moved_and_one_that_times_out_has_not() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let fake = Fake {
            url: format!("postgres://u:p@127.0.0.1:{port}/d"),
            ..Fake::new(Behaviour::Same)
        };
        let pool = fake.pool();
        let started = tokio::time::Instant::now();
        while fake.asked() < 2 {
            let error = pool.client().await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Timeout(_)), "{error}");
        }
        assert!(started.elapsed() >= Duration::from_secs(30));
    }

    #[tokio::test]
    async fn new_url_makes_a_new_generation() {
        let fake = Fake::new(Behaviour::Another);
        let pool = fake.pool();
        let error = pool.client().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable);
        assert_eq!(fake.asked(), 2);
        let current = pool.0.current().unwrap();
        assert_eq!(current.number(), 2);
        assert_eq!(current.credentials().url().database(), "d1");
    }
}
