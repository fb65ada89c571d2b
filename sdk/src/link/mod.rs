//! The link from a function to its stage's database: what a handler holds.

mod attempts;
mod examination;
mod idempotency;
mod transaction;
mod work;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use lambda_http::Request;
use tokio::time::Instant;

use self::attempts::Attempts;

use crate::credentials::{AnyProvider, Credentials, Provider, unseal};
use crate::error::{Error, ErrorKind};
use crate::postgres::{Client, Pool};
use crate::settings::{Limits, ServerSettings, Settings};
use crate::stage::Stage;
use crate::telemetry::Phases;

pub use self::examination::Examination;
pub use self::idempotency::IDEMPOTENCY_TABLE;
pub use self::idempotency::IdempotencyKey;

/// A function's link to the database of its stage.
///
/// [`run`](crate::run) makes one per process and puts it into every request, so
/// a handler finds it with [`Link::of`], or an axum handler with
/// `Extension<Link>`. Clones share one pool.
///
/// Nothing is opened or asked before the first client is wanted.
///
/// A handler that does its work through [`read`](Self::read),
/// [`write`](Self::write), [`transaction`](Self::transaction) and
/// [`once`](Self::once) survives the loss of its connection; one that takes a
/// [`client`](Self::client) gets to see it as an error.
#[derive(Clone)]
pub struct Link {
    state: Arc<State>,
    /// When the invocation that it was made for has to be answered.
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

impl Link {
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
                    sealed,
                    provider,
                    limits,
                    server,
                } = settings;
                let sealed = sealed.map(|sealed| unseal(&sealed, stage)).transpose()?;
                let provider = AnyProvider::from_settings(provider)?;
                State::ready(stage, provider, sealed, limits, server)
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

    /// The same link, for an invocation that has to be answered by then.
    pub(crate) fn until(&self, deadline: Option<Instant>) -> Self {
        Self {
            state: Arc::clone(&self.state),
            deadline,
        }
    }

    /// The link that [`run`](crate::run) put into a request.
    ///
    /// For a request that did not come through it, the link's answers say so.
    pub fn of(request: &Request) -> Self {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .unwrap_or_else(|| {
                Self::new(Err(Error::new(
                    ErrorKind::Settings,
                    "this request carries no link: serve the handler with stagelink::run",
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

    /// A connection to the stage's database: one from the pool, or a new one.
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`] but those of a query, each telling what to do. An [`Error`]
    /// returned from a handler becomes a response that a client may see. There
    /// is one attempt, with new credentials where the old ones are stale.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any point; a connection that it was about to
    /// open is given up.
    pub async fn client(&self) -> Result<Client, Error> {
        self.attempts()?.one_connection().await
    }

    /// The attempts at one piece of work.
    fn attempts(&self) -> Result<Attempts<'_>, Error> {
        match &*self.state {
            State::Ready { pool, .. } => Ok(Attempts::new(pool, self.deadline)),
            State::Refused(error) => Err(error.clone()),
        }
    }

    /// How long the phases of the connection opened last took; `None` before the first.
    pub fn phases(&self) -> Option<Phases> {
        match &*self.state {
            State::Ready { pool, .. } => pool.phases(),
            State::Refused(_) => None,
        }
    }
}

impl State {
    fn ready(
        stage: Stage,
        provider: AnyProvider,
        sealed: Option<Credentials>,
        limits: Limits,
        server: ServerSettings,
    ) -> Result<Self, Error> {
        let pool = Pool::new(stage, provider, sealed, limits, server)?;
        Ok(Self::Ready { stage, pool })
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.state {
            State::Ready { stage, .. } => f.debug_tuple("Link").field(stage).finish(),
            State::Refused(error) => f.debug_tuple("Link").field(error).finish(),
        }
    }
}

/// A connection to the database of the stage that a request belongs to:
/// [`Link::of`] and [`Link::client`] in one line.
///
/// # Errors
///
/// As [`Link::client`].
pub fn client(request: &Request) -> impl Future<Output = Result<Client, Error>> + Send + use<> {
    let link = Link::of(request);
    async move { link.client().await }
}
