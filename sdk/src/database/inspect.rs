//! What a stage's database and its server say and prove, for those who look after them.

use crate::config::ServerPin;
use crate::credentials::Credentials;
use crate::database::{Database, State};
use crate::error::Error;
use crate::postgres::{ServerAuth, StageMark};
use crate::stage::Stage;

/// What a stage's database and its server said and proved when they were asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DatabaseInfo {
    /// The stage whose credentials led there.
    pub stage: Stage,
    /// Where these credentials come from.
    pub origin: String,
    /// The server, as `host:port`.
    pub server: String,
    /// The database's name.
    pub database: String,
    /// The role that logged in.
    pub role: String,
    /// The stage that the database is marked with.
    pub mark: StageMark,
    /// What the server has proved itself by.
    pub server_auth: ServerAuth,
    /// The server's public key, to be pinned. `None` where nothing proves that it is
    /// the right server's: a key is not learnt by trust on first use.
    pub pin: Option<ServerPin>,
    /// The server's version, as it says.
    pub server_version: Option<String>,
    /// Whether it takes a TLS handshake at once.
    pub direct_tls: bool,
    /// Whether it says that it takes no writes.
    pub is_read_only: bool,
    /// The credentials, with the SCRAM keys that were derived from the password:
    /// [`Credentials::to_variable`] makes the value of `STAGELINK_CREDENTIALS` of them. A function
    /// that starts with it neither asks the provider nor hashes the password.
    pub credentials: Credentials,
}

impl DatabaseInfo {
    /// Whether the database says that it is another stage's than the one whose credentials
    /// led there.
    pub fn is_of_another_stage(&self) -> bool {
        match self.mark {
            StageMark::None => false,
            StageMark::Of(stage) => stage != self.stage,
            StageMark::Unknown(_) => true,
        }
    }
}

impl Database {
    /// Opens a connection, whatever the mark of the database, and tells what was
    /// found. The connection is closed again.
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

    /// Marks the database as that of the link's stage, in place of any mark that it
    /// has, and tells what a new connection finds.
    ///
    /// The mark is the database's default `application_name`. It goes with the database
    /// to a fork or a follower, and does not go into a dump of it.
    ///
    /// # Errors
    ///
    /// As [`examine`](Self::examine), and
    /// [`ErrorKind::Query`](crate::ErrorKind::Query) where the role does not own the database.
    pub async fn set_stage_mark(&self) -> Result<DatabaseInfo, Error> {
        self.set_mark(Some(self.stage()?)).await
    }

    /// Takes the mark away.
    ///
    /// # Errors
    ///
    /// As [`mark`](Self::mark).
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
