//! Work on a connection, and the rules by which it is done again when that fails under it.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::{
    Checkpoint, Client, Pool, Staleness, Tap, WriteOutcome, of_query, read_only,
};

/// The attempts at one piece of work.
pub(super) struct Retry<'a> {
    pool: &'a Pool,
    /// When the invocation has to be answered.
    deadline: Option<Instant>,
    pauses: ExponentialBackoff,
    first: bool,
    /// Since when the database has no connection left for this work, and its last words.
    full: Option<(Instant, Error)>,
}

impl<'a> Retry<'a> {
    pub(super) fn new(pool: &'a Pool, deadline: Option<Instant>) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(SHORTEST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_jitter()
            .without_max_times()
            .build();
        Self {
            pool,
            deadline,
            pauses,
            first: true,
            full: None,
        }
    }

    pub(super) fn pool(&self) -> &'a Pool {
        self.pool
    }

    /// A connection, and the watch over what happens on it. Where none can be
    /// had for a reason that may pass, this waits for as long as attempts may go on.
    pub(super) async fn connection(&mut self) -> Result<(Client, OutcomeProbe), Error> {
        loop {
            match self.one_connection().await {
                Ok(client) => {
                    let outcome = OutcomeProbe::over(&client);
                    return Ok((client, outcome));
                }
                Err(failure) if is_transient(failure.kind()) => self.backoff(failure).await?,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// The same for one who does not want to wait, unless there is no connection left in
    /// the database: others give theirs back.
    pub(super) async fn one_client(&mut self) -> Result<Client, Error> {
        loop {
            match self.one_connection().await {
                Err(failure) if failure.kind() == ErrorKind::TooManyConnections => {
                    self.backoff(failure).await?;
                }
                answer => return answer,
            }
        }
    }

    /// The same for work that writes: a connection whose server says at the start that
    /// it takes none counts as a failure, once.
    pub(super) async fn connection_to_write(&mut self) -> Result<(Client, OutcomeProbe), Error> {
        loop {
            let (mut client, outcome) = self.connection().await?;
            if !client.take_reported_read_only() {
                return Ok((client, outcome));
            }
            drop(client);
            self.backoff(read_only(self.pool.stage())).await?;
        }
    }

    /// A connection, or the reason why there is none now.
    async fn one_connection(&self) -> Result<Client, Error> {
        // In a box: the handler's own future is moved about a few times for each request.
        let client = Box::pin(self.pool.client(self.deadline));
        self.within(Phase::Connect, "connecting", client).await?
    }

    /// Does some work, but gives it up when the invocation has to be answered.
    pub(super) async fn work<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        self.within(Phase::Query, "a query", work).await
    }

    async fn within<T>(
        &self,
        phase: Phase,
        what: &str,
        step: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let Some(deadline) = self.deadline else {
            return Ok(step.await);
        };
        timeout_at(deadline, step).await.map_err(|_| {
            self.reason(Error::new(
                ErrorKind::Timeout(phase),
                format!(
                    "{what} to the database of stage {} took as long as this invocation may last \
                     ({phase})",
                    self.pool.stage()
                ),
            ))
        })
    }

    /// Why there is no connection: a time-out after the database was full is no news.
    fn reason(&self, failure: Error) -> Error {
        match (&self.full, failure.kind()) {
            (_, ErrorKind::Timeout(Phase::Query)) | (None, _) => failure,
            (Some((_, full)), ErrorKind::Timeout(_)) => full.clone(),
            (Some(_), _) => failure,
        }
    }

    /// Lets some time pass before the next attempt, or gives the failure back
    /// where there will be none.
    ///
    /// Attempts go on for the time limit from the beginning of the trouble, and
    /// not from the beginning of the request: where nothing has worked for long,
    /// nobody is kept waiting. For a connection that others give back each request waits
    /// its own time, though.
    pub(super) async fn backoff(&mut self, failure: Error) -> Result<(), Error> {
        let is_full = failure.kind() == ErrorKind::TooManyConnections;
        let limit = self.pool.limits().retry;
        let ends = if is_full {
            self.pool.record_full();
            let since = self
                .full
                .as_ref()
                .map_or_else(Instant::now, |(since, _)| *since);
            self.full = Some((since, failure.clone()));
            since + limit
        } else {
            Instant::from_std(self.pool.record_failure(&failure)) + limit
        };
        // A server that has too much to do is not helped by one who comes back at once.
        let is_busy = is_full || matches!(failure.kind(), ErrorKind::Timeout(_));
        let first = std::mem::take(&mut self.first) && !is_busy;
        let pause = if first && Instant::now() < ends {
            // A connection that was ended by the server is most often replaced at once.
            Duration::ZERO
        } else {
            self.pauses.next().unwrap_or(LONGEST_PAUSE)
        };
        let pause = match failure.kind() {
            // A provider that says when to come back is not asked before.
            ErrorKind::RateLimited => pause.max(failure.retry_after().unwrap_or_default()),
            // Each attempt costs the server a whole handshake, and there may be a thousand
            // like this.
            ErrorKind::TooManyConnections | ErrorKind::Timeout(_) => {
                (pause * BUSY).mul_f64(0.5 + fastrand::f64())
            }
            _ => pause,
        };
        // A provider of one's own may say any time at all.
        let Some(then) = Instant::now().checked_add(pause) else {
            return Err(self.reason(failure));
        };
        let in_time = self.deadline.is_none_or(|deadline| then < deadline);
        if !in_time || then >= ends {
            return Err(self.reason(failure));
        }
        tracing::debug!(reason = %failure.report(), ?pause, "trying again");
        sleep(pause).await;
        Ok(())
    }
}

/// Whether a failure to get a connection may pass within seconds: a server that
/// restarts or is replaced, a new password that the provider does not know yet, a
/// provider that stumbles.
fn is_transient(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::DatabaseUnreachable
            | ErrorKind::TooManyConnections
            | ErrorKind::DatabaseRefused
            | ErrorKind::DatabaseMissing
            | ErrorKind::RateLimited
            | ErrorKind::ProviderUnavailable
            | ErrorKind::Timeout(Phase::Resolve | Phase::Connect | Phase::Handshake)
    )
}

