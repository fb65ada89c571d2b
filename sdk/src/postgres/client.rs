//! The connections that a function works with: lent by the pool, in a transaction, or detached.

use std::fmt;
use std::ops::{Deref, DerefMut};

use deadpool::managed::Object;
use deadpool_postgres::{ClientWrapper, TransactionBuilder};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::error::Error;
use crate::postgres::pool::Pool;
use crate::postgres::pool::connection::PooledConnection;
use crate::postgres::pool::inspect::DatabaseInfo;
use crate::postgres::pool::manager::{Connection, give_back};
use crate::postgres::protocol::Tap;

/// A connection to the stage's database, lent by the pool until it is dropped.
///
/// It dereferences to deadpool-postgres's `ClientWrapper`, and so to `tokio_postgres::Client`:
/// `query_typed`, `execute_typed` and a prepared statement each cost one round trip; `query`
/// with a text costs two, since the driver prepares it first.
/// [`query_cached`](Self::query_cached) and its like cost one, and the server parses such a
/// statement once only. Behind a transaction pooler all of them work at the same cost: prepared
/// statements stay on the client's side, and the server parses them each time.
///
/// ```no_run
/// # async fn example(database: &stagelink::Database) -> Result<(), stagelink::Error> {
/// let db = database.client().await?;
/// let sql = "SELECT count(*) FROM guestbook WHERE id < $1";
/// let row = db.query_typed_one(sql, &stagelink::params![100_i64]).await?;
/// # let _: i64 = row.get(0);
/// # Ok(())
/// # }
/// ```
///
/// It does not dereference mutably, so that two clients cannot swap their connections, which
/// would return to the wrong pools:
///
/// ```compile_fail,E0596
/// # fn example(mut one: stagelink::Client, mut other: stagelink::Client) {
/// std::mem::swap(&mut *one, &mut *other);
/// # }
/// ```
///
/// [`transaction`](Self::transaction) is a method of its own. [`detach`](Self::detach) takes the
/// connection out of the pool for code that needs a `&mut tokio_postgres::Client`.
///
/// Dropping it inside of a [`transaction`](Self::transaction) rolls the transaction back.
/// Dropping it while a statement runs, as a time-out does, cancels the statement in the server
/// over another connection. The pool lends this connection again once the server has confirmed
/// the cancellation, and closes it if that takes more than 300 ms.
/// `CancelToken::cancel_query` does not work on it, since the driver does not know the server's
/// address; `cancel_query_raw` with a stream of your own does.
pub struct Client {
    /// `Some` until the drop.
    connection: Option<Connection>,
}

impl Client {
    /// Takes a connection from the pool, and waits for it until `deadline` at most.
    pub(crate) async fn take(pool: &Pool, deadline: Option<Instant>) -> Result<Self, Error> {
        let connection = pool.lend(deadline).await?;
        Ok(Self {
            connection: Some(connection),
        })
    }

    pub(crate) fn tap(&self) -> &Tap {
        &self.pooled().tap
    }

    /// Returns whether the server reported, just now and unasked, that it refuses writes.
    pub(crate) fn is_reported_read_only(&self) -> bool {
        self.pooled().is_reported_read_only()
    }

    /// Returns whether the URL asked for a read-only session: a refused write says nothing of the server.
    pub(crate) fn wants_read_only(&self) -> bool {
        self.pooled().wants_read_only()
    }

    /// Takes note that the report was the answer to a write.
    pub(crate) fn record_read_only(&self) {
        self.pooled().record_read_only();
    }

    /// Returns whether a transaction pooler stands between the client and the server, so that
    /// nothing of a session lasts beyond a transaction.
    ///
    /// `STAGELINK_POOLER` can say so for a server whose answers do not tell.
    pub fn is_pooled(&self) -> bool {
        self.pooled().is_pooled()
    }

    fn pooled(&self) -> &PooledConnection {
        self.connection
            .as_ref()
            .expect("the connection is there until the drop")
    }

    fn wrapper_mut(&mut self) -> &mut ClientWrapper {
        let connection = self.connection.as_mut();
        &mut connection
            .expect("the connection is there until the drop")
            .client
    }

