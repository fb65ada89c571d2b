//! Transactions that survive the loss of a connection.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use crate::database::Database;
use crate::database::local_settings::LocalSettings;
use crate::database::retry::{OutcomeProbe, outcome_unknown};
use crate::error::{Error, ErrorKind};
use crate::postgres::{Client, Event, Transaction, WriteOutcome, for_transaction};

impl Database {
    /// Does work in one transaction: all of it takes effect, or nothing.
    ///
    /// It is committed when the work succeeds, and rolled back when it returns an
    /// error. Where the connection is lost before the COMMIT was sent, or the
    /// transaction lost against another one (`40001`, `40P01`), nothing took
    /// effect, and the work is done again, within the limits of
    /// [`read`](Self::read). A COMMIT that the server did not answer
    /// is [`ErrorKind::OutcomeUnknown`].
    ///
    /// The server ends a statement that outlasts the invocation, and rolls back where the
    /// function itself is gone. Behind a transaction pooler, whose sessions keep no settings,
    /// the transaction carries these limits.
    ///
    /// Costs two round trips beside those of the work. The isolation level is the
    /// database's; a first statement of `SET TRANSACTION ISOLATION LEVEL …` sets another.
    ///
    /// ```no_run
    /// # use http::Request;
    /// # use stagelink::{Database, Error};
    /// async fn clear<B>(request: &Request<B>) -> Result<(), Error> {
    ///     Database::from_request(request)
    ///         .transaction(|db| async move {
    ///             db.execute_typed("INSERT INTO archive SELECT * FROM guestbook", &[]).await?;
    ///             db.execute_typed("DELETE FROM guestbook", &[]).await?;
    ///             Ok(())
    ///         })
    ///         .await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and [`ErrorKind::Query`] when a statement of the work failed
    /// and the work ignored that: the database has rolled it back then.
    ///
    /// # Cancel safety
    ///
    /// After a drop before the COMMIT nothing takes effect; the connection is lent again once the server has
    /// rolled back.
    pub async fn transaction<T, E, W, F>(&self, work: W) -> Result<T, E>
    where
        W: Fn(Transaction) -> F,
        F: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        self.transact(None, work).await
    }

    /// Does work in one transaction, with settings that hold for it alone.
    ///
    /// As [`transaction`](Self::transaction), at the same cost: the settings travel beside the
    /// BEGIN. They are what row-level security needs, and the way to change a setting behind a
    /// transaction pooler.
    ///
    /// ```no_run
    /// # use http::Request;
    /// # use stagelink::{Database, Error, LocalSettings};
    /// async fn notes<B>(request: &Request<B>, tenant: &str) -> Result<usize, Error> {
    ///     let settings = LocalSettings::new().set("app.tenant", tenant);
    ///     Database::from_request(request)
    ///         .transaction_with(settings, |db| async move {
    ///             // The policy of the table compares each row with current_setting('app.tenant').
    ///             Ok(db.query_typed("SELECT text FROM notes", &[]).await?.len())
    ///         })
    ///         .await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`transaction`](Self::transaction), and [`ErrorKind::Query`] for a setting or role that
    /// the database refuses, or whose value has a NUL character.
    ///
    /// # Cancel safety
    ///
    /// As [`transaction`](Self::transaction).
    pub async fn transaction_with<T, E, W, F>(
        &self,
        settings: LocalSettings,
        work: W,
    ) -> Result<T, E>
    where
        W: Fn(Transaction) -> F,
        F: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        settings.check()?;
        self.transact(Some(&settings), work).await
    }

    async fn transact<T, E, W, F>(&self, settings: Option<&LocalSettings>, work: W) -> Result<T, E>
    where
        W: Fn(Transaction) -> F,
        F: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        let mut retry = self.retry()?;
        loop {
            let (client, outcome) = retry.connection_to_write().await?;
            let transacted = retry
                .work(transact(
                    client,
                    &outcome,
                    self.time_left(),
                    settings,
                    &work,
                ))
                .await?;
            let failure = outcome.failed_transaction(&retry);
            match (transacted, failure) {
                (Err(Failed::Work(error)), None) => {
                    retry.record(Event::WriteSucceeded);
                    return Err(error);
                }
                (Err(Failed::Work(_)), Some(failure))
                    if outcome.write_outcome() != WriteOutcome::Applied =>
                {
                    retry.backoff(failure).await?;
                }
                (Err(Failed::Commit(_)), Some(failure))
                    if outcome.write_outcome() == WriteOutcome::NotApplied =>
                {
                    retry.backoff(failure).await?;
                }
                (Err(Failed::Commit(error)), None) => return Err(error.into()),
                (Err(_), Some(failure)) => return Err(outcome_unknown(failure).into()),
                (Ok(value), _) => {
                    retry.record(Event::WriteSucceeded);
                    return Ok(value);
                }
            }
        }
    }
}

