//! The pool of connections to one stage's database.

use std::fmt;
use std::ops::{Deref, DerefMut};

use deadpool_postgres::{
    ClientWrapper, Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime, TimeoutType,
};

use crate::credentials::AnyProvider;
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::connect::{Connector, uncarry};
use crate::settings::Limits;
use crate::stage::Stage;
use crate::telemetry::Phases;

/// A pool that opens connections when they are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    inner: deadpool_postgres::Pool,
    connector: Connector,
    stage: Stage,
    limits: Limits,
}

impl Pool {
    pub(crate) fn new(stage: Stage, provider: AnyProvider, limits: Limits) -> Result<Self, Error> {
        let connector = Connector::new(stage, provider, limits.clone());
        let manager = Manager::from_connect(
            // The connector brings its own settings with the credentials.
            tokio_postgres::Config::new(),
            connector.clone(),
            ManagerConfig {
                // No ping: a warm request pays for its query alone.
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let inner = deadpool_postgres::Pool::builder(manager)
            .max_size(limits.pool_size.get())
            .wait_timeout(Some(limits.wait))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| {
                Error::because(ErrorKind::Settings, "could not make the pool", error)
            })?;
        Ok(Self {
            inner,
            connector,
            stage,
            limits,
        })
    }

    pub(crate) async fn client(&self) -> Result<Client, Error> {
        match self.inner.get().await {
            Ok(client) => Ok(Client(client)),
            Err(PoolError::Backend(error)) => Err(uncarry(error)),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(Error::new(
                ErrorKind::Timeout(Phase::Wait),
                format!(
                    "no connection of the pool for stage {} became free within {} ms: all {} are \
                     in use",
                    self.stage,
                    self.limits.wait.as_millis(),
                    self.limits.pool_size,
                ),
            )),
            Err(error) => Err(Error::because(
                ErrorKind::DatabaseUnreachable,
                format!("the pool for stage {} gave no connection", self.stage),
                error,
            )),
        }
    }

    pub(crate) fn phases(&self) -> Option<Phases> {
        self.connector.phases()
    }
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
