//! One generation of credentials, and the pool of connections that it opens.

use std::fmt;
use std::sync::Arc;

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Object, RecycleError, RecycleResult};
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::config::Limits;
use crate::error::{Error, ErrorKind};
use crate::postgres::connect::connector::Connector;
use crate::postgres::pool::connection::PooledConnection;
use crate::postgres::pool::health::Event;
use crate::postgres::pool::loans::Loans;
use crate::postgres::pool::reset::{PATIENCE, ResetTasks};
use crate::postgres::pool::shared_health::SharedHealth;

/// The connections of one generation of credentials. Clones share them.
pub(in crate::postgres) type Connections = deadpool::managed::Pool<ConnectionManager>;

/// A connection that the pool has lent.
pub(in crate::postgres) type Connection = Object<ConnectionManager>;

/// Opens connections with one generation of credentials, and checks those that come back.
pub(in crate::postgres) struct ConnectionManager {
    /// Number of the generation. The first is 1.
    pub(in crate::postgres) generation: u64,
    pub(in crate::postgres) connector: Connector,
    pub(in crate::postgres) health: Arc<SharedHealth>,
    pub(in crate::postgres) reset_tasks: Arc<ResetTasks>,
    pub(in crate::postgres) loans: Loans,
    pub(in crate::postgres) limits: Limits,
}

impl ConnectionManager {
    /// Makes the pool of its connections.
    pub(in crate::postgres) fn into_pool(self) -> Result<Connections, Error> {
        let Limits {
            pool_size, wait, ..
        } = self.limits;
        Connections::builder(self)
            .max_size(pool_size.get())
            .wait_timeout(Some(wait))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| {
                Error::with_source(ErrorKind::Settings, "could not make the pool", error)
            })
    }
}

impl Manager for ConnectionManager {
    // In a box, since the pool moves it about with each loan.
    type Type = Box<PooledConnection>;
    type Error = Error;

    async fn create(&self) -> Result<Box<PooledConnection>, Error> {
        let generation = self.generation;
        // Large and rare: a request that takes an idle connection does not carry it.
        let opened = Box::pin(self.connector.open()).await?;
        self.health.observe(Event::Opened { generation });
        Ok(Box::new(PooledConnection::new(
            opened,
            generation,
            Arc::clone(&self.health),
            Arc::clone(&self.reset_tasks),
            &self.loans,
            self.limits.idle,
        )))
    }

    async fn recycle(
        &self,
        connection: &mut Box<PooledConnection>,
        _: &Metrics,
    ) -> RecycleResult<Error> {
        connection.begin_loan().await.map_err(RecycleError::message)
    }
}

/// Takes a connection back. A session that refused a write may be closed, so that the next loan
/// opens another. A session with a running statement or an open transaction is reset
/// first, and keeps its place in the pool meanwhile, so that a request waits for that short
/// time. Where the reset takes too long, the connection is given up.
pub(in crate::postgres) fn give_back(mut connection: Connection) {
    let state = connection.end_loan();
    if connection.is_discarded() && Handle::try_current().is_ok() {
        let reset_tasks = Arc::clone(&connection.reset_tasks);
        reset_tasks.spawn(Object::take(connection).close());
        return;
    }
    // The pool itself discards what has ended. Without a runtime nothing can wait for the
    // server, and the pool gives the connection up.
    if state.is_idle || state.has_ended || Handle::try_current().is_err() {
        return;
    }
    let reset_tasks = Arc::clone(&connection.reset_tasks);
    reset_tasks.spawn(reset(connection));
}

async fn reset(connection: Connection) {
    let mut unproven = Unproven(Some(connection));
    let Some(connection) = &mut unproven.0 else {
        return;
    };
    match timeout(PATIENCE, connection.reset()).await {
        Ok(true) => {
            tracing::debug!("an abandoned statement was stopped, its connection stays");
            drop(unproven.0.take());
        }
        _ => tracing::debug!("an abandoned statement did not stop in time, nor its connection"),
    }
}

/// A connection on which something may run. Unless it is taken out, it is closed and not given back
/// to the pool, also where the reset is aborted.
struct Unproven(Option<Connection>);

impl Drop for Unproven {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

/// Closes the idle connections, and returns when the server knows.
pub(in crate::postgres) async fn close_idle(connections: &Connections) {
    let idle = connections.retain(|_, _| false).removed;
    join_all(idle.into_iter().map(PooledConnection::close)).await;
}

impl fmt::Debug for ConnectionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionManager")
            .field("generation", &self.generation)
            .field("connector", &self.connector)
            .finish_non_exhaustive()
    }
}
