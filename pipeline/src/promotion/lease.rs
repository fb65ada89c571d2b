//! The lease on a stage: a row in the stage's database that makes one command at a time change the
//! stage, and holds what a rerun needs to go on.

mod claim;
mod doubts;
mod handle;
mod origin;
mod renewal;
mod row;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use stagelink::{Database, Stage};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use self::claim::Claim;
pub(crate) use self::handle::LeaseHandle;
use self::origin::{is_foreign, new_token, origin};
use self::renewal::{Change, Renewal, Request, Times};
pub(crate) use self::row::LeaseRow;
use crate::error::{Error, ErrorKind};
use crate::fence::Fence;
use crate::migrations::{LEASES_TABLE, ReadError, Session, SessionWork, bounded_read};
use crate::promotion::own_table::OwnTable;
use crate::promotion::stop::{LeaseEnd, OrderlyStop};
use crate::promotion::unfinished::rerun;

/// The lease on a stage, which this process holds.
///
/// A task of its own renews it every 15 s, and each renewal holds for 60 s by the server's clock. Where
/// a renewal fails the lease is lost, and stays lost: [`fence`](Self::fence) fails from then on.
/// Before each call that changes the stage outside of the database, call `fence`.
///
/// Dropping it gives the lease back: its row ends, and stays where it has progress, by which a rerun of the
/// command goes on. Where the result of a change is not known, the row keeps its time. So it does where the
/// process is killed. [`release`](Self::release) deletes the row, unless a result is not known.
///
/// The progress is kept as it is given, so roles that may read the table read a secret in it: those of
/// the database's owner alone, unless default privileges say more. Neither `Debug` nor an error has it.
pub(crate) struct Lease {
    handle: LeaseHandle,
    /// Its end tells the renewal that the holder is gone.
    _holder: oneshot::Sender<()>,
    _renewal: AbortHandle,
}

/// A lease that was taken.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It was free, or its holder had kept no progress.
    Fresh(Lease),
    /// The holder was interrupted, and had kept this progress, which stays in the row until the next
    /// [`Lease::save`].
    Resumed(Lease, Progress),
}

/// The progress of a command that was interrupted. Its `Debug` shows nothing of it.
pub(crate) struct Progress(pub(crate) Value);

impl Lease {
    /// Looks at the lease on a stage; `None` where there is none. It changes nothing, and rows of other
    /// stages, which a copied database has, are ignored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] when the database cannot be reached, or refuses the query.
    pub(crate) async fn look(database: &Database) -> Result<Option<LeaseRow>, Error> {
        let what = "could not look at the lease on the stage";
        let failed = |error| Error::with_source(ErrorKind::Database, what, error);
        let stage = database.stage().map_err(failed)?;
        let client = bounded_read::connect(database, what).await?;
        let look = async {
            match TABLE.find(&client).await? {
                None => Ok(None),
                Some(table) => {
                    let mut row = LeaseRow::read(&client, &table, stage).await?;
                    if let Some(row) = &mut row {
                        let here = origin(&client, &table).await;
                        row.is_foreign = is_foreign(&row.token, here.as_deref());
                    }
                    Ok::<_, ReadError>(row)
                }
            }
        };
        bounded_read::answered(what, look).await
    }

    /// Takes the lease on a stage, where it is free; or takes over that of the same command, where it has
    /// expired by the server's clock. `progress` is what a new lease begins with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] when another command holds it: the error says which, since when and until when.
    /// [`ErrorKind::Settings`] when another command was interrupted, which has to go on or be taken back
    /// first, or when the URL leads to a pooler. [`ErrorKind::Database`] when the database cannot be
    /// reached, is a follower, or does not let the role create the table.
    pub(crate) async fn take(
        database: &Database,
        holder: &str,
        command: &str,
        progress: Option<&Value>,
    ) -> Result<Taken, Error> {
        Self::take_for(Times::default(), database, holder, command, progress).await
    }

