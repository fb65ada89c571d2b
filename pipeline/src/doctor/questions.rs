//! The questions about a database's history and schema: each in a read-only transaction with time
//! limits of the server's own, so that none stays behind.

use std::future::Future;
use std::time::Duration;

use stagelink::tokio_postgres::Client;
use tokio::time::timeout;

use crate::doctor::verdict::Verdict;
use crate::migrations::ReadError;

/// The questions to one database, one after another.
pub(super) struct Questions<'a> {
    client: &'a Client,
    /// True once the server has not answered: what is sent then waits behind the open question.
    is_silent: bool,
}

impl<'a> Questions<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self {
            client,
            is_silent: false,
        }
    }

    /// Judges an answer that is read in a transaction of its own, if it comes in time.
    pub(super) async fn judge<T, E: Into<ReadError>>(
        &mut self,
        answer: impl Future<Output = Result<T, E>>,
        judge: impl FnOnce(&T) -> Vec<Verdict>,
    ) -> Vec<Verdict> {
        judged(self.read(answer).await, judge)
    }

    /// Judges an answer that is read in transactions with time limits already, if it comes in time.
    pub(super) async fn judge_unguarded<T, E: Into<ReadError>>(
        &mut self,
        answer: impl Future<Output = Result<T, E>>,
        judge: impl FnOnce(&T) -> Vec<Verdict>,
    ) -> Vec<Verdict> {
        judged(self.read_unguarded(answer).await, judge)
    }

    /// Returns an answer that is read in a transaction of its own, or the reason why there is none.
    pub(super) async fn read<T, E: Into<ReadError>>(
        &mut self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        let client = self.client;
        let in_transaction = async {
            client.batch_execute(BEGIN).await?;
            let answer = answer.await;
            // It also ends a transaction that has failed.
            let ended = client.batch_execute("ROLLBACK").await;
            let answer = answer.map_err(Into::<ReadError>::into)?;
            ended?;
            Ok::<_, ReadError>(answer)
        };
        self.read_unguarded(in_transaction).await
    }

    async fn read_unguarded<T, E: Into<ReadError>>(
        &mut self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        if self.is_silent {
            return Err(SILENT.to_owned());
        }
        match timeout(ANSWER, answer).await {
            Ok(answer) => answer.map_err(|error| error.into().to_string()),
            Err(_) => {
                self.is_silent = true;
                Err(SILENT.to_owned())
            }
        }
    }
}

fn judged<T>(answer: Result<T, String>, judge: impl FnOnce(&T) -> Vec<Verdict>) -> Vec<Verdict> {
    match answer {
        Ok(answer) => judge(&answer),
        Err(reason) => vec![Verdict::not_checked(reason)],
    }
}

/// A table that is locked for longer is not waited for, since others would wait behind.
const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL lock_timeout TO '2s'; \
     SET LOCAL statement_timeout TO '10s'";

const SILENT: &str = "the server did not answer in time";

/// The longest time of one answer, beyond the server's own limits.
const ANSWER: Duration = Duration::from_secs(20);
