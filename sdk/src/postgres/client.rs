//! What a handler talks to its database with.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use deadpool_postgres::ClientWrapper;
use tokio::sync::oneshot;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::postgres::pool::manager::{Connection, PooledConnection};
use crate::postgres::protocol::Tap;

/// A connection to the stage's database, lent by the pool until it is dropped.
///
/// It is used as a `tokio_postgres::Client`: `query_typed`, `execute_typed`
/// and a prepared statement each cost one round trip, `query` with a text costs two, since
/// it is prepared first. [`query_cached`](Self::query_cached) and its like cost one, and let
/// the server read a statement once only.
///
/// ```no_run
/// # async fn example(request: lambda_http::Request) -> Result<(), stagelink::Error> {
/// let db = stagelink::client(&request).await?;
/// let sql = "SELECT count(*) FROM guestbook WHERE id < $1";
/// let row = db.query_typed_one(sql, &stagelink::params![100_i64]).await?;
/// # let _: i64 = row.get(0);
/// # Ok(())
/// # }
/// ```
///
/// Dropping it in the middle of a [`transaction`](ClientWrapper::transaction)
/// rolls that back. When it is dropped while a statement runs, as when a time-out gives the
/// future of a query up, the server is asked to stop that at once, over another connection;
/// this one is lent again when the server has confirmed it, and given up if that takes more
/// than 300 ms. `CancelToken::cancel_query` does not work on it, since the driver
/// does not know the address that it was connected to;
/// `cancel_query_raw` with a stream of one's own does.
pub struct Client {
    /// There until it is dropped.
    connection: Option<Connection>,
}

impl Client {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection: Some(connection),
        }
    }

    pub(crate) fn tap(&self) -> &Tap {
        &self.pooled().tap
    }

    /// Whether the server has said, just now and unasked, that it takes no writes.
    pub(crate) fn take_reported_read_only(&mut self) -> bool {
        self.connection
            .as_mut()
            .is_some_and(|connection| connection.take_reported_read_only())
    }

    /// Whether its server changes from one transaction to the next.
    pub(crate) fn is_pooled(&self) -> bool {
        self.pooled().is_pooled()
    }

    fn pooled(&self) -> &PooledConnection {
        self.connection
            .as_ref()
            .expect("it is there until the drop")
    }
}

/// The methods that [`Client`] and [`Transaction`] have beside the driver's.
macro_rules! cached_statements {
    () => {
        /// The rows of a statement that is likely to come again, in one round trip.
        ///
        /// The parameters come with their types, as [`params!`](crate::params) gives them. A
        /// statement that comes for the second time on a connection is prepared beside being
        /// run, and from the third time on the server need not read it again. Where a
        /// migration has changed a table under it ("cached plan must not change result type")
        /// it is sent anew, and nobody notices; inside of a transaction that takes a new
        /// one, which [`Database::transaction`](crate::Database::transaction) begins by itself.
        /// Behind a transaction pooler nothing is prepared. A connection keeps 100 statements.
        ///
        /// # Errors
        ///
        /// The driver's, which `?` makes an [`Error`](crate::Error).
        ///
        /// # Cancel safety
        ///
        /// As for the driver's own methods: the statement is sent when the future is first
        /// polled. One that is dropped afterwards is stopped, see [`Client`].
        pub async fn query_cached(
            &self,
            sql: &str,
            parameters: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Vec<Row>, tokio_postgres::Error> {
            self.pooled().rows(sql, parameters).await
        }

        /// The same for a statement that gives one row, or none. Of several it is the first.
        ///
        /// # Errors
        ///
        /// As [`query_cached`](Self::query_cached).
        pub async fn query_cached_opt(
            &self,
            sql: &str,
            parameters: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Option<Row>, tokio_postgres::Error> {
            let rows = self.query_cached(sql, parameters).await?;
            Ok(rows.into_iter().next())
        }

        /// The same for a statement whose rows nobody wants: how many it changed.
        ///
        /// # Errors
        ///
        /// As [`query_cached`](Self::query_cached).
        pub async fn execute_cached(
            &self,
            sql: &str,
            parameters: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<u64, tokio_postgres::Error> {
            self.pooled().count(sql, parameters).await
        }
    };
}

impl Client {
    cached_statements!();
}

impl Deref for Client {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.pooled().client
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        let connection = self.connection.as_mut();
        &mut connection.expect("it is there until the drop").client
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let reset_tasks = Arc::clone(&connection.reset_tasks);
            reset_tasks.take(connection);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A connection inside a transaction that [`Database::transaction`](crate::Database::transaction)
/// or [`Database::once`](crate::Database::once) has begun and will end.
///
/// It takes queries as a [`Client`] does; it cannot begin another transaction,
/// and COMMIT and ROLLBACK are not for it to send. Dropping it ends nothing: the
/// result of the work decides.
pub struct Transaction {
    /// There until it is dropped.
    client: Option<Client>,
    back: Option<oneshot::Sender<Client>>,
}

impl Transaction {
    /// Lends a connection, and tells where it comes back.
    pub(crate) fn lend(client: Client) -> (Self, oneshot::Receiver<Client>) {
        let (back, comes_back) = oneshot::channel();
        let transaction = Self {
            client: Some(client),
            back: Some(back),
        };
        (transaction, comes_back)
    }
}

impl Transaction {
    cached_statements!();

    fn pooled(&self) -> &PooledConnection {
        let client = self.client.as_ref();
        client.expect("it is there until the drop").pooled()
    }
}

impl Deref for Transaction {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.pooled().client
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let (Some(client), Some(back)) = (self.client.take(), self.back.take()) {
            // Where nobody waits for it any more the connection is given up.
            back.send(client).ok();
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}
