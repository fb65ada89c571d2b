//! A handler's access to the database of its stage.

#[cfg(feature = "lambda")]
mod by_stage;
mod idempotency;
mod inspect;
mod local_settings;
mod read_write;
mod retry;
mod rows;
#[cfg(feature = "lambda")]
mod self_check;
mod transaction;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Request;
use tokio::time::Instant;

use crate::config::{Limits, ServerSettings, Settings};
use crate::credentials::{Credentials, parse_deploy_time};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::postgres::ConnectTimings;
use crate::postgres::{Client, Pool};
use crate::provider::{AnyProvider, Provider};
use crate::stage::Stage;

#[cfg(feature = "lambda")]
pub use self::by_stage::Databases;
pub use self::idempotency::IDEMPOTENCY_TABLE;
pub use self::idempotency::IdempotencyKey;
#[cfg(feature = "axum")]
pub(crate) use self::idempotency::fingerprint;
pub use self::local_settings::LocalSettings;
pub use self::rows::Rows;

/// The database of a function's stage: the provider, the pool and the stage's settings.
///
/// On AWS Lambda and Netlify `stagelink::run` makes one per process and puts it into every
/// request; a handler takes it with [`Database::from_request`], or, with the cargo feature
/// `axum`, as an extractor. Any other server makes its own with [`from_env`](Self::from_env):
///
/// | step | method |
/// | --- | --- |
/// | before the first request | [`warm_up`](Self::warm_up) |
/// | with each request, where it has a time limit | [`with_deadline`](Self::with_deadline) |
/// | after each request, where the process may be frozen | [`finish_invocation`](Self::finish_invocation) |
/// | before a snapshot of the process | [`discard_connections`](Self::discard_connections) |
/// | at the end of the process | [`close`](Self::close) |
///
/// Clones share one pool. A new `Database` opens no connection and makes no provider request
/// before the first use.
///
/// Work through [`read`](Self::read), [`write`](Self::write),
/// [`transaction`](Self::transaction) and [`write_once`](Self::write_once) survives the loss of
/// its connection; a handler with a [`client`](Self::client) sees the loss as an error.
#[derive(Clone)]
pub struct Database {
    state: Arc<State>,
    /// End of the time for database work in the current invocation.
    deadline: Option<Instant>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a process has a few, each behind an `Arc`"
)]
enum State {
    Ready {
        stage: Stage,
        pool: Pool,
    },
    /// The settings are not usable. The function still starts and answers each request with
    /// this error, since a process that exits gives its clients no reason.
    Refused(Error),
}

impl Database {
    /// Makes a database from the environment of this process; see [`Settings`] for the variables.
    ///
    /// It cannot fail: where the environment is incomplete, [`stage`](Self::stage),
    /// [`client`](Self::client) and the others return the reason.
    pub fn from_env() -> Self {
        Self::new(Settings::from_env())
    }

    /// Makes a database from these settings, or one whose methods return the given error.
    pub fn new(settings: Result<Settings, Error>) -> Self {
        let state = settings
            .and_then(|settings| {
                let Settings {
                    stage,
                    deploy_time,
                    provider,
                    limits,
                    server,
                    ignored_source,
                    url_variable,
                } = settings;
                let deploy_time = deploy_time
                    .map(|deploy_time| parse_deploy_time(&deploy_time, stage))
                    .transpose()?;
                let provider = match provider {
                    Some(provider) => AnyProvider::from_settings(provider, &url_variable)?,
                    None => AnyProvider::none(stage, deploy_time.is_some(), ignored_source),
                };
                State::ready(stage, provider, deploy_time, limits, server)
            })
            .unwrap_or_else(State::Refused);
        Self::with_state(state)
    }

    /// Makes a database whose credentials come from your own provider.
    pub fn with_provider(
        stage: Stage,
        provider: impl Provider,
        limits: Limits,
        server: ServerSettings,
    ) -> Self {
        let provider = AnyProvider::new(provider);
        let state = State::ready(stage, provider, None, limits, server);
        Self::with_state(state.unwrap_or_else(State::Refused))
    }

    fn with_state(state: State) -> Self {
        Self {
            state: Arc::new(state),
            deadline: None,
        }
    }

    /// Returns this database with the deadline of one invocation, which the platform ends then.
    ///
    /// `stagelink::run` does this for each request; other servers and functions that take
    /// messages from a queue call it themselves. Work through the returned database ([`read`](Self::read),
    /// [`write`](Self::write), [`transaction`](Self::transaction), [`write_once`](Self::write_once),
    /// [`rows`](Self::rows)) and the wait for a [`client`](Self::client) end 300 ms before the deadline, or in the last quarter of an invocation that is shorter than 1.2 s,
    /// so that there is time to answer.
    #[must_use]
    pub fn with_deadline(&self, ends: SystemTime) -> Self {
        self.for_invocation(Deadline::of_invocation(
            ends,
            SystemTime::now(),
            Instant::now(),
        ))
    }

    pub(crate) fn for_invocation(&self, deadline: Deadline) -> Self {
        if let State::Ready { pool, .. } = &*self.state {
            pool.record_invocation(deadline.end.saturating_duration_since(Instant::now()));
        }
        Self {
            state: Arc::clone(&self.state),
            deadline: Some(deadline.work),
        }
    }

