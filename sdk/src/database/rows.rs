//! The rows of a large result, one by one as the server sends them.

use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::time::{Sleep, sleep_until};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, RowStream};

use crate::database::Database;
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::Client;
use crate::stage::Stage;

/// The rows of a result as a stream that holds its connection until its end.
///
/// The rows arrive as fast as the function takes them: the server waits for a slower function.
/// Dropping the stream before its end cancels the statement in the server, as [`Client`] does.
/// When the invocation has to be answered before the last row, the stream ends with an error.
#[must_use = "a stream does nothing until it is polled"]
pub struct Rows {
    /// `Some` until the end.
    flow: Option<Flow>,
    stage: Stage,
}

struct Flow {
    rows: Pin<Box<RowStream>>,
    /// Lent until the last row.
    _client: Client,
    limit: Option<Pin<Box<Sleep>>>,
}

impl Database {
    /// Runs a statement and streams its rows, with one round trip to the first.
    ///
    /// The parameters come with their types, as [`params!`](crate::params) gives them.
    ///
    /// With [`run_with_streaming_response`](crate::run_with_streaming_response) a result of any
    /// size passes through a function of little memory. A connection is waited for as by
    /// [`read`](Self::read), but the statement is sent once only.
    ///
    /// # Errors
    ///
    /// As [`client`](Self::client) before the first row. The stream ends with its first error:
    /// that of the statement, or [`ErrorKind::Timeout`] when the invocation has to be answered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the statement in the server, see [`Client`].
    pub async fn rows(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Rows, Error> {
        let mut retry = self.retry()?;
        let (client, _) = retry.connection().await?;
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(parameter, kind)| (*parameter, kind.clone()))
            .collect();
        let rows = retry
            .work(client.query_typed_raw(sql, parameters))
            .await??;
        Ok(Rows {
            flow: Some(Flow {
                rows: Box::pin(rows),
                _client: client,
                limit: self.deadline.map(|ends| Box::pin(sleep_until(ends))),
            }),
            stage: self.stage()?,
        })
    }
}

impl Stream for Rows {
    type Item = Result<Row, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let stage = self.stage;
        let Some(flow) = &mut self.flow else {
            return Poll::Ready(None);
        };
        let is_over = flow
            .limit
            .as_mut()
            .is_some_and(|limit| limit.as_mut().poll(cx).is_ready());
        let next = if is_over {
            Poll::Ready(Some(Err(out_of_time(stage))))
        } else {
            let next = flow.rows.as_mut().poll_next(cx);
            next.map(|row| row.map(|row| row.map_err(Error::from)))
        };
        if !matches!(next, Poll::Pending | Poll::Ready(Some(Ok(_)))) {
            self.flow = None;
        }
        next
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

fn out_of_time(stage: Stage) -> Error {
    Error::new(
        ErrorKind::Timeout(Phase::Query),
        format!(
            "the rows of a query to the database of stage {stage} took as long as this invocation \
             may last"
        ),
    )
}