/// Sees what becomes of the work on a connection, which may have been given
/// back by the time that somebody asks.
pub(super) struct OutcomeProbe {
    tap: Tap,
    mark: Checkpoint,
}

impl OutcomeProbe {
    fn over(client: &Client) -> Self {
        let tap = client.tap().clone();
        let mark = tap.checkpoint();
        Self { tap, mark }
    }

    /// What became of all that was sent.
    pub(super) fn write_outcome(&self) -> WriteOutcome {
        self.tap.outcome_since(&self.mark)
    }

    /// Whether the connection came to its end.
    pub(super) fn has_lost_connection(&self) -> Option<Error> {
        if !self.tap.has_ended() {
            return None;
        }
        let error = self.tap.error_since(&self.mark);
        let (kind, says) = error
            .as_deref()
            .and_then(of_query)
            .unwrap_or((ErrorKind::DatabaseUnreachable, Staleness::Suspect));
        let code = error.map_or_else(String::new, |code| format!(" ({code})"));
        Some(
            Error::new(
                kind,
                format!("the connection to the database ended during a query{code}"),
            )
            .with_staleness(says),
        )
    }

    /// Whether the database took no write, as a standby does.
    pub(super) fn met_read_only(&self, pool: &Pool) -> Option<Error> {
        let error = self.tap.error_since(&self.mark)?;
        match of_query(&error) {
            Some((ErrorKind::DatabaseReadOnly, _)) => Some(read_only(pool.stage())),
            _ => None,
        }
    }

    /// Whether the transaction failed through no fault of its own: the server gave it up for
    /// another's sake (serialization_failure, deadlock_detected), or a statement that was
    /// prepared is of no use any more.
    pub(super) fn lost_race(&self) -> Option<Error> {
        if self.tap.has_lost_plan_since(&self.mark) {
            return Some(Error::new(
                ErrorKind::Query,
                "the database was changed under the statements of a transaction, again and again",
            ));
        }
        let code = self.tap.error_since(&self.mark)?;
        matches!(code.as_str(), "40001" | "40P01").then(|| {
            Error::new(
                ErrorKind::Query,
                format!("the transaction lost against another one ({code}), again and again"),
            )
        })
    }
}

/// Some of the work may have taken effect, and nobody can say.
pub(super) fn outcome_unknown(failure: Error) -> Error {
    Error::with_source(
        ErrorKind::OutcomeUnknown,
        "the connection to the database ended before it answered a request that may have changed \
         something, so it was not sent again",
        failure,
    )
}

/// How much longer the pauses are where a server has too much to do: up to 4.5 s.
const BUSY: u32 = 6;

/// Shorter than a connection takes to be opened …
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// … and short enough to notice soon that a server is back.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
