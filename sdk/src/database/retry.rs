//! The attempts at one piece of work: when it is tried again, and for how long.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep, timeout_at};

use crate::database::{Database, State};
use crate::error::{Error, ErrorKind, Phase};
use crate::local_spans::{SpanPhase, open_span};
use crate::meaning::{Meaning, Repeats};
use crate::postgres::{
    Cause, Checkpoint, Client, Event, Pool, Tap, WriteOutcome, cause_in_session, ended, read_only,
};

/// The attempts at one piece of work.
pub(super) struct Retry<'a> {
    pool: &'a Pool,
    /// Time at which the invocation has to be answered.
    deadline: Option<Instant>,
    pauses: ExponentialBackoff,
    is_first: bool,
    /// True if the work was repeated after a time limit of the server ended it.
    has_repeated_limited: bool,
    /// Since when the database has had no connection left for this work, and its last error.
    full: Option<(Instant, Error)>,
}

impl Database {
    /// Begins the attempts at one piece of work.
    pub(super) fn retry(&self) -> Result<Retry<'_>, Error> {
        let pool = match &*self.state {
            State::Ready { pool, .. } => pool,
            State::Refused(error) => return Err(error.clone()),
        };
        let pauses = ExponentialBuilder::default()
            .with_min_delay(SHORTEST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_jitter()
            .without_max_times()
            .build();
        Ok(Retry {
            pool,
            deadline: self.deadline,
            pauses,
            is_first: true,
            has_repeated_limited: false,
            full: None,
        })
    }
}

impl Retry<'_> {
    /// Takes note of work that succeeded on a connection.
    pub(super) fn record(&self, success: Event) {
        self.pool.health().observe(success);
    }

    /// Returns a connection, and a probe that sees the outcome of the work on it. Waits while
    /// none is to be had for a transient reason, for as long as attempts may go on.
    pub(super) async fn connection(&mut self) -> Result<(Client, OutcomeProbe), Error> {
        loop {
            match self.one_connection().await {
                Ok(client) => {
                    let outcome = OutcomeProbe::new(&client);
                    return Ok((client, outcome));
                }
                Err(failure) => self.backoff(failure).await?,
            }
        }
    }

    /// Returns a connection after one attempt. Waits only while the database has none left:
    /// other instances give theirs back.
    pub(super) async fn one_client(&mut self) -> Result<Client, Error> {
        loop {
            match self.one_connection().await {
                Err(failure) if failure.meaning().is_crowding() => {
                    self.backoff(failure).await?;
                }
                answer => return answer,
            }
        }
    }

    /// Returns a connection for work that writes: one whose server reports at its start that it
    /// refuses writes counts as a failure, once.
    pub(super) async fn connection_to_write(&mut self) -> Result<(Client, OutcomeProbe), Error> {
        loop {
            let (client, outcome) = self.connection().await?;
            if !client.is_reported_read_only() {
                return Ok((client, outcome));
            }
            client.record_read_only();
            drop(client);
            self.backoff(read_only(self.pool.stage())).await?;
        }
    }

    async fn one_connection(&self) -> Result<Client, Error> {
        // In a box: the handler's own future is moved about a few times for each request.
        let client = Box::pin(Client::take(self.pool, self.deadline));
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

    /// The error to return for want of a connection: after the database was full, a time-out
    /// says less than that.
    fn reason(&self, failure: Error) -> Error {
        match (&self.full, failure.kind()) {
            (_, ErrorKind::Timeout(Phase::Query)) | (None, _) => failure,
            (Some((_, full)), ErrorKind::Timeout(_)) => full.clone(),
            (Some(_), _) => failure,
        }
    }

    /// Pauses before the next attempt, or returns the failure where there will be none.
    ///
    /// Attempts go on for the time limit from the beginning of the trouble, and not of the
    /// request: where nothing has worked for long, no request waits. For a connection that other
    /// instances give back each request waits its own time, though.
    pub(super) async fn backoff(&mut self, failure: Error) -> Result<(), Error> {
        if !self.may_repeat(failure.meaning()) {
            return Err(failure);
        }
        let ends = self.record_failure(&failure);
        let pause = self.pause(&failure, ends);
        // A provider of the user's own may ask for any pause at all.
        let Some(next) = Instant::now().checked_add(pause) else {
            return Err(self.reason(failure));
        };
        let is_in_time = self.deadline.is_none_or(|deadline| next < deadline);
        if !is_in_time || next >= ends {
            return Err(self.reason(failure));
        }
        tracing::debug!(reason = %failure.report(), ?pause, "trying again");
        let span = (!pause.is_zero()).then(|| open_span(SpanPhase::Pause));
        sleep(pause).await;
        if let Some(span) = span {
            span.end();
        }
        Ok(())
    }

    /// Returns whether a failure of this meaning is followed by another attempt, and counts those
    /// that happen once.
    fn may_repeat(&mut self, meaning: Meaning) -> bool {
        match meaning.repeats() {
            Repeats::None => false,
            Repeats::Once => !std::mem::replace(&mut self.has_repeated_limited, true),
            Repeats::UntilTimeLimit => true,
        }
    }

    /// Takes note of a failed attempt. Returns the time at which the attempts end.
    fn record_failure(&mut self, failure: &Error) -> Instant {
        let limit = self.pool.limits().retry;
        if failure.meaning().is_crowding() {
            let since = self
                .full
                .take()
                .map_or_else(Instant::now, |(since, _)| since);
            self.full = Some((since, failure.clone()));
            later(since, limit)
        } else {
            let since = self.pool.health().record_failed_work(failure.meaning());
            later(since, limit)
        }
    }

    /// The pause before the next attempt.
    fn pause(&mut self, failure: &Error, ends: Instant) -> Duration {
        let is_busy = matches!(failure.meaning(), Meaning::Crowded | Meaning::Silent);
        // A connection that the server ended is most often replaced at once; a server that has
        // too much to do is not helped by that.
        let is_first = std::mem::take(&mut self.is_first);
        let pause = if is_first && !is_busy && Instant::now() < ends {
            Duration::ZERO
        } else {
            self.pauses.next().unwrap_or(LONGEST_PAUSE)
        };
        match failure.kind() {
            // A provider that says when to come back is not asked before.
            ErrorKind::RateLimited => pause.max(failure.retry_after().unwrap_or_default()),
            // Each attempt costs the server a whole handshake, and a thousand instances may be
            // trying.
            _ if is_busy => (pause * BUSY).mul_f64(0.5 + fastrand::f64()),
            _ => pause,
        }
    }
}

