//! Inspects a stage's database, and sets or clears its stage mark.

use crate::database::{Database, State};
use crate::error::Error;
use crate::postgres::DatabaseInfo;
use crate::stage::Stage;

impl Database {
    /// Inspects the database, whatever its mark, by a connection that it then closes.
    ///
    /// # Errors
    ///
    /// As [`client`](Self::client), but not
    /// [`ErrorKind::WrongDatabase`](crate::ErrorKind::WrongDatabase).
    pub async fn inspect(&self) -> Result<DatabaseInfo, Error> {
        match &*self.state {
            State::Ready { pool, .. } => pool.inspect().await,
            State::Refused(error) => Err(error.clone()),
        }
    }

    /// Marks the database as that of this stage, in place of any mark that it has, and inspects
    /// it again.
    ///
    /// The mark is the database's default `application_name`. It goes with the database
    /// to a fork or a follower, and does not go into a dump of it.
    ///
    /// # Errors
    ///
    /// As [`inspect`](Self::inspect), and
    /// [`ErrorKind::Query`](crate::ErrorKind::Query) where the role does not own the database.
    pub async fn set_stage_mark(&self) -> Result<DatabaseInfo, Error> {
        self.set_mark(Some(self.stage()?)).await
    }

    /// Removes the mark, and inspects the database again.
    ///
    /// # Errors
    ///
    /// As [`set_stage_mark`](Self::set_stage_mark).
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
