//! The task that renews a lease, and makes all of its changes, on a session of its own.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use stagelink::tokio_postgres::Error as DriverError;
use stagelink::tokio_postgres::types::Type;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use super::doubts::Doubts;
use super::row::LeaseRow;
use crate::error::{Error, ErrorKind};
use crate::migrations::Session;
use crate::promotion::stop::LeaseEnd;

/// The times of a lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The time for which each renewal holds.
    pub(super) validity: Duration,
    /// The time between two renewals.
    pub(super) period: Duration,
    /// The longest time that the answer to a fence may take; an older one says nothing about now.
    pub(super) fresh: Duration,
}

impl Default for Times {
    fn default() -> Self {
        // Three renewals may fail before another command may take the lease: a process that was killed
        // keeps others waiting for a minute.
        Self {
            validity: Duration::from_secs(60),
            period: Duration::from_secs(15),
            // Much less than the time for which a renewal holds.
            fresh: Duration::from_secs(10),
        }
    }
}

impl Times {
    /// Returns the validity in seconds, for `make_interval`.
    pub(super) fn validity_seconds(&self) -> f64 {
        self.validity.as_secs_f64()
    }
}

/// A change of the lease's row. Each of them fails where the token is another one's.
pub(super) enum Change {
    /// Holds it for longer.
    Renew,
    /// Holds it for longer, and keeps this JSON as the progress.
    Save(String),
    /// Deletes it.
    Delete,
    /// Holds it for one more time, without progress, by which it is free then.
    Keep,
    /// Ends it: deletes a row without progress, and lets one with progress be expired.
    End,
}

/// A wish of the holder, with the way to its result.
pub(super) enum Request {
    Change(Change, oneshot::Sender<Result<(), Error>>),
    /// Gives the lease back, as far as nothing is in doubt.
    Release(oneshot::Sender<Result<LeaseEnd, Error>>),
}

/// The task's own state.
pub(super) struct Renewal {
    pub(super) session: Session,
    pub(super) table: String,
    pub(super) token: String,
    pub(super) times: Times,
    /// The reason why the lease is lost.
    pub(super) lost: Arc<OnceLock<String>>,
    /// The changes whose result is not known.
    pub(super) doubts: Arc<Doubts>,
}