    /// Begins a transaction, which is rolled back unless it is committed.
    ///
    /// [`Database::transaction`](crate::Database::transaction) also repeats the work where the
    /// connection is lost and that is safe.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the transaction, rolls back.
    pub async fn transaction(
        &mut self,
    ) -> Result<deadpool_postgres::Transaction<'_>, tokio_postgres::Error> {
        self.wrapper_mut().transaction().await
    }

    /// Builds a transaction with another isolation level or access mode.
    pub fn build_transaction(&mut self) -> TransactionBuilder<'_> {
        self.wrapper_mut().build_transaction()
    }

    /// Takes the connection out of the pool, which may open another in its place.
    ///
    /// The detached connection dereferences mutably to `tokio_postgres::Client`, as tools for
    /// migrations ask for, and is closed when it is dropped:
    ///
    /// ```no_run
    /// # async fn example(
    /// #     database: &stagelink::Database,
    /// #     runner: impl AsyncFn(&mut tokio_postgres::Client),
    /// # ) -> Result<(), stagelink::Error> {
    /// let mut db = database.client().await?.detach();
    /// runner(&mut db).await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "a detached connection that is dropped is closed"]
    pub fn detach(mut self) -> DetachedClient {
        let connection = self.connection.take();
        let connection = connection.expect("the connection is there until the drop");
        connection.leave_pool();
        DetachedClient(Object::take(connection))
    }
}

/// The methods that [`Client`] and [`Transaction`] have beside the driver's.
macro_rules! cached_statements {
    () => {
        /// Runs a statement that is likely to recur, and returns its rows, in one round trip.
        ///
        /// The parameters come with their types, as [`params!`](crate::params) gives them. The
        /// second use of a statement on a connection also prepares it, and from the third use on
        /// the server does not parse it again. Where a migration has changed a table under it
        /// ("cached plan must not change result type") the SDK prepares it again; inside of a
        /// transaction that takes a new transaction, which
        /// [`Database::transaction`](crate::Database::transaction) begins by itself. Behind a
        /// transaction pooler nothing is prepared. A connection keeps 100 statements.
        ///
        /// # Errors
        ///
        /// Those of the driver, which `?` turns into an [`Error`](crate::Error).
        ///
        /// # Cancel safety
        ///
        /// As for the driver's own methods: the first poll sends the statement. Dropping the
        /// future afterwards cancels it, see [`Client`].
        pub async fn query_cached(
            &self,
            sql: &str,
            parameters: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Vec<Row>, tokio_postgres::Error> {
            self.pooled().runner().query(sql, parameters).await
        }

        /// Runs a statement as [`query_cached`](Self::query_cached) and returns its first row,
        /// if it has one.
        ///
        /// # Errors
        ///
        /// As [`query_cached`](Self::query_cached).
        ///
        /// # Cancel safety
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

        /// Runs a statement as [`query_cached`](Self::query_cached) and returns the number of
        /// rows that it changed.
        ///
        /// # Errors
        ///
        /// As [`query_cached`](Self::query_cached).
        ///
        /// # Cancel safety
        ///
        /// As [`query_cached`](Self::query_cached).
        pub async fn execute_cached(
            &self,
            sql: &str,
            parameters: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<u64, tokio_postgres::Error> {
            self.pooled().runner().execute(sql, parameters).await
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

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            give_back(connection);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A connection that left its pool with [`Client::detach`], closed when it is dropped.
///
/// It dereferences mutably to deadpool-postgres's `ClientWrapper` and `tokio_postgres::Client`.
/// The pool no longer resets its session or cancels its statements. The time limits of the
/// invocation that it was lent for stay: for long work, detach a connection of a [`Database`]
/// without a deadline, in a process that serves no invocations.
///
/// [`Database`]: crate::Database
pub struct DetachedClient(Box<PooledConnection>);

impl DetachedClient {
    /// Inspects a database, and keeps the connection unless the mark is another stage's.
    pub(crate) async fn inspect(pool: &Pool) -> Result<(DatabaseInfo, Option<Self>), Error> {
        let (info, connection) = pool.inspect_and_connect().await?;
        let client = connection.map(|connection| Self(Box::new(connection)));
        Ok((info, client))
    }
}

impl Deref for DetachedClient {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.0.client
    }
}

impl DerefMut for DetachedClient {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        &mut self.0.client
    }
}

impl fmt::Debug for DetachedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DetachedClient").finish_non_exhaustive()
    }
}

/// A connection inside of a transaction that [`Database::transaction`](crate::Database::transaction)
/// or [`Database::write_once`](crate::Database::write_once) begins and ends.
///
/// It takes queries as a [`Client`] does. It cannot begin another transaction, and the work must
/// send neither COMMIT nor ROLLBACK. Dropping it ends nothing: the result of the work decides.
pub struct Transaction {
    /// `Some` until the drop.
    client: Option<Client>,
    back: Option<oneshot::Sender<Client>>,
}

impl Transaction {
    /// Lends a connection, and returns the channel by which it comes back.
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
        client.expect("the client is there until the drop").pooled()
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
            // Without a receiver the client is dropped, which has the transaction rolled back.
            back.send(client).ok();
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}