/// Returns the moment so long after another. A limit beyond the clock's range ends in 30 years.
fn later(since: Instant, limit: Duration) -> Instant {
    since
        .checked_add(limit)
        .unwrap_or_else(|| since + Duration::from_secs(30 * 365 * 24 * 3600))
}

/// Sees the outcome of the work on a connection, which may have been given back meanwhile.
pub(super) struct OutcomeProbe {
    tap: Tap,
    mark: Checkpoint,
    /// True if a refused write is what the URL asked for.
    wants_read_only: bool,
}

impl OutcomeProbe {
    fn new(client: &Client) -> Self {
        let tap = client.tap().clone();
        let mark = tap.checkpoint();
        Self {
            tap,
            mark,
            wants_read_only: client.wants_read_only(),
        }
    }

    /// The outcome of all that was sent.
    pub(super) fn write_outcome(&self) -> WriteOutcome {
        self.tap.outcome_since(&self.mark)
    }

    /// The failure, if the connection has ended, and not for the sake of a COPY that had failed.
    pub(super) fn lost_connection(&self) -> Option<Error> {
        if !self.tap.has_ended() || self.tap.is_out_of_step() {
            return None;
        }
        if let Some(oversize) = self.tap.oversize() {
            return Some(Error::with_source(
                ErrorKind::Query,
                "the connection to the database was closed during a query",
                oversize,
            ));
        }
        Some(ended(self.tap.error_since(&self.mark).as_ref()))
    }

    /// The failure of a read, if the connection has ended, a prepared statement was outdated, or
    /// the server gave the statement up for the sake of another: on a follower, of the replay of
    /// the primary's changes ("conflict with recovery").
    pub(super) fn failed_read(&self) -> Option<Error> {
        self.lost_connection()
            .or_else(|| self.lost_plan())
            .or_else(|| self.lost_race())
    }

    /// The failure of a write, if the connection has ended, the database refused to write, as
    /// a standby does, or a prepared statement was outdated.
    pub(super) fn failed_write(&self, retry: &Retry<'_>) -> Option<Error> {
        let refused_write = || {
            let has_refused = !self.wants_read_only && self.tap.has_refused_write_since(&self.mark);
            has_refused.then(|| read_only(retry.pool.stage()))
        };
        self.lost_connection()
            .or_else(refused_write)
            .or_else(|| self.lost_plan())
    }

    /// The failure of a transaction: that of a write, or one that is no fault of its own: the
    /// server gave it up for another's sake (serialization_failure, deadlock_detected).
    pub(super) fn failed_transaction(&self, retry: &Retry<'_>) -> Option<Error> {
        self.failed_write(retry).or_else(|| self.lost_race())
    }

    /// The failure of a prepared statement that was outdated, and is prepared anew by now.
    fn lost_plan(&self) -> Option<Error> {
        self.tap.has_lost_plan_since(&self.mark).then(|| {
            Error::new(
                ErrorKind::Query,
                "the database was changed under prepared statements, again and again",
            )
            .with_meaning(Meaning::LostRace)
        })
    }

    fn lost_race(&self) -> Option<Error> {
        let error = self.tap.error_since(&self.mark)?;
        let cause = cause_in_session(&error).filter(|cause| *cause == Cause::LostRace)?;
        Some(
            Error::new(
                cause.kind(),
                format!(
                    "the transaction or statement lost against another one ({}), again and again",
                    error.code
                ),
            )
            .with_meaning(cause.meaning()),
        )
    }
}

/// The error of work that may have taken effect or not.
pub(super) fn outcome_unknown(failure: Error) -> Error {
    Error::with_source(
        ErrorKind::OutcomeUnknown,
        "the connection to the database ended before it answered a request that may have changed \
         something, so it was not sent again",
        failure,
    )
}

/// Factor for the pauses where a server has too much to do: up to 4.5 s.
const BUSY: u32 = 6;

/// Shorter than a connection takes to be opened …
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// … and short enough to notice soon that a server is back.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_may_be_longer_than_any_clock_runs() {
        let now = Instant::now();
        assert_eq!(later(now, LONGEST_PAUSE), now + LONGEST_PAUSE);
        assert!(later(now, Duration::MAX) > now + LONGEST_PAUSE);
    }
}