impl Renewal {
    /// Renews the lease until it is released or lost, or the holder is gone, who gives it back by that. Tells
    /// the end where there is a way to.
    pub(super) async fn run(
        self,
        mut requests: mpsc::Receiver<Request>,
        mut holder_is_gone: oneshot::Receiver<()>,
        told: Option<oneshot::Sender<LeaseEnd>>,
    ) {
        let mut ticks = interval(self.times.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, and the lease was taken just now.
        ticks.tick().await;
        loop {
            let request = tokio::select! {
                biased;
                // What the holder has asked for comes before its end.
                Some(request) = requests.recv() => Some(request),
                _ = &mut holder_is_gone => break,
                _ = ticks.tick() => None,
            };
            let (change, reply) = match request {
                Some(Request::Change(change, reply)) => (change, Some(reply)),
                Some(Request::Release(reply)) => {
                    let released = self.release().await;
                    match &released {
                        Err(error) => self.lose(error),
                        Ok(end) if end.held_since.is_some() => {
                            if let Some(told) = told {
                                let _ = told.send(end.clone());
                            }
                        }
                        Ok(_) => {}
                    }
                    let _ = reply.send(released);
                    return;
                }
                None => (Change::Renew, None),
            };
            let result = self.make(&change).await;
            let is_lost = result
                .as_ref()
                .inspect_err(|error| self.lose(error))
                .is_err();
            if let Some(reply) = reply {
                let _ = reply.send(result);
            }
            if is_lost {
                return;
            }
        }
        let end = self.end().await;
        if let Some(told) = told {
            let _ = told.send(end);
        }
    }

    fn lose(&self, error: &Error) {
        let _ = self.lost.set(error.report());
    }

    /// Ends the lease of a holder that is done with the stage.
    ///
    /// # Errors
    ///
    /// Those of [`make`](Self::make).
    async fn release(&self) -> Result<LeaseEnd, Error> {
        if self.doubts.exist() {
            self.make(&Change::Keep).await?;
            return Ok(self.held(IN_DOUBT).await);
        }
        self.make(&Change::Delete).await?;
        Ok(LeaseEnd::given_back(self.session.stage))
    }

    /// Ends the lease of a holder that is gone.
    async fn end(&self) -> LeaseEnd {
        if self.doubts.exist() {
            return self.held(IN_DOUBT).await;
        }
        // A row that is another command's by now stays as it is.
        match self.session.answered("", self.change(&Change::End)).await {
            Ok(_) => LeaseEnd::given_back(self.session.stage),
            Err(_) => self.held("the database does not answer").await,
        }
    }

    /// Returns the end of a lease whose row keeps its time.
    async fn held(&self, reason: &str) -> LeaseEnd {
        let stage = self.session.stage;
        let read = LeaseRow::read(&self.session.client, &self.table, stage);
        let row = self.session.answered("", read).await.ok().flatten();
        let row = row.filter(|row| row.token == self.token);
        LeaseEnd {
            stage,
            held_since: Some(reason.to_owned()),
            holds_until: row.map(|row| row.expires_at),
        }
    }

    /// Makes a change.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] when the row is no longer the holder's, or has expired;
    /// [`ErrorKind::Database`] when the server does not answer.
    async fn make(&self, change: &Change) -> Result<(), Error> {
        let stage = self.session.stage;
        let what = "could not hold the lease on the stage any longer, so nothing more was changed";
        if self.session.answered(what, self.change(change)).await? {
            return Ok(());
        }
        let read = LeaseRow::read(&self.session.client, &self.table, stage);
        let why = match self.session.answered(what, read).await? {
            None => {
                "another command took it, and is done with it, or has taken back what this one \
                     did"
                .to_owned()
            }
            Some(row) if row.token == self.token => format!(
                "it was not renewed in time, and ended at {}, as when the computer sleeps: run the \
                 command again, which goes on",
                row.expires_at
            ),
            Some(row) => format!("{row} has it since {}", row.taken_at),
        };
        Err(Error::new(
            ErrorKind::Busy,
            format!("the lease on stage {stage} was lost, so nothing more was changed: {why}"),
        ))
    }

    /// Returns whether the change found the row.
    async fn change(&self, change: &Change) -> Result<bool, DriverError> {
        let table = &self.table;
        let is_own = "stage = $1 AND token = $2";
        let is_held =
            format!("{is_own} AND expires_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()");
        let renewed =
            "expires_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3)";
        let seconds = self.times.validity_seconds();
        let stage = self.session.stage.to_string();
        let own = [(&stage as _, Type::TEXT), (&self.token as _, Type::TEXT)];
        let (sql, more) = match change {
            Change::Renew => (
                format!("UPDATE {table} SET {renewed} WHERE {is_held}"),
                vec![(&seconds as _, Type::FLOAT8)],
            ),
            Change::Save(progress) => (
                format!(
                    "UPDATE {table} SET {renewed}, progress = $4::pg_catalog.jsonb WHERE {is_held}"
                ),
                vec![(&seconds as _, Type::FLOAT8), (progress as _, Type::TEXT)],
            ),
            Change::Delete => (format!("DELETE FROM {table} WHERE {is_own}"), Vec::new()),
            Change::Keep => (
                format!("UPDATE {table} SET {renewed}, progress = NULL WHERE {is_held}"),
                vec![(&seconds as _, Type::FLOAT8)],
            ),
            // One statement sees the row as it was, so each of the two acts on its own rows.
            Change::End => (
                format!(
                    "WITH unused AS (DELETE FROM {table} WHERE {is_own} AND progress IS NULL) \
                     UPDATE {table} SET expires_at = pg_catalog.clock_timestamp() \
                     WHERE {is_held} AND progress IS NOT NULL"
                ),
                Vec::new(),
            ),
        };
        let parameters: Vec<_> = own.into_iter().chain(more).collect();
        let rows = self.session.client.execute_typed(&sql, &parameters).await?;
        Ok(rows == 1)
    }
}

const IN_DOUBT: &str = "a call that changes something was under way, whose result is not known";