    async fn take_for(
        times: Times,
        database: &Database,
        holder: &str,
        command: &str,
        progress: Option<&Value>,
    ) -> Result<Taken, Error> {
        let session = Session::open_for(SessionWork::Lease, database).await?;
        let table = TABLE.ensure(&session).await?;
        let stage = session.stage;
        let what = "could not take the lease on the stage, so nothing was changed";
        let here = origin(&session.client, &table).await;
        let token = new_token(here.as_deref());
        let claim = Claim {
            session: &session,
            table: &table,
            stage: stage.to_string(),
            token: &token,
            holder,
            command,
            times,
        };
        let progress = progress.filter(|progress| !progress.is_null());
        let progress = progress.map(Value::to_string);
        // A row that is gone between two statements was released: the next attempt makes one.
        for _ in 0..MOST_ATTEMPTS {
            let inserted = claim.insert(progress.as_deref());
            if session.answered(what, inserted).await? {
                let lease = Self::hold(session, table, token, times);
                return Ok(Taken::Fresh(lease));
            }
            let read = LeaseRow::read(&session.client, &table, stage);
            if let Some(row) = session.answered(what, read).await?
                && row.is_expired
                && is_foreign(&row.token, here.as_deref())
            {
                return Err(is_of_a_copy(stage, &row));
            }
            if let Some(row) = session.answered(what, claim.take_over()).await? {
                let lease = Self::hold(session, table, token, times);
                return Ok(Taken::Resumed(lease, Progress(row.progress)));
            }
            let read = LeaseRow::read(&session.client, &table, stage);
            match session.answered(what, read).await? {
                Some(row) if row.is_expired && row.command == command => {}
                Some(row) => return Err(is_held(stage, &row)),
                None => {}
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!(
                "stage {stage}: {what}: other commands take it and give it back all the time: try again"
            ),
        ))
    }

    /// Takes the lease on a stage from the holder that was seen, also from one that still runs, whose next
    /// [`fence`](Self::fence) fails: for a command that takes back what the holder did. Returns the row,
    /// which stays that of the holder's command, with its progress.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] where that holder is done with it by now; [`ErrorKind::Database`] and
    /// [`ErrorKind::Settings`] as for [`take`](Self::take).
    pub(crate) async fn seize(
        database: &Database,
        holder: &str,
        seen: &LeaseRow,
    ) -> Result<(Self, LeaseRow), Error> {
        let session = Session::open_for(SessionWork::Lease, database).await?;
        let (stage, what) = (
            session.stage,
            "could not take the lease on the stage, so nothing was changed",
        );
        let gone = || {
            Error::new(
                ErrorKind::Busy,
                format!("stage {stage}: {what}: {seen} is done by now: run the command again"),
            )
        };
        let find = TABLE.find(&session.client);
        let table = session.answered(what, find).await?.ok_or_else(gone)?;
        let here = origin(&session.client, &table).await;
        let (token, times) = (new_token(here.as_deref()), Times::default());
        let claim = Claim {
            session: &session,
            table: &table,
            stage: session.stage.to_string(),
            token: &token,
            holder,
            command: &seen.command,
            times,
        };
        let seized = session.answered(what, claim.seize(seen)).await?;
        let row = seized.ok_or_else(gone)?;
        Ok((Self::hold(session, table, token, times), row))
    }

    /// Removes the row of a lease that came from elsewhere, and returns a sentence about it.
    ///
    /// # Errors
    ///
    /// Those of [`seize`](Self::seize).
    pub(crate) async fn discard(
        database: &Database,
        holder: &str,
        seen: &LeaseRow,
    ) -> Result<String, Error> {
        let (lease, row) = Self::seize(database, holder, seen).await?;
        // It changes nothing outside of the database.
        let _ = lease.release().await?;
        let deploy = row.progress.get("deploy").and_then(Value::as_str);
        let deploy = deploy.map_or(String::new(), |deploy| {
            format!(", of the deploy {}", stagelink::one_line(deploy))
        });
        Ok(format!(
            "the row of {seen}{deploy}, since {}, is of a time before this database was restored, forked or \
             failed over: it was removed, and nothing else was changed; look at what is live, and at its lock",
            seen.taken_at
        ))
    }

    /// Starts the renewal of a lease that was taken.
    fn hold(session: Session, table: String, token: String, times: Times) -> Self {
        let (lost, doubts) = (Arc::default(), Arc::default());
        let (requests, received) = mpsc::channel(1);
        let (holder, holder_is_gone) = oneshot::channel();
        let stop = OrderlyStop::current();
        let told = stop.as_ref().map(OrderlyStop::add_lease);
        let handle = LeaseHandle {
            stage: session.stage,
            table: table.as_str().into(),
            token: token.as_str().into(),
            requests,
            fresh: times.fresh,
            lost: Arc::clone(&lost),
            doubts: Arc::clone(&doubts),
            stop,
        };
        let renewal = Renewal {
            session,
            table,
            token,
            times,
            lost,
            doubts,
        };
        let renewal = tokio::spawn(renewal.run(received, holder_is_gone, told));
        Self {
            handle,
            _holder: holder,
            _renewal: renewal.abort_handle(),
        }
    }

