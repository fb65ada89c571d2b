//! A second session, which looks at what the first one waits for while a statement runs.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use stagelink::tokio_postgres::types::Type;
use stagelink::tokio_postgres::{Client, Error as DriverError, Row};
use stagelink::{Database, DetachedClient};
use tokio::time::{sleep, timeout};

use crate::migrations::event::OtherSession;

/// The observer of one session. It connects when a statement has run for a while.
#[derive(Debug)]
pub(super) struct Observer {
    database: Database,
    pid: i32,
    client: Option<DetachedClient>,
}

/// The state of the session that is observed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Observation {
    /// The sessions whose locks it waits for.
    pub(super) blockers: Vec<OtherSession>,
    /// The phase of an index that is being built, and the part of it that is done.
    pub(super) progress: Option<(String, Option<u8>)>,
}

/// The loss of the observed session: the server does not have it, or cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionLost;

impl Observer {
    pub(super) fn new(database: &Database, pid: i32) -> Self {
        Self {
            database: database.clone(),
            pid,
            client: None,
        }
    }

    /// Does the work, and reports what it waits for each time that this changes.
    ///
    /// # Errors
    ///
    /// [`SessionLost`] where the work waits for an answer that cannot come.
    pub(super) async fn watch<T>(
        &mut self,
        work: impl Future<Output = T>,
        mut report: impl FnMut(&Observation),
    ) -> Result<T, SessionLost> {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = &mut work => Ok(done),
            lost = self.observe(&mut report) => match lost {
                Ok(never) => match never {},
                Err(lost) => Err(lost),
            },
        }
    }

    async fn observe(
        &mut self,
        report: &mut impl FnMut(&Observation),
    ) -> Result<Infallible, SessionLost> {
        sleep(FIRST_LOOK).await;
        let mut last = Observation::default();
        let mut reached = Instant::now();
        let mut absences = 0;
        loop {
            match timeout(ANSWER, self.look()).await {
                Ok(Ok(Some(found))) => {
                    (reached, absences) = (Instant::now(), 0);
                    if found != last {
                        report(&found);
                        last = found;
                    }
                }
                Ok(Ok(None)) => {
                    reached = Instant::now();
                    absences += 1;
                }
                // It does without: there may be no connection left for it.
                Ok(Err(is_answer)) => {
                    self.client = None;
                    if is_answer {
                        reached = Instant::now();
                    }
                }
                Err(_) => self.client = None,
            }
            // The answer of a session that has just ended is on its way.
            if absences > 2 || reached.elapsed() > UNREACHABLE {
                return Err(SessionLost);
            }
            sleep(PAUSE).await;
        }
    }

    /// Looks once; `None` where the server does not have the session. The error says whether the
    /// server answered.
    async fn look(&mut self) -> Result<Option<Observation>, bool> {
        if self.client.is_none() {
            let opened = self.database.client().await;
            self.client = Some(opened.map_err(|error| is_answer(&error))?.detach());
        }
        match &self.client {
            Some(client) => look(client, self.pid)
                .await
                .map_err(|error| error.code().is_some()),
            None => Ok(None),
        }
    }
}

/// Returns whether an error of connecting came from the server.
fn is_answer(error: &stagelink::Error) -> bool {
    use stagelink::ErrorKind;
    !matches!(
        error.kind(),
        ErrorKind::DatabaseUnreachable | ErrorKind::Timeout(_)
    )
}

async fn look(client: &Client, pid: i32) -> Result<Option<Observation>, DriverError> {
    let rows = client.query_typed(STATE, &[(&pid, Type::INT4)]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let phase: Option<String> = row.get(0);
    let [done, total] = [1, 2].map(|at| row.get::<_, Option<i64>>(at).unwrap_or(0));
    let blockers = client.query_typed(BLOCKERS, &[(&pid, Type::INT4)]).await?;
    Ok(Some(Observation {
        blockers: blockers.iter().map(other_session).collect(),
        progress: phase.map(|phase| (phase, percent(done, total))),
    }))
}

/// Returns a part in steps of 5 per cent, so that it is no news each time.
fn percent(done: i64, total: i64) -> Option<u8> {
    let percent = done.checked_mul(20)?.checked_div(total)?.clamp(0, 20);
    u8::try_from(percent * 5).ok()
}

/// Reads a row of process number, application name, state and seconds.
pub(super) fn other_session(row: &Row) -> OtherSession {
    let since: Option<i64> = row.get(3);
    OtherSession {
        pid: row.get(0),
        application_name: row.get(1),
        state: row.get(2),
        since: since.and_then(|since| Some(Duration::from_secs(u64::try_from(since).ok()?))),
    }
}

/// Most statements are done by then.
const FIRST_LOOK: Duration = Duration::from_millis(400);
const PAUSE: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(15);
const UNREACHABLE: Duration = Duration::from_secs(60);

const STATE: &str = "SELECT p.phase, \
     CASE WHEN p.blocks_total > 0 THEN p.blocks_done ELSE p.tuples_done END, \
     CASE WHEN p.blocks_total > 0 THEN p.blocks_total ELSE p.tuples_total END \
     FROM pg_catalog.pg_stat_activity a \
     LEFT JOIN pg_catalog.pg_stat_progress_create_index p USING (pid) WHERE a.pid = $1";

const BLOCKERS: &str = "SELECT b.pid, coalesce(a.application_name, ''), coalesce(a.state, ''), \
     (extract(epoch FROM pg_catalog.now() - coalesce(a.xact_start, a.backend_start)))\
     ::pg_catalog.int8 \
     FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS b (pid) \
     LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid ORDER BY b.pid";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentage_has_steps_and_a_total() {
        for (done, total, expected) in [
            (0, 0, None),
            (0, 10, Some(0)),
            (99, 1000, Some(5)),
            (10, 10, Some(100)),
            (20, 10, Some(100)),
            (i64::MAX, 1, None),
        ] {
            assert_eq!(percent(done, total), expected, "{done} of {total}");
        }
    }
}
