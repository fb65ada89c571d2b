//! Reads and writes that survive the loss of a connection.

use std::future::Future;

use crate::database::Database;
use crate::database::retry::outcome_unknown;
use crate::error::Error;
use crate::postgres::{Client, Event, WriteOutcome};

impl Database {
    /// Does work that changes nothing, with a connection to the stage's database.
    ///
    /// Where the connection is lost, or cannot be opened for a transient reason (a rotated
    /// password, a server that restarts or was replaced), the work starts again from its
    /// beginning, with a new connection and, if necessary, new credentials. Attempts go on until
    /// [`Limits::retry`](crate::Limits::retry) after the trouble began, and no longer than the
    /// invocation may last. An error of the work itself is returned as it is.
    ///
    /// ```no_run
    /// # use http::Request;
    /// # use stagelink::{Database, Error};
    /// async fn count<B>(request: &Request<B>) -> Result<i64, Error> {
    ///     Database::from_request(request)
    ///         .read(|db| async move {
    ///             let row = db.query_typed_one("SELECT count(*) FROM guestbook", &[]).await?;
    ///             Ok(row.get(0))
    ///         })
    ///         .await
    /// }
    /// ```
    ///
    /// The work may run more than once, so it should consist of queries alone. The SDK does not
    /// check that it changes nothing.
    ///
    /// # Errors
    ///
    /// Those of the work; and, converted into its type of error, those of
    /// [`client`](Self::client), and [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) when the
    /// invocation has to be answered.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any point. A query that still runs is cancelled in the
    /// server, see [`Client`].
    pub async fn read<T, E, W, F>(&self, work: W) -> Result<T, E>
    where
        W: Fn(Client) -> F,
        F: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        let mut retry = self.retry()?;
        loop {
            let (client, outcome) = retry.connection().await?;
            let result = retry.work(work(client)).await?;
            match (result, outcome.failed_read()) {
                (Err(_), Some(failure)) => retry.backoff(failure).await?,
                (result, _) => {
                    retry.record(Event::ReadSucceeded);
                    return result;
                }
            }
        }
    }

    /// Does work that changes something: one statement, as a rule.
    ///
    /// As [`read`](Self::read), but the work starts again only when nothing of it can have
    /// taken effect: it was never sent; or Postgres reported that it ended the session, or that
    /// the database is read-only, and so rolled back the statement. Where the connection broke
    /// without such a report the result is
    /// [`ErrorKind::OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown).
    ///
    /// Work of several statements that take effect one by one does not start again after the
    /// first of them has: put them into a [`transaction`](Self::transaction). To survive even an
    /// unknown outcome a write needs a key of its own: see [`write_once`](Self::write_once).
    ///
    /// ```no_run
    /// # use http::Request;
    /// # use stagelink::{Database, Error};
    /// # use tokio_postgres::types::Type;
    /// async fn sign<B>(request: &Request<B>, name: &str) -> Result<u64, Error> {
    ///     Database::from_request(request)
    ///         .write(|db| async move {
    ///             let sql = "INSERT INTO guestbook (name) VALUES ($1)";
    ///             Ok(db.execute_typed(sql, &[(&name, Type::TEXT)]).await?)
    ///         })
    ///         .await
    /// }
    /// ```
    ///
    /// Two effects are invisible from outside of the server, and may happen twice: the steps of
    /// a sequence, and what a procedure commits by itself.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and `OutcomeUnknown`. After a time-out the
    /// statement may still be running.
    ///
    /// # Cancel safety
    ///
    /// After a drop it is not known whether a statement that was sent takes effect.
    pub async fn write<T, E, W, F>(&self, work: W) -> Result<T, E>
    where
        W: Fn(Client) -> F,
        F: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        let mut retry = self.retry()?;
        loop {
            let (client, outcome) = retry.connection_to_write().await?;
            let result = retry.work(work(client)).await?;
            let failure = outcome.failed_write(&retry);
            match (result, failure) {
                (Err(_), Some(failure)) if outcome.write_outcome() == WriteOutcome::NotApplied => {
                    retry.backoff(failure).await?;
                }
                (Err(error), Some(failure)) => {
                    // The error of the work, where the server answered all of it.
                    return Err(match outcome.lost_connection() {
                        Some(_) => outcome_unknown(failure).into(),
                        None => error,
                    });
                }
                (result, _) => {
                    retry.record(Event::WriteSucceeded);
                    return result;
                }
            }
        }
    }
}