    /// Makes sure that this process still holds the lease, and renews it: the server's answer is the
    /// proof, by its own clock.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] when the lease is lost: the error says who has it, and that nothing more was
    /// changed. [`ErrorKind::Database`] when the server does not answer, by which the lease is lost, too.
    pub(crate) async fn fence(&self) -> Result<(), Error> {
        self.handle.ensure().await
    }

    /// Returns the part of the lease by which others make sure that this process still holds it.
    pub(crate) fn handle(&self) -> &LeaseHandle {
        &self.handle
    }

    /// Keeps the progress in the row, in the place of the earlier one, where this process still holds the
    /// lease. A secret in it is readable for roles that may read the table.
    ///
    /// # Errors
    ///
    /// Those of [`fence`](Self::fence).
    pub(crate) async fn save(&self, progress: &Value) -> Result<(), Error> {
        self.handle.make(Change::Save(progress.to_string())).await
    }

    /// Gives the lease back, and returns its end: the stage has none afterwards, but where the result of a
    /// change is not known, the row keeps its time, without progress. Tell the person so.
    ///
    /// # Errors
    ///
    /// Those of [`fence`](Self::fence).
    pub(crate) async fn release(self) -> Result<LeaseEnd, Error> {
        self.handle.ask(Request::Release).await
    }

    /// Gives the lease back after a failure, and returns the failure's error with what is to be told of that.
    pub(crate) async fn release_after(self, error: Error) -> Error {
        let told = match self.release().await {
            Ok(end) => end.warning(),
            Err(second) => Some(second.report()),
        };
        error.and_details(told.into_iter().collect())
    }

    /// Ends the renewal as the death of the process does: the row stays as it is.
    #[cfg(test)]
    fn kill(self) {
        self._renewal.abort();
    }

    /// Returns whether the lease is known to be lost, so that this process may change nothing more.
    pub(crate) fn is_lost(&self) -> bool {
        self.handle.is_lost()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("stage", &self.handle.stage)
            .field("is_lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

/// Returns the error of a lease that another command has, or left.
fn is_held(stage: Stage, row: &LeaseRow) -> Error {
    let (since, until) = (&row.taken_at, &row.expires_at);
    let rerun = rerun(&row.command, &stage.to_string());
    match row.is_expired {
        false => Error::new(
            ErrorKind::Busy,
            format!(
                "stage {stage} is being changed by {row}, which has the lease on it since {since}: wait \
                 for its end. If its process is gone, the lease ends at {until}; the option --abort of \
                 that command takes it away, and takes back what it did"
            ),
        ),
        true => Error::new(
            ErrorKind::Settings,
            format!(
                "{row} was interrupted while it changed stage {stage}, and its lease ended at {until}: \
                 `{rerun}` goes on with it, and `{rerun} --abort` takes back what it did"
            ),
        ),
    }
}

/// Returns the error of a lease whose row came from elsewhere.
fn is_of_a_copy(stage: Stage, row: &LeaseRow) -> Error {
    Error::new(
        ErrorKind::Settings,
        format!(
            "the database of stage {stage} was restored, forked or failed over while {row} changed the \
             stage, since {}: the row that it left says nothing of deploys and locks as they are now. Look at \
             what is live; the option --abort of that command removes the row, and changes nothing else",
            row.taken_at
        ),
    )
}

/// The table of leases, with a row for each stage that a command changes.
const TABLE: OwnTable = OwnTable {
    name: LEASES_TABLE,
    columns: "stage text PRIMARY KEY, token text NOT NULL, holder text NOT NULL, \
              command text NOT NULL, taken_at timestamptz NOT NULL, \
              expires_at timestamptz NOT NULL, progress jsonb",
};

/// The number of times that a lease which comes and goes is tried for.
const MOST_ATTEMPTS: usize = 5;

#[cfg(test)]
mod tests;
