//! A read of what is kept in a stage's database. It ends although the server does not answer, such as
//! while another session has locked the table.

use std::time::Duration;

use stagelink::tokio_postgres::Client as DriverClient;
use stagelink::{Client, Database};
use tokio::time::timeout;

use crate::error::{Error, ErrorKind};
use crate::migrations::read_error::ReadError;

/// Connects for a read. `what` says what could not be done otherwise.
///
/// # Errors
///
/// [`ErrorKind::Database`] when the database cannot be reached.
pub(crate) async fn connect(database: &Database, what: &str) -> Result<Client, Error> {
    let client = database.client().await;
    client.map_err(|error| Error::with_source(ErrorKind::Database, what, error))
}

/// Reads in a transaction that can change nothing, and waits for the answers, [`ANSWER`] at most.
///
/// # Errors
///
/// [`ErrorKind::Database`] when they do not come, or the server refuses a query.
pub(crate) async fn read_only<T, E: Into<ReadError>>(
    client: &Client,
    what: &str,
    read: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    answered(what, in_read_only(client, read)).await
}

/// Reads in a transaction that can change nothing. The session must have none open.
///
/// # Errors
///
/// Those of the read, and of the driver.
pub(crate) async fn in_read_only<T, E: Into<ReadError>>(
    client: &DriverClient,
    read: impl Future<Output = Result<T, E>>,
) -> Result<T, ReadError> {
    client.batch_execute("BEGIN READ ONLY").await?;
    let read = read.await;
    // It also ends a transaction that has failed.
    let ended = client.batch_execute("ROLLBACK").await;
    let read = read.map_err(Into::<ReadError>::into)?;
    ended?;
    Ok(read)
}

/// Waits for the answers to a read, [`ANSWER`] at most.
///
/// # Errors
///
/// [`ErrorKind::Database`] when they do not come, or the server refuses a query.
pub(crate) async fn answered<T, E: Into<ReadError>>(
    what: &str,
    read: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    answered_within(ANSWER, what, read).await
}

/// Waits for the answers to a read as [`answered`] does, with a limit of its own.
///
/// # Errors
///
/// Those of [`answered`].
pub(crate) async fn answered_within<T, E: Into<ReadError>>(
    limit: Duration,
    what: &str,
    read: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    let reason = match timeout(limit, read).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error.into().to_string(),
        Err(_) => format!("the server has not answered for {limit:?}"),
    };
    Err(Error::new(ErrorKind::Database, format!("{what}: {reason}")))
}

/// The longest time that the answers to a read take: a row per migration or deploy is milliseconds.
const ANSWER: Duration = Duration::from_secs(10);