/// The stage at which a transaction failed.
pub(super) enum Failed<E> {
    /// The COMMIT was not sent.
    Work(E),
    /// It was sent, or was about to be.
    Commit(Error),
}

/// One attempt at a transaction.
async fn transact<T, E, W, F>(
    client: Client,
    outcome: &OutcomeProbe,
    left: Option<Duration>,
    settings: Option<&LocalSettings>,
    work: &W,
) -> Result<T, Failed<E>>
where
    W: Fn(Transaction) -> F,
    F: Future<Output = Result<T, E>>,
    E: From<Error>,
{
    let begin = begin(&client, left);
    let begun = match settings {
        Some(settings) => Box::pin(settings.begin(&client, &begin)).await,
        None => client.batch_execute(&begin).await.map_err(Error::from),
    };
    if let Err(error) = begun {
        // BEGIN may have succeeded, and a setting failed.
        if client.tap().is_in_transaction() {
            client.batch_execute("ROLLBACK").await.ok();
        }
        return Err(Failed::Work(error.into()));
    }
    let (client, value) = do_work(client, work).await.map_err(Failed::Work)?;
    let committed = client.batch_execute("COMMIT").await;
    committed.map_err(|error| Failed::Commit(error.into()))?;
    committed_indeed(outcome)?;
    Ok(value)
}

/// The statement that begins a transaction. A session of the pool's own already ends what goes
/// on for too long; other clients share a pooler's session, so there the transaction has to.
pub(super) fn begin(client: &Client, left: Option<Duration>) -> Cow<'static, str> {
    match left {
        Some(left) if client.is_pooled() => Cow::Owned(format!("BEGIN; {}", for_transaction(left))),
        _ => Cow::Borrowed("BEGIN"),
    }
}

/// Does the work with a connection inside of a transaction, and rolls back where it fails.
pub(super) async fn do_work<T, E, W, F>(client: Client, work: &W) -> Result<(Client, T), E>
where
    W: Fn(Transaction) -> F,
    F: Future<Output = Result<T, E>>,
    E: From<Error>,
{
    let (transaction, comes_back) = Transaction::lend(client);
    let result = work(transaction).await;
    let client = comes_back.await;
    match (result, client) {
        (Ok(value), Ok(client)) => Ok((client, value)),
        (Err(error), Ok(client)) => {
            // A ROLLBACK would wait for an abandoned statement. Dropping the connection cancels
            // it, and rolls back too.
            if !client.tap().is_at_work() {
                client.batch_execute("ROLLBACK").await.ok();
            }
            Err(error)
        }
        (Err(error), Err(_)) => Err(error),
        (Ok(_), Err(_)) => Err(Error::new(
            ErrorKind::Query,
            "the work of a transaction kept its connection, so nothing could be committed",
        )
        .into()),
    }
}

/// Postgres answers a COMMIT after a failed statement with ROLLBACK, and no error.
pub(super) fn committed_indeed<E>(outcome: &OutcomeProbe) -> Result<(), Failed<E>> {
    match outcome.write_outcome() {
        WriteOutcome::Applied => Ok(()),
        WriteOutcome::NotApplied | WriteOutcome::InDoubt => Err(Failed::Commit(Error::new(
            ErrorKind::Query,
            "a statement of the transaction had failed, so the database rolled it back",
        ))),
    }
}
