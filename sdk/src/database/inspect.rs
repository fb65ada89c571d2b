//! Inspects a stage's database, compares it with another, and sets or clears its stage mark.

use crate::database::{Database, State};
use crate::error::Error;
use crate::postgres::{DatabaseInfo, DetachedClient};
use crate::stage::Stage;

impl Database {
    /// Inspects the database, whatever its mark, by a connection that it then closes.
    ///
    /// # Errors
    ///
    /// As [`client`](Self::client), but not
    /// [`ErrorKind::WrongDatabase`](crate::ErrorKind::WrongDatabase).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub async fn inspect(&self) -> Result<DatabaseInfo, Error> {
        match &*self.state {
            State::Ready { pool, .. } => pool.inspect().await,
            State::Refused(error) => Err(error.clone()),
        }
    }

    /// Inspects the database, and returns the connection by which it did so, outside of the pool.
    ///
    /// There is no connection where the database is marked as another stage's. One to a database
    /// without a mark is returned, also where `STAGELINK_REQUIRE_MARK` is set: its user has the
    /// inspection to look at.
    ///
    /// # Errors
    ///
    /// As [`inspect`](Self::inspect).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub async fn inspect_and_connect(
        &self,
    ) -> Result<(DatabaseInfo, Option<DetachedClient>), Error> {
        match &*self.state {
            State::Ready { pool, .. } => DetachedClient::inspect(pool).await,
            State::Refused(error) => Err(error.clone()),
        }
    }

    /// Returns whether both lead to one database, by whatever name, port, role or pooler, and
    /// whatever their marks.
    ///
    /// It opens a connection to each, takes a random advisory lock in a transaction on the first,
    /// and tries it on the second. A physical copy of a database and a follower are other
    /// databases, although they have the system identifier of their source.
    ///
    /// # Errors
    ///
    /// As [`inspect`](Self::inspect); [`ErrorKind::Query`](crate::ErrorKind::Query) where a server
    /// does not grant the lock or ends the transaction; and
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) of
    /// [`Phase::Query`](crate::Phase::Query) where a statement takes longer than the limit for a
    /// step of connecting, such as behind a pooler that has one connection to its server.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes both connections, which releases the lock.
    pub async fn is_same_database_as(&self, other: &Self) -> Result<bool, Error> {
        match (&*self.state, &*other.state) {
            (State::Ready { pool, .. }, State::Ready { pool: other, .. }) => {
                pool.is_same_database_as(other).await
            }
            (State::Refused(error), _) | (_, State::Refused(error)) => Err(error.clone()),
        }
    }

    /// Marks the database as that of this stage, in place of any mark that it has, and inspects
    /// it again.
    ///
    /// The mark is the database's default `application_name`. It goes with the database
    /// to a fork or a follower, and does not go into a dump of it. Behind a pooler's alias it is that of
    /// the database which the alias leads to.
    ///
    /// # Errors
    ///
    /// As [`inspect`](Self::inspect), and
    /// [`ErrorKind::Query`](crate::ErrorKind::Query) where the role does not own the database.
    ///
    /// # Cancel safety
    ///
    /// After a drop it is not known whether the mark has changed; [`inspect`](Self::inspect) shows it.
    pub async fn set_stage_mark(&self) -> Result<DatabaseInfo, Error> {
        self.set_mark(Some(self.stage()?)).await
    }

    /// Removes the mark, and inspects the database again.
    ///
    /// # Errors
    ///
    /// As [`set_stage_mark`](Self::set_stage_mark).
    ///
    /// # Cancel safety
    ///
    /// After a drop it is not known whether the mark has changed; [`inspect`](Self::inspect) shows it.
    pub async fn clear_stage_mark(&self) -> Result<DatabaseInfo, Error> {
        self.set_mark(None).await
    }

    async fn set_mark(&self, mark: Option<Stage>) -> Result<DatabaseInfo, Error> {
        match &*self.state {
            State::Ready { pool, .. } => pool.set_mark(mark).await,
            State::Refused(error) => Err(error.clone()),
        }
    }
}
