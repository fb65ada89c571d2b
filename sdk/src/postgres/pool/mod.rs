//! The way to one stage's database: a generation of connections, renewed with its credentials.

pub(in crate::postgres) mod generation;
pub(in crate::postgres) mod health;
pub(in crate::postgres) mod manager;
pub(in crate::postgres) mod reset;
pub(in crate::postgres) mod statements;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::Instant as TokioInstant;

use crate::clock::SuspendAwareInstant;
use crate::config::{Limits, ServerSettings};
use crate::credentials::Credentials;
use crate::database::DatabaseInfo;
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::client::Client;
use crate::postgres::connect::connector::{NewConnection, ServerInfo, timed_out};
use crate::postgres::connect::server_auth::ServerAuth;
use crate::postgres::connect::server_hints::ServerHints;
use crate::postgres::connect::timings::ConnectTimings;
use crate::postgres::pool::generation::Generation;
use crate::postgres::pool::manager::Connection;
use crate::postgres::sqlstate::Staleness;
use crate::postgres::stage_mark;
use crate::provider::{AnyProvider, Backoff, jitter};
use crate::stage::Stage;

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
    /// Facts about servers, which outlive a generation.
    hints: ServerHints,
    current: RwLock<Option<Generation>>,
    /// Held by the one that asks the provider, while others wait for its answer.
    asking: Mutex<Asking>,
    trouble: RwLock<Trouble>,
    /// How long an invocation may last, as far as has been seen, in milliseconds; 0 as long
    /// as that is not known.
    invocations_last_ms: AtomicU64,
    /// When the database had no connection left.
    crowded: RwLock<Option<SuspendAwareInstant>>,
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
    /// A pool that starts from deploy-time credentials, if there are any.
    pub(crate) fn new(
        stage: Stage,
        provider: AnyProvider,
        deploy_time: Option<Credentials>,
        limits: Limits,
        server: ServerSettings,
    ) -> Result<Self, Error> {
        server.suit(stage)?;
        let hints = ServerHints::default();
        let first = deploy_time
            .map(|credentials| {
                Generation::new(1, stage, credentials, None, &limits, &server, &hints)
            })
            .transpose()?;
        Ok(Self(Arc::new(Inner {
            stage,
            provider,
            limits,
            server,
            hints,
            current: RwLock::new(first),
            asking: Mutex::default(),
            trouble: RwLock::default(),
            invocations_last_ms: AtomicU64::new(0),
            crowded: RwLock::default(),
        })))
    }

    /// A connection by the credentials as they are, or by new ones where the
    /// failure says that these are stale. Waits for one no longer than until then.
    pub(crate) async fn client(&self, deadline: Option<TokioInstant>) -> Result<Client, Error> {
        let mut connection = self.connection(deadline).await?;
        if connection.is_first_loan() {
            connection.check_connection_headroom();
        }
        if deadline.is_some() {
            let last = self.0.invocations_last_ms.load(Ordering::Relaxed);
            connection.serves_invocations(Duration::from_millis(last));
        }
        Ok(Client::new(connection))
    }

    /// Opens a connection before one is wanted.
    pub(crate) async fn warm_up(&self) -> Result<(), Error> {
        let opened = self.connection(None).await;
        if let Err(failure) = &opened
            && failure.kind() == ErrorKind::TooManyConnections
        {
            self.record_full();
        }
        opened.map(drop)
    }

    /// A connection as the pool lends it, without a word about whom it is for.
    async fn connection(&self, deadline: Option<TokioInstant>) -> Result<Connection, Error> {
        let inner = &*self.0;
        let mut generation = match inner.current() {
            Some(generation) => generation,
            None => Box::pin(inner.renewed(None)).await?,
        };
        if generation.take_read_only() {
            let evidence = read_only(inner.stage);
            // Where there is nothing new, what only reads may go on.
            if let Ok(next) = Box::pin(inner.renewed(Some((&generation, &evidence)))).await {
                generation = next;
            }
        }
        match inner.connection(&generation, deadline).await {
            Err(evidence) if evidence.staleness() == Staleness::Stale => {
                let renewed = async {
                    let next = inner.renewed(Some((&generation, &evidence))).await?;
                    inner.connection(&next, deadline).await
                };
                Box::pin(renewed).await
            }
            answer => answer,
        }
    }

    /// What a new connection shows and tells, whatever the mark of the database.
    pub(crate) async fn inspect(&self) -> Result<DatabaseInfo, Error> {
        let (generation, opened) = self.open_unchecked().await?;
        Ok(self.health(&generation, opened.info))
    }

    /// Marks the database, or takes its mark away, and looks again.
    pub(crate) async fn set_mark(&self, mark: Option<Stage>) -> Result<DatabaseInfo, Error> {
        let (generation, opened) = self.open_unchecked().await?;
        let url = generation.credentials().url();
        let statement = stage_mark::set_statement(&url.database, mark);
        opened
            .client
            .batch_execute(&statement)
            .await
            .map_err(|error| {
                Error::with_source(
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
        self.inspect().await
    }

    /// A connection outside of the pool to a database that may be another stage's, not
    /// to be handed out.
    async fn open_unchecked(&self) -> Result<(Generation, NewConnection), Error> {
        let inner = &*self.0;
        let generation = match inner.current() {
            Some(generation) => generation,
            None => Box::pin(inner.renewed(None)).await?,
        };
        match generation.open_unchecked().await {
            Ok(opened) => Ok((generation, opened)),
            Err(evidence) if evidence.staleness() == Staleness::Stale => {
                let next = Box::pin(inner.renewed(Some((&generation, &evidence)))).await?;
                let opened = next.open_unchecked().await?;
                Ok((next, opened))
            }
            Err(error) => Err(error),
        }
    }

    fn health(&self, generation: &Generation, facts: ServerInfo) -> DatabaseInfo {
        let credentials = generation.credentials();
        let url = credentials.url();
        DatabaseInfo {
            stage: self.0.stage,
            origin: credentials.origin().to_owned(),
            server: format!("{}:{}", url.host, url.port),
            database: url.database.clone(),
            role: url.user.clone(),
            mark: facts.mark,
            server_auth: facts.server_auth,
            pin: facts
                .key
                .filter(|_| facts.server_auth != ServerAuth::Unauthenticated)
                .and_then(|key| key.pin()),
            server_version: facts.server_version,
            direct_tls: facts.direct_tls,
            is_read_only: facts.is_read_only,
            credentials: credentials.clone().with_scram_keys(generation.scram_keys()),
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.0.stage
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn connect_timings(&self) -> Option<ConnectTimings> {
        self.0.current()?.connect_timings()
    }

    /// An invocation began that may last so long.
    pub(crate) fn invocation_lasts(&self, left: Duration) {
        let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        self.0
            .invocations_last_ms
            .fetch_max(left, Ordering::Relaxed);
    }

    /// The end of an invocation: waits until what was abandoned is stopped in the server,
    /// and leaves the connections to others where there are too few.
    pub(crate) async fn finish_invocation(&self) {
        let Some(generation) = self.0.current() else {
            return;
        };
        generation.tidied().await;
        if generation.take_near_limit() {
            self.record_full();
        }
        if self.is_crowded() {
            generation.give_back().await;
        }
    }

    /// Whether there is nothing to wait for or to give back.
    pub(crate) fn is_settled(&self) -> bool {
        let current = read(&self.0.current);
        let is_at_rest = |current: &Generation| current.is_tidied() && !current.is_crowded();
        current.as_ref().is_none_or(is_at_rest) && read(&self.0.crowded).is_none()
    }

    /// Ends all connections that are not lent, and returns when the server knows.
    pub(crate) async fn close(&self) {
        if let Some(generation) = self.0.current() {
            generation.tidied().await;
            generation.give_back().await;
        }
    }

    /// The same, and none of them is ever lent again, not even one that is lent now and comes
    /// back. The credentials stay.
    pub(crate) async fn start_afresh(&self) {
        self.close().await;
        let inner = &*self.0;
        let Some(old) = inner.current() else {
            return;
        };
        let credentials = old.credentials().clone();
        let (number, stage) = (old.number() + 1, inner.stage);
        let next = Generation::new(
            number,
            stage,
            credentials,
            None,
            &inner.limits,
            &inner.server,
            &inner.hints,
        );
        // Without a new one, which could be made before, the provider is asked anew.
        *write(&inner.current) = next.ok();
        old.close();
    }

    /// The database has no connection left, or hardly any.
    pub(crate) fn record_full(&self) {
        *write(&self.0.crowded) = Some(SuspendAwareInstant::now());
    }

    /// Whether that was so a short time ago.
    fn is_crowded(&self) -> bool {
        let was_full = *read(&self.0.crowded);
        let is_crowded =
            was_full.is_some_and(|then| then.until(&SuspendAwareInstant::now()) < NEAR_LIMIT);
        if was_full.is_some() && !is_crowded {
            *write(&self.0.crowded) = None;
        }
        is_crowded
    }

    /// This has failed. Returns since when it does.
    pub(crate) fn record_failure(&self, failure: &Error) -> Instant {
        let mut trouble = write(&self.0.trouble);
        let since = match failure.kind() {
            ErrorKind::DatabaseReadOnly => &mut trouble.writing,
            _ => &mut trouble.reaching,
        };
        *since.get_or_insert_with(Instant::now)
    }

    /// A read has worked.
    pub(crate) fn record_read(&self) {
        if read(&self.0.trouble).reaching.is_some() {
            write(&self.0.trouble).reaching = None;
        }
    }

    /// A write has worked, or failed by its own fault.
    pub(crate) fn record_write(&self) {
        self.record_read();
        if read(&self.0.trouble).writing.is_some() {
            write(&self.0.trouble).writing = None;
        }
    }
}

impl Inner {
    fn current(&self) -> Option<Generation> {
        read(&self.current).clone()
    }

    async fn connection(
        &self,
        generation: &Generation,
        deadline: Option<TokioInstant>,
    ) -> Result<Connection, Error> {
        let connection = generation.connection(deadline).await?;
        if generation.mark_verified() {
            let mut asking = self.asking.lock().await;
            asking.unreachable.reset();
            asking.last = None;
        }
        Ok(connection)
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
        if !asking.backoff(evidence).is_allowed(Instant::now()) {
            let reason = evidence.or(asking.last.as_ref()).cloned();
            return Err(reason.unwrap_or_else(|| self.too_many_questions()));
        }
        if stale.is_some() {
            tokio::time::sleep(jitter(fastrand::f64())).await;
        }
        let started = Instant::now();
        asking.backoff(evidence).record_request(started);
        let (wanted_pause, answer) = match (self.ask().await, stale) {
            (Ok(credentials), Some((old, evidence))) if is_same(old, &credentials) => {
                (None, self.still_the_same(&credentials, evidence))
            }
            (Ok(credentials), _) => {
                let took = Some(started.elapsed());
                let (stage, limits, server) = (self.stage, &self.limits, &self.server);
                let next = Generation::new(
                    known + 1,
                    stage,
                    credentials,
                    took,
                    limits,
                    server,
                    &self.hints,
                )?;
                // Until it has given a connection it may be as bad as the one before.
                asking
                    .backoff(evidence)
                    .record_failure(Instant::now(), None, fastrand::f64());
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
            .record_failure(Instant::now(), wanted_pause, fastrand::f64());
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
                Err(timed_out(Phase::Resolve, limit, &what))
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
        Error::with_source(
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
            ErrorKind::RateLimited,
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
    .with_staleness(Staleness::Stale)
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

/// For how long after the database had hardly a connection left an instance keeps none between
/// its invocations, so that instances take turns. Each of its requests pays for a new
/// connection meanwhile.
const NEAR_LIMIT: Duration = Duration::from_secs(30);
