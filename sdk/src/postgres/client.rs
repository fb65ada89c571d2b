//! What a handler talks to its database with.

use std::fmt;
use std::ops::{Deref, DerefMut};

use deadpool_postgres::ClientWrapper;
use tokio::sync::oneshot;

use crate::postgres::generation::Connection;
use crate::postgres::tap::Tap;

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
/// server; the connection is given up then, and not lent again.
/// `CancelToken::cancel_query` does not work on it, since the driver
/// does not know the address that it was connected to;
/// `cancel_query_raw` with a stream of one's own does.
pub struct Client(pub(super) Connection);

impl Client {
    pub(crate) fn tap(&self) -> &Tap {
        &self.0.tap
    }

    /// Whether the server has said, just now and unasked, that it takes no writes.
    pub(crate) fn is_reported_read_only(&mut self) -> bool {
        self.0.is_reported_read_only()
    }
}

impl Deref for Client {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.0.client
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        &mut self.0.client
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.tell();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A connection inside a transaction that [`Link::transaction`](crate::Link::transaction)
/// or [`Link::once`](crate::Link::once) has begun and will end.
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

impl Deref for Transaction {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        self.client.as_deref().expect("it is there until the drop")
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
