//! The lock that makes runs on one database take turns.
//!
//! It is polled for with no transaction open: a session that waits for a lock has a snapshot, and
//! `CREATE INDEX CONCURRENTLY` waits for all older snapshots, so the two would be a deadlock.

use std::fmt;
use std::time::{Duration, Instant};

use stagelink::tokio_postgres::types::{ToSql, Type};
use stagelink::tokio_postgres::{Client, Error as DriverError};
use tokio::time::sleep;

use crate::error::{Error, ErrorKind};
use crate::migrations::event::{MigrationEvent, MigrationListener, OtherSession};
use crate::migrations::observer::other_session;
use crate::migrations::session::Session;

/// Takes the lock for the session. It is held until the session ends, or until [`release`].
///
/// # Errors
///
/// [`ErrorKind::Busy`] when another session has held it for all of `wait`; the message says which.
pub(super) async fn acquire(
    session: &Session,
    wait: Duration,
    listener: &MigrationListener<'_>,
) -> Result<(), Error> {
    let what =
        "could not take the lock of migrations, so nothing was applied: run the command again";
    let started = Instant::now();
    let mut last = None;
    while !session.answered(what, try_lock(&session.client)).await? {
        let holder = session.answered(what, holder(&session.client)).await?;
        if started.elapsed() >= wait {
            return Err(is_held(session, wait, holder));
        }
        let pid = holder.as_ref().map(|holder| holder.pid);
        if last != Some(pid) {
            listener(&MigrationEvent::WaitsForMigration {
                holder: holder.as_ref(),
            });
            last = Some(pid);
        }
        sleep(Duration::from_millis(fastrand::u64(150..450))).await;
    }
    Ok(())
}

/// Gives the lock back. Where that fails the end of the session does.
pub(super) async fn release(session: &Session) {
    let unlock = "SELECT pg_catalog.pg_advisory_unlock($1)";
    let parameters = [(&KEY as &(dyn ToSql + Sync), Type::INT8)];
    let unlocked = session.client.query_typed(unlock, &parameters);
    let _ = session
        .answered("could not give the lock back", unlocked)
        .await;
}

/// The reason why a session does not hold the lock that it took. Its `Display` says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockLoss {
    /// Another server process answers, as behind a pooler.
    OtherProcess,
    /// The process that took it answers, so a file gave the lock back, or a pooler resets the session.
    GivenBack,
}

impl fmt::Display for LockLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the session does not hold the lock of migrations, ")?;
        f.write_str(match self {
            Self::OtherProcess => {
                "since a pooler before the database changes the session: use the URL of the \
                 database itself"
            }
            Self::GivenBack => {
                "since the file gave it back, as pg_advisory_unlock_all() does, or a pooler before \
                 the database resets the session: remove the call from the file, or use the URL of \
                 the database itself"
            }
        })
    }
}

/// Returns the reason why the session does not hold the lock; `None` where it does. It took the lock
/// in the server process `pid`: behind a pooler another one may answer.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn loss(client: &Client, pid: i32) -> Result<Option<LockLoss>, DriverError> {
    let held = "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype \
                OPERATOR(pg_catalog.=) 'advisory' AND granted AND objsubid OPERATOR(pg_catalog.=) 1 \
                AND classid OPERATOR(pg_catalog.=) $1 AND objid OPERATOR(pg_catalog.=) $2 \
                AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()), \
                pg_catalog.pg_backend_pid()";
    let [high, low] = halves();
    let rows = client
        .query_typed(held, &[(&high, Type::OID), (&low, Type::OID)])
        .await?;
    let (is_held, answering) = rows
        .first()
        .map_or((false, 0), |row| (row.get(0), row.get::<_, i32>(1)));
    Ok(match is_held {
        true => None,
        false if answering == pid => Some(LockLoss::GivenBack),
        false => Some(LockLoss::OtherProcess),
    })
}

/// Gives back the advisory locks of the session but this one: a file has taken them, and the next file
/// is not to hold them.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn release_others(client: &Client) -> Result<(), DriverError> {
    let [high, low] = halves();
    // A lock that was taken several times has to be given back as often.
    loop {
        let rows = client
            .query_typed(RELEASE_OTHERS, &[(&high, Type::OID), (&low, Type::OID)])
            .await?;
        if !rows.iter().any(|row| row.get(0)) {
            return Ok(());
        }
    }
}

async fn try_lock(client: &Client) -> Result<bool, DriverError> {
    let lock = "SELECT pg_catalog.pg_try_advisory_lock($1)";
    let rows = client.query_typed(lock, &[(&KEY, Type::INT8)]).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Returns the session that holds the lock of this database.
///
/// # Errors
///
/// Those of the driver.
pub(super) async fn holder(client: &Client) -> Result<Option<OtherSession>, DriverError> {
    let find = "SELECT l.pid, coalesce(a.application_name, ''), coalesce(a.state, ''), \
                extract(epoch FROM pg_catalog.now() - coalesce(a.xact_start, a.backend_start))\
                ::pg_catalog.int8 \
                FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid) \
                WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
                AND l.classid = $1 AND l.objid = $2 AND l.database = \
                (SELECT oid FROM pg_catalog.pg_database \
                WHERE datname = pg_catalog.current_database())";
    let [high, low] = halves();
    let rows = client
        .query_typed(find, &[(&high, Type::OID), (&low, Type::OID)])
        .await?;
    Ok(rows.first().map(other_session))
}

fn is_held(session: &Session, wait: Duration, holder: Option<OtherSession>) -> Error {
    let stage = session.stage;
    let holder = match holder {
        None => "another session".to_owned(),
        Some(holder) => {
            let pid = holder.pid;
            format!("{holder}; `SELECT pg_terminate_backend({pid})` ends it if it is left over")
        }
    };
    Error::new(
        ErrorKind::Busy,
        format!(
            "another migration of stage {stage}'s database has run for {} s: {holder}",
            wait.as_secs()
        ),
    )
}

/// The key of the advisory lock: the letters `stagelin`.
const KEY: i64 = i64::from_be_bytes(*b"stagelin");

/// Releases each of the session's other locks once. A key is one number, or two of half the width.
const RELEASE_OTHERS: &str = "\
SELECT CASE
        WHEN objsubid = 1 AND mode = 'ExclusiveLock' THEN pg_catalog.pg_advisory_unlock(whole)
        WHEN objsubid = 1 THEN pg_catalog.pg_advisory_unlock_shared(whole)
        WHEN mode = 'ExclusiveLock' THEN pg_catalog.pg_advisory_unlock(high, low)
        ELSE pg_catalog.pg_advisory_unlock_shared(high, low)
    END
FROM (SELECT objsubid, mode,
        (classid::pg_catalog.int8 << 32) | objid::pg_catalog.int8 AS whole,
        classid::pg_catalog.int8::pg_catalog.bit(32)::pg_catalog.int4 AS high,
        objid::pg_catalog.int8::pg_catalog.bit(32)::pg_catalog.int4 AS low
    FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory' AND granted AND pid = pg_catalog.pg_backend_pid()
        AND database = (SELECT oid FROM pg_catalog.pg_database
            WHERE datname = pg_catalog.current_database())
        AND NOT (objsubid = 1 AND classid = $1 AND objid = $2)
    OFFSET 0) AS held";

/// Returns the key as `pg_locks` shows it.
fn halves() -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = KEY.to_be_bytes();
    [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes)
}