    /// Returns the time left for database work in this invocation; `None` without a deadline.
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Finishes cleanup at the end of an invocation, before the process may be frozen.
    ///
    /// It waits up to 300 ms until the server has cancelled the statements that the handler
    /// abandoned. Where the database had no connection left in the last 30 s, or nearly none, it closes this
    /// instance's idle connections, so that other instances get a turn. `stagelink::run` does this
    /// for each request.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connections whose statements are not cancelled yet.
    pub async fn finish_invocation(&self) {
        if let State::Ready { pool, .. } = &*self.state
            && !pool.is_settled()
        {
            pool.finish_invocation().await;
        }
    }

    /// Returns whether [`finish_invocation`](Self::finish_invocation) has nothing to do.
    #[cfg(feature = "lambda")]
    pub(crate) fn is_settled(&self) -> bool {
        match &*self.state {
            State::Ready { pool, .. } => pool.is_settled(),
            State::Refused(_) => true,
        }
    }

    /// Closes all idle connections in good order. The database stays usable and opens new ones.
    ///
    /// `stagelink::run` does this on `SIGTERM`; other servers do it after the last request.
    pub async fn close(&self) {
        if let State::Ready { pool, .. } = &*self.state {
            pool.close().await;
        }
    }

    /// Lets time pass for the idle connections, as for those of an instance that is frozen.
    #[cfg(all(feature = "testing", feature = "lambda"))]
    pub(crate) fn freeze(&self, duration: Duration) {
        if let State::Ready { pool, .. } = &*self.state {
            pool.freeze(duration);
        }
    }

    /// Returns the database that `stagelink::run`, or a layer of your own, put into a request's
    /// extensions.
    ///
    /// For a request without one, the methods of the returned database say so.
    pub fn from_request<B>(request: &Request<B>) -> Self {
        Self::from_extensions(request.extensions()).unwrap_or_else(|error| Self::new(Err(error)))
    }

    pub(crate) fn from_extensions(extensions: &http::Extensions) -> Result<Self, Error> {
        extensions.get::<Self>().cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::Settings,
                "this request carries no database: serve the handler with stagelink::run, or add \
                 a stagelink::Database to the request's extensions",
            )
        })
    }

    /// Returns the stage that this function serves.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stage`] or [`ErrorKind::Settings`] when the environment names none.
    pub fn stage(&self) -> Result<Stage, Error> {
        match &*self.state {
            State::Ready { stage, .. } => Ok(*stage),
            State::Refused(error) => Err(error.clone()),
        }
    }

    /// Returns the stage, or `None` where the settings are not usable.
    #[cfg(feature = "lambda")]
    pub(crate) fn stage_if_known(&self) -> Option<Stage> {
        match &*self.state {
            State::Ready { stage, .. } => Some(*stage),
            State::Refused(_) => None,
        }
    }

    /// Closes all connections, including those that return later, and reuses none of them.
    ///
    /// For a platform that takes a snapshot of the process and restores it several times, such
    /// as AWS Lambda with SnapStart: call it before the snapshot and after each restore.
    pub async fn discard_connections(&self) {
        if let State::Ready { pool, .. } = &*self.state {
            pool.restart().await;
        }
    }

    /// Returns a connection to the stage's database, from the pool or new.
    ///
    /// It makes one attempt, with new credentials where the old ones are stale; but where the
    /// database has no connection left it waits for one, as [`read`](Self::read) does.
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`] but those of a query, each with what the operator can do. An [`Error`]
    /// that a handler returns becomes a response without that text.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any point, which closes a connection that it was opening.
    pub async fn client(&self) -> Result<Client, Error> {
        self.retry()?.one_client().await
    }

    /// Opens a connection before the first request.
    ///
    /// Where the database has no connection left, this does not wait for one; the first request
    /// does. `stagelink::run` calls it at the start, logs an error as a warning and goes on.
    ///
    /// # Errors
    ///
    /// As [`client`](Self::client).
    ///
    /// # Cancel safety
    ///
    /// As [`client`](Self::client).
    pub async fn warm_up(&self) -> Result<(), Error> {
        match &*self.state {
            State::Ready { pool, .. } => pool.warm_up().await,
            State::Refused(error) => Err(error.clone()),
        }
    }

    /// Returns the phases' durations of the connection opened last; `None` before the first with the current
    /// credentials.
    pub fn connect_timings(&self) -> Option<ConnectTimings> {
        match &*self.state {
            State::Ready { pool, .. } => pool.connect_timings(),
            State::Refused(_) => None,
        }
    }
}

impl State {
    fn ready(
        stage: Stage,
        provider: AnyProvider,
        deploy_time: Option<Credentials>,
        limits: Limits,
        server: ServerSettings,
    ) -> Result<Self, Error> {
        let pool = Pool::new(stage, provider, deploy_time, limits, server)?;
        Ok(Self::Ready { stage, pool })
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.state {
            State::Ready { stage, .. } => f.debug_tuple("Database").field(stage).finish(),
            State::Refused(error) => f.debug_tuple("Database").field(error).finish(),
        }
    }
}

/// Returns a connection to the database of the stage that a request belongs to:
/// [`Database::from_request`] and [`Database::client`] in one line.
///
/// # Errors
///
/// As [`Database::client`].
pub fn client<B>(
    request: &Request<B>,
) -> impl Future<Output = Result<Client, Error>> + Send + use<B> {
    let database = Database::from_request(request);
    async move { database.client().await }
}
