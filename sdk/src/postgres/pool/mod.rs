//! The pool of connections to one stage's database, which renews its credentials when they are
//! stale.

pub(in crate::postgres) mod connection;
pub(crate) mod health;
pub(crate) mod inspect;
mod libpq;
mod loans;
pub(in crate::postgres) mod manager;
mod renewal;
mod replacement;
pub(in crate::postgres) mod reset;
mod rest_times;
mod same_database;
mod shared_health;
pub(in crate::postgres) mod statements;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use deadpool::managed::{PoolError, TimeoutType, Timeouts};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::clock::SuspendAwareInstant;
use crate::config::{Limits, ServerSettings};
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Phase};
use crate::meaning::Meaning;
use crate::postgres::connect::server_hints::ServerHints;
use crate::postgres::connect::timings::ConnectTimings;
use crate::postgres::pool::health::{Action, Event};
use crate::postgres::pool::manager::{Connection, Connections, close_idle, give_back};
use crate::postgres::pool::reset::ResetTasks;
use crate::postgres::pool::shared_health::SharedHealth;
use crate::provider::AnyProvider;
use crate::stage::Stage;

/// The connections to a stage's database.
///
/// They belong to a generation: one set of credentials, with a deadpool of its own. The first
/// comes from the deploy-time credentials, or from the provider when the first connection is
/// wanted. When a failure says that the credentials are stale, the pool asks the provider for
/// the next. The old generation then closes: its idle connections end at once, and those that
/// are lent end when they come back.
#[derive(Debug)]
pub(crate) struct Pool {
    stage: Stage,
    provider: AnyProvider,
    /// As they were at the start, for a pool of its own.
    #[cfg(feature = "lambda")]
    deploy_time: Option<Credentials>,
    limits: Limits,
    server: ServerSettings,
    /// Facts about servers, which outlive a generation.
    hints: ServerHints,
    current: RwLock<Option<Connections>>,
    /// Held by the request that asks the provider, while others wait for its answer. Holds the
    /// error of the last fruitless request.
    renewal: Mutex<Option<Error>>,
    health: Arc<SharedHealth>,
    reset_tasks: Arc<ResetTasks>,
    /// The longest time that an invocation has had, in milliseconds; 0 before the first.
    longest_invocation_ms: AtomicU64,
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
        server.check_for(stage)?;
        limits.check()?;
        let pool = Self {
            stage,
            provider,
            #[cfg(feature = "lambda")]
            deploy_time: deploy_time.clone(),
            limits,
            server,
            hints: ServerHints::of_process(),
            current: RwLock::default(),
            renewal: Mutex::default(),
            health: Arc::default(),
            reset_tasks: Arc::default(),
            longest_invocation_ms: AtomicU64::new(0),
        };
        if let Some(credentials) = deploy_time {
            let first = pool.generation(1, credentials, None)?;
            pool.health.observe(Event::Restarted { generation: 1 });
            pool.replace(Some(first));
        }
        Ok(pool)
    }

    /// Returns a pool that knows only what a process of the same function knows at its start. It serves
    /// the same invocations.
    #[cfg(feature = "lambda")]
    pub(crate) fn of_cold_start(&self) -> Result<Self, Error> {
        let pool = Self::new(
            self.stage,
            self.provider.clone(),
            self.deploy_time.clone(),
            self.limits.clone(),
            self.server.clone(),
        )?;
        if let Some(longest) = self.longest_invocation() {
            pool.record_invocation(longest);
        }
        Ok(pool)
    }

    /// Lends a connection for an invocation's work, and waits for it until `deadline` at most.
    /// Where the credentials are stale, it comes with new ones.
    pub(in crate::postgres) async fn lend(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Connection, Error> {
        let mut connection = self.connection(deadline).await?;
        if connection.is_first_loan() {
            connection.check_connection_headroom();
        }
        // In whole seconds: invocations of one function differ by milliseconds.
        let longest = deadline.and(self.longest_invocation());
        let longest = longest.map(|longest| Duration::from_secs_f64(longest.as_secs_f64().ceil()));
        connection.serve_invocations(longest);
        Ok(connection)
    }

    /// Opens a connection before a request wants it.
    pub(crate) async fn warm_up(&self) -> Result<(), Error> {
        let opened = self.connection(None).await?;
        give_back(opened);
        // Its task sends what waits, before the process may be frozen.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn connection(&self, deadline: Option<Instant>) -> Result<Connection, Error> {
        let mut connections = match self.current() {
            Some(connections) => connections,
            None => Box::pin(self.renew(None)).await?,
        };
        let generation = connections.manager().generation;
        if self.health.observe(Event::ConnectionWanted { generation }) != Action::Proceed {
            let stale = (&connections, &read_only(self.stage));
            // Without new credentials, reads may go on.
            if let Ok(next) = Box::pin(self.renew(Some(stale))).await {
                connections = next;
            }
        }
        let mut may_renew = true;
        loop {
            let generation = connections.manager().generation;
            let failure = match self.take(&connections, deadline).await {
                Ok(connection) => {
                    self.health.observe(Event::Lent { generation });
                    return Ok(connection);
                }
                Err(failure) => failure,
            };
            let action = self.health.observe(Event::ConnectFailed {
                generation,
                meaning: failure.meaning(),
            });
            if action == Action::Proceed || !may_renew {
                return Err(failure);
            }
            may_renew = false;
            connections = Box::pin(self.renew(Some((&connections, &failure)))).await?;
        }
    }

    /// Takes an idle connection, or opens one where there is room; else waits for the next that
    /// becomes free.
    async fn take(
        &self,
        connections: &Connections,
        deadline: Option<Instant>,
    ) -> Result<Connection, Error> {
        // Most often no request has to wait, and then the clock need not be read.
        let taken = match connections.timeout_get(&AT_ONCE).await {
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                let left = deadline.map(|ends| ends.saturating_duration_since(Instant::now()));
                let left = left.map(|left| left.saturating_sub(BEFORE_DEADLINE));
                let wait = left.map_or(self.limits.wait, |left| left.min(self.limits.wait));
                let timeouts = Timeouts {
                    wait: Some(wait),
                    ..AT_ONCE
                };
                Box::pin(async move { connections.timeout_get(&timeouts).await }).await
            }
            taken => taken,
        };
        taken.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(TimeoutType::Wait) => self.all_in_use(connections, deadline),
            // Closed, because another request has renewed the credentials meanwhile.
            error => Error::with_source(
                ErrorKind::DatabaseUnreachable,
                format!("the pool for stage {} gave no connection", self.stage),
                error,
            )
            .with_meaning(Meaning::Moved),
        })
    }

    fn all_in_use(&self, connections: &Connections, deadline: Option<Instant>) -> Error {
        let is_over = deadline.is_some_and(|ends| ends <= Instant::now() + BEFORE_DEADLINE);
        let limit = if is_over {
            "as long as this invocation may last".to_owned()
        } else {
            format!("{} ms", self.limits.wait.as_millis())
        };
        let longest = connections
            .manager()
            .loans
            .longest(&SuspendAwareInstant::now());
        let longest = longest.unwrap_or_default().as_secs_f64();
        let error = Error::new(
            ErrorKind::Timeout(Phase::Wait),
            format!(
                "no connection of the pool for stage {} became free within {limit}: all {} are \
                 lent, one of them for {longest:.1} s; if a request takes less, its client was \
                 never dropped (a static, a task that hangs, mem::forget)",
                self.stage, self.limits.pool_size,
            ),
        );
        if is_over { error } else { error.for_a_while() }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The health of the database, which takes note of what work on it observes.
    pub(crate) fn health(&self) -> &SharedHealth {
        &self.health
    }

    /// Durations of the phases of the connection opened last.
    pub(crate) fn connect_timings(&self) -> Option<ConnectTimings> {
        self.current()?.manager().connector.connect_timings()
    }

    /// Takes note of an invocation that has so much time left.
    pub(crate) fn record_invocation(&self, left: Duration) {
        let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        self.longest_invocation_ms
            .fetch_max(left, Ordering::Relaxed);
    }

    /// The longest time that an invocation has had left; `None` before the first one.
    fn longest_invocation(&self) -> Option<Duration> {
        let milliseconds = self.longest_invocation_ms.load(Ordering::Relaxed);
        (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
    }

    /// Ends an invocation: waits until abandoned statements are stopped in the server, and
    /// closes the idle connections where the server is near its limit.
    pub(crate) async fn finish_invocation(&self) {
        self.reset_tasks.join_all().await;
        if self.health.observe(Event::InvocationEnded) == Action::CloseIdle {
            self.close_idle().await;
        }
    }

    /// Returns whether [`finish_invocation`](Self::finish_invocation) has nothing to do.
    pub(crate) fn is_settled(&self) -> bool {
        self.reset_tasks.is_empty() && self.health.is_settled()
    }

    /// Closes all connections that are not lent, and returns when the server knows.
    pub(crate) async fn close(&self) {
        self.reset_tasks.join_all().await;
        self.close_idle().await;
    }

    async fn close_idle(&self) {
        if let Some(connections) = self.current() {
            close_idle(&connections).await;
        }
    }

    /// Lets time pass for the idle connections, as for those of an instance that is frozen.
    #[cfg(all(feature = "testing", feature = "lambda"))]
    pub(crate) fn freeze(&self, duration: Duration) {
        if let Some(connections) = self.current() {
            connections.retain(|connection, _| {
                connection.freeze(duration);
                true
            });
        }
    }

    /// Closes all connections for good: those that are lent end when they come back. The
    /// credentials stay.
    pub(crate) async fn restart(&self) {
        self.close().await;
        // A renewal that is under way would number its generation the same.
        let _renewal = self.renewal.lock().await;
        let Some(old) = self.current() else {
            return;
        };
        let generation = old.manager().generation + 1;
        let credentials = old.manager().connector.credentials().clone();
        // Where this fails, which it did not before, the provider is asked anew.
        let next = self.generation(generation, credentials, None).ok();
        self.health.observe(Event::Restarted { generation });
        self.replace(next);
    }

    fn current(&self) -> Option<Connections> {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the current generation. The old one closes: its idle connections end now, and
    /// those that are lent end when they come back.
    fn replace(&self, next: Option<Connections>) -> Option<Connections> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, next);
        if let Some(old) = &old {
            old.close();
        }
        old
    }
}

/// The error of a database that refuses writes.
pub(crate) fn read_only(stage: Stage) -> Error {
    Error::new(
        ErrorKind::DatabaseReadOnly,
        format!(
            "the database of stage {stage} takes no writes: it is a standby, or was made read-only \
             for a while"
        ),
    )
}

/// Time before an invocation's deadline at which the wait for a connection ends. At the deadline
/// itself the whole attempt ends as one that could not connect, and it would be by chance which of the
/// two is told.
const BEFORE_DEADLINE: Duration = Duration::from_millis(1);

const AT_ONCE: Timeouts = Timeouts {
    wait: Some(Duration::ZERO),
    create: None,
    recycle: None,
};
