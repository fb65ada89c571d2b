//! The interface to the databases behind the add-ons: their live state, and the change of their
//! passwords.

use std::future::Future;
use std::pin::Pin;

use crate::Error;

/// Owner of the databases whose URLs the add-ons have.
///
/// Heroku also runs the databases; this stand-in only knows their URLs. Without an owner `pg:info`
/// shows no live facts, and `pg:credentials:rotate` is refused.
pub trait DatabaseOwner: Send + Sync {
    /// Returns the current facts about the database with this URL. Each `pg:info` calls it and
    /// waits for it.
    fn facts<'a>(&'a self, url: &'a str) -> OwnerFuture<'a, DatabaseFacts>;

    /// Changes the password of the database with this URL, closes all connections that were made
    /// with the old one, and returns the new URL.
    ///
    /// Rotations run one after the other, and to their end even if the client disconnects. After
    /// an error the URL is unchanged, and may be rotated again.
    fn rotate<'a>(&'a self, url: &'a str) -> OwnerFuture<'a, Result<String, Error>>;
}

/// Future of a [`DatabaseOwner`]. Its errors must not name a URL, which holds a password.
pub type OwnerFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Facts about a running database. `pg:info` omits the line of a fact that is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// Heroku's name of the state, such as `Available`.
    pub status: Option<String>,
    /// Number of open connections, and their limit.
    pub connections: Option<(u32, u32)>,
    /// Version of Postgres, such as `17.6`.
    pub version: Option<String>,
    /// Size of the database in bytes.
    pub size_bytes: Option<u64>,
    /// Number of tables.
    pub tables: Option<u64>,
}
