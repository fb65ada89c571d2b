//! Finds out whether the credentials of two pools lead to one database.
//!
//! Names, ports and roles do not tell: a server has several, and so has a pooler. System
//! identifiers do not tell either: a physical copy has that of its source. A lock tells, because
//! it exists in the memory of one running server, for one of its databases.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::connect::connector::NewConnection;
use crate::postgres::connect::time_out::timed_out;
use crate::postgres::pool::Pool;

impl Pool {
    /// Returns whether both pools' credentials lead to one database of one running server.
    pub(crate) async fn is_same_database_as(&self, other: &Self) -> Result<bool, Error> {
        let lock = Lock::random()?;
        let holder = Session::open(self).await?;
        let rival = Session::open(other).await?;
        // A transaction holds the lock, so that a pooler does not change the server meanwhile.
        if !holder.ask(&format!("BEGIN; {}", lock.attempt())).await? {
            return Err(holder.error("its server granted no advisory lock"));
        }
        let is_free = rival.ask(&lock.attempt()).await?;
        holder.ask("SELECT true").await?;
        if !holder.connection.tap.is_in_transaction() {
            return Err(holder.error("its transaction ended while it held an advisory lock"));
        }
        holder.run("ROLLBACK").await?;
        Ok(!is_free)
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

/// A connection outside of the pool.
struct Session {
    connection: NewConnection,
    /// The database, for messages.
    database: String,
    limit: Duration,
}

impl Session {
    async fn open(pool: &Pool) -> Result<Self, Error> {
        let (connections, connection) = pool.open_unchecked().await?;
        let url = connections.manager().connector.credentials().url();
        Ok(Self {
            connection,
            database: format!("database {} on {}:{}", url.database, url.host, url.port),
            limit: pool.limits().connect,
        })
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
        let query = self.connection.client.simple_query(sql);
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
