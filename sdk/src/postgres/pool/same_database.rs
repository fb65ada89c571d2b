//! Finds out whether the credentials of two pools lead to one database.
//!
//! Names, ports and roles do not tell: a server has several, and so has a pooler. System
//! identifiers do not tell either: a physical copy has that of its source. A lock tells, because
//! it exists in the memory of one running server, for one of its databases.

use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::connect::time_out::timed_out;
use crate::postgres::pool::Pool;
use crate::postgres::protocol::Tap;

impl Pool {
    /// Returns whether both pools' credentials lead to one database of one running server.
    pub(crate) async fn is_same_database_as(&self, other: &Self) -> Result<bool, Error> {
        let holder = Session::open(self).await?;
        let rival = Session::open(other).await?;
        holder.is_on_one_database_with(&rival).await
    }
}

/// An advisory lock that no program uses.
struct Lock(i64);

impl Lock {
    fn random() -> Result<Self, Error> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| {
            let message = "could not get random bytes for an advisory lock";
            Error::with_source(ErrorKind::Settings, message, std::io::Error::other(error))
        })?;
        Ok(Self(i64::from_ne_bytes(bytes)))
    }

    /// The statement that takes the lock until the end of its transaction, or returns false.
    fn attempt(&self) -> String {
        format!("SELECT pg_catalog.pg_try_advisory_xact_lock({})", self.0)
    }
}

/// A session outside of the pool.
struct Session {
    client: ClientWrapper,
    tap: Tap,
    /// The database, for messages.
    database: String,
    limit: Duration,
}

impl Session {
    async fn open(pool: &Pool) -> Result<Self, Error> {
        let (connections, connection) = pool.open_unchecked().await?;
        let url = connections.manager().connector.credentials().url();
        Ok(Self {
            client: connection.client,
            tap: connection.tap,
            database: format!("database {} on {}:{}", url.database, url.host, url.port),
            limit: pool.limits().connect,
        })
    }

    /// Returns whether another session, of these or other credentials, has the same database of
    /// one running server.
    async fn is_on_one_database_with(&self, rival: &Self) -> Result<bool, Error> {
        let lock = Lock::random()?;
        // A transaction holds the lock, so that a pooler does not change the server meanwhile.
        if !self.ask(&format!("BEGIN; {}", lock.attempt())).await? {
            return Err(self.error("its server granted no advisory lock"));
        }
        let is_free = rival.ask(&lock.attempt()).await?;
        self.ask("SELECT true").await?;
        if !self.tap.is_in_transaction() {
            return Err(self.error("its transaction ended while it held an advisory lock"));
        }
        self.run("ROLLBACK").await?;
        Ok(!is_free)
    }

    /// Runs a statement, and returns whether its first value is true.
    async fn ask(&self, sql: &str) -> Result<bool, Error> {
        let messages = self.run(sql).await?;
        let first = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(first == Some("t"))
    }

    async fn run(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        let query = self.client.simple_query(sql);
        // A pooler with one connection to the server waits until the other session is done.
        let answer = timeout(self.limit, query).await.map_err(|_| {
            let what = format!("the comparison with {}", self.database);
            timed_out(Phase::Query, self.limit, &what)
        })?;
        answer.map_err(|error| {
            let message = format!("could not compare {} with another", self.database);
            Error::with_source(ErrorKind::Query, message, error)
        })
    }

    fn error(&self, reason: &str) -> Error {
        let message = format!("could not compare {} with another: {reason}", self.database);
        Error::new(ErrorKind::Query, message)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::postgres::query_server::{Reply, connect};

    /// The advisory locks of one database of a running server.
    type Locks = Arc<Mutex<HashSet<String>>>;

    /// Answers a session's queries as Postgres does.
    fn postgres(locks: Locks) -> impl FnMut(&str) -> Reply {
        let mut in_transaction = false;
        move |query| {
            let mut locks = locks.lock().unwrap();
            let statement = query
                .strip_prefix("BEGIN; ")
                .inspect(|_| in_transaction = true);
            let statement = statement.unwrap_or(query);
            let attempt = statement.strip_prefix("SELECT pg_catalog.pg_try_advisory_xact_lock(");
            let lock = attempt.and_then(|rest| rest.strip_suffix(')'));
            let value = match lock {
                Some(lock) if locks.contains(lock) => "f",
                Some(lock) => {
                    if in_transaction {
                        locks.insert(lock.parse::<i64>().unwrap().to_string());
                    }
                    "t"
                }
                None if statement == "ROLLBACK" => {
                    in_transaction = false;
                    locks.clear();
                    return Reply::Empty;
                }
                None if statement == "SELECT true" => "t",
                None => return Reply::Refused("42601"),
            };
            match in_transaction {
                true => Reply::RowInTransaction(value),
                false => Reply::Row(Some(value)),
            }
        }
    }

    async fn session(answer: impl FnMut(&str) -> Reply + Send + 'static) -> Session {
        let (client, tap) = connect(answer).await;
        Session {
            client: ClientWrapper::new(client, tokio::spawn(std::future::ready(()))),
            tap,
            database: "database d on h:5432".to_owned(),
            limit: Duration::from_secs(5),
        }
    }

    #[tokio::test]
    async fn lock_tells_whether_two_sessions_have_one_database() {
        let (here, there) = (Locks::default(), Locks::default());
        let holder = session(postgres(Arc::clone(&here))).await;
        let rival = session(postgres(Arc::clone(&here))).await;
        let elsewhere = session(postgres(there)).await;
        // A comparison leaves nothing for the next.
        for _ in 0..2 {
            assert!(holder.is_on_one_database_with(&rival).await.unwrap());
            assert!(here.lock().unwrap().is_empty());
            assert!(!holder.is_on_one_database_with(&elsewhere).await.unwrap());
        }
    }

    #[tokio::test]
    async fn server_that_grants_no_lock_or_ends_the_transaction_tells_nothing() {
        let rival = session(postgres(Locks::default())).await;
        let stingy = session(|_| Reply::RowInTransaction("f")).await;
        // Such a pooler may have changed the server meanwhile.
        let hasty = session(|_| Reply::Row(Some("t"))).await;
        for (holder, reason) in [
            (stingy, "its server granted no advisory lock"),
            (
                hasty,
                "its transaction ended while it held an advisory lock",
            ),
        ] {
            let error = holder.is_on_one_database_with(&rival).await.unwrap_err();
            let expected = format!("could not compare database d on h:5432 with another: {reason}");
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.kind(), ErrorKind::Query);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rival_that_refuses_or_is_silent_tells_nothing() {
        let holder = session(postgres(Locks::default())).await;
        for (rival, kind) in [
            (session(|_| Reply::Refused("42501")).await, ErrorKind::Query),
            (
                session(|_| Reply::Silence).await,
                ErrorKind::Timeout(Phase::Query),
            ),
        ] {
            let error = holder.is_on_one_database_with(&rival).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            holder.run("ROLLBACK").await.unwrap();
        }
    }
}
