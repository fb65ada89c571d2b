//! The link from a function to its stage's database: what a handler holds.

mod by_stage;
mod idempotency;
mod inspect;
mod read_write;
mod retry;
mod rows;
mod transaction;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lambda_http::Request;
use tokio::time::Instant;

use self::retry::Retry;

use crate::config::{Limits, ServerSettings, Settings};
use crate::credentials::{Credentials, parse_deploy_time};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::postgres::ConnectTimings;
use crate::postgres::{Client, Pool};
use crate::provider::{AnyProvider, Provider};
use crate::stage::Stage;

pub use self::by_stage::Databases;
pub use self::idempotency::IDEMPOTENCY_TABLE;
pub use self::idempotency::IdempotencyKey;
pub use self::inspect::DatabaseInfo;
pub use self::rows::Rows;

/// A function's link to the database of its stage.
///
/// [`run`](crate::run) makes one per process and puts it into every request, so
/// a handler finds it with [`Database::of`], or an axum handler with
/// `Extension<Database>`. Clones share one pool.
///
/// Nothing is opened or asked before the first client is wanted.
///
/// A handler that does its work through [`read`](Self::read),
/// [`write`](Self::write), [`transaction`](Self::transaction) and
/// [`once`](Self::once) survives the loss of its connection; one that takes a
/// [`client`](Self::client) gets to see it as an error.
#[derive(Clone)]
pub struct Database {
    state: Arc<State>,
    /// Until when the invocation that it was made for may work on the database.
    deadline: Option<Instant>,
}

enum State {
    Ready {
        stage: Stage,
        pool: Pool,
    },
    /// The settings are not usable. The function still starts and answers:
    /// a process that exits tells its clients nothing.
    Refused(Error),
}

impl Database {
    /// A link by the environment of this process; see [`Settings`] for the variables.
    ///
    /// It cannot fail: where the environment does not say enough, the reason is
    /// what [`stage`](Self::stage) and [`client`](Self::client) answer.
    pub fn from_env() -> Self {
        Self::new(Settings::from_env())
    }

    /// A link by these settings, or one that answers with the reason why there are none.
    pub fn new(settings: Result<Settings, Error>) -> Self {
        let state = settings
            .and_then(|settings| {
                let Settings {
                    stage,
                    deploy_time,
                    provider,
                    limits,
                    server,
                } = settings;
                let deploy_time = deploy_time
                    .map(|deploy_time| parse_deploy_time(&deploy_time, stage))
                    .transpose()?;
                let provider = AnyProvider::from_settings(provider, deploy_time.is_some())?;
                State::ready(stage, provider, deploy_time, limits, server)
            })
            .unwrap_or_else(State::Refused);
        Self::with_state(state)
    }

    /// A link whose credentials come from a provider of one's own.
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

    /// The same link, for an invocation that the platform ends at that time.
    ///
    /// [`run`](crate::run) does this for each request; it is for functions with another
    /// loop, say those that take messages of a queue. What is done through the link ends
    /// 300 ms before that time, or in the last quarter of a shorter invocation, so that
    /// there is time to answer.
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
            pool.invocation_lasts(deadline.end.saturating_duration_since(Instant::now()));
        }
        Self {
            state: Arc::clone(&self.state),
            deadline: Some(deadline.work),
        }
    }

    /// How long the database may still be worked on in this invocation; `None` outside of one.
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Leaves the database in peace at the end of an invocation.
    ///
    /// Statements that were abandoned are being stopped in the server: this waits for that,
    /// up to 300 ms, since the process may be frozen afterwards. And where the database had
    /// no connection left in the last 30 s, it gives this instance's back, for others to have
    /// a turn. [`run`](crate::run) does this for each request.
    ///
    /// # Cancel safety
    ///
    /// What is not stopped when this is dropped is given up with its connection.
    pub async fn finish_invocation(&self) {
        if let State::Ready { pool, .. } = &*self.state {
            pool.finish_invocation().await;
        }
    }

    /// Whether [`settle`](Self::settle) has nothing to do.
    pub(crate) fn is_settled(&self) -> bool {
        match &*self.state {
            State::Ready { pool, .. } => pool.is_settled(),
            State::Refused(_) => true,
        }
    }

    /// Says goodbye to the server on all connections that are not lent. The link works on,
    /// with new ones. [`run`](crate::run) does this when the process is told to end.
    pub async fn close(&self) {
        if let State::Ready { pool, .. } = &*self.state {
            pool.close().await;
        }
    }

    /// The link that [`run`](crate::run) put into a request.
    ///
    /// For a request that did not come through it, the link's answers say so.
    pub fn from_request(request: &Request) -> Self {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .unwrap_or_else(|| {
                Self::new(Err(Error::new(
                    ErrorKind::Settings,
                    "this request carries no database: serve the handler with stagelink::run",
                )))
            })
    }

    /// The stage that this function serves.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stage`] or [`ErrorKind::Settings`] when the environment does
    /// not say enough.
    pub fn stage(&self) -> Result<Stage, Error> {
        match &*self.state {
            State::Ready { stage, .. } => Ok(*stage),
            State::Refused(error) => Err(error.clone()),
        }
    }

    /// The same without a reason why it is not known.
    fn stage_if_known(&self) -> Option<Stage> {
        match &*self.state {
            State::Ready { stage, .. } => Some(*stage),
            State::Refused(_) => None,
        }
    }

    /// Closes all connections, and lends none of them ever again.
    async fn start_afresh(&self) {
        if let State::Ready { pool, .. } = &*self.state {
            pool.start_afresh().await;
        }
    }

    /// A connection to the stage's database: one from the pool, or a new one.
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`] but those of a query, each telling what to do. An [`Error`]
    /// returned from a handler becomes a response that a client may see. There
    /// is one attempt, with new credentials where the old ones are stale; but where the
    /// database has no connection left this waits for one, as [`read`](Self::read) does.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any point; a connection that it was about to
    /// open is given up.
    pub async fn client(&self) -> Result<Client, Error> {
        self.retry()?.one_client().await
    }

    /// Opens a connection before one is wanted. Where the database has none left, nobody
    /// waits: the first request does.
    pub(crate) async fn warm_up(&self) -> Result<(), Error> {
        match &*self.state {
            State::Ready { pool, .. } => pool.warm_up().await,
            State::Refused(error) => Err(error.clone()),
        }
    }

    /// The attempts at one piece of work.
    fn retry(&self) -> Result<Retry<'_>, Error> {
        match &*self.state {
            State::Ready { pool, .. } => Ok(Retry::new(pool, self.deadline)),
            State::Refused(error) => Err(error.clone()),
        }
    }

    /// How long the phases of the connection opened last took; `None` before the first.
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

/// A connection to the database of the stage that a request belongs to:
/// [`Database::of`] and [`Database::client`] in one line.
///
/// # Errors
///
/// As [`Database::client`].
pub fn client(request: &Request) -> impl Future<Output = Result<Client, Error>> + Send + use<> {
    let database = Database::from_request(request);
    async move { database.client().await }
}
