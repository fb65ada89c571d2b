//! Who owns the databases behind the add-ons: what only the running databases know, and
//! what happens to them beside the config vars.

use std::future::Future;
use std::pin::Pin;

use crate::Error;

/// Looks after the databases whose URLs the add-ons have.
///
/// Heroku runs the databases too; this stand-in only tells their URLs. Without an owner
/// `pg:info` has no live facts, and `pg:credentials:rotate` is refused.
pub trait DatabaseOwner: Send + Sync {
    /// Tells what is known about the database with this URL at this moment. It is asked
    /// for each `pg:info`, and the answer waits for it.
    fn facts<'a>(&'a self, url: &'a str) -> OwnerFuture<'a, LiveFacts>;

    /// Changes the password of the database with this URL, cuts all connections that
    /// were made with the old one, and tells the URL from then on.
    ///
    /// Rotations follow one another; none is dropped before its end because a client
    /// goes away. After an error the URL stays what it was, and may be rotated again.
    fn rotate<'a>(&'a self, url: &'a str) -> OwnerFuture<'a, Result<String, Error>>;
}

/// What a [`DatabaseOwner`] answers with. URLs hold passwords: an error names none.
pub type OwnerFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is known about a running database at this moment. The line of `pg:info` for a
/// fact that is `None` is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveFacts {
    /// The state in Heroku's words, such as `Available`.
    pub status: Option<String>,
    /// The open connections and how many there may be.
    pub connections: Option<(u32, u32)>,
    /// The version of Postgres, such as `17.6`.
    pub version: Option<String>,
    /// The size of the database in bytes.
    pub size_bytes: Option<u64>,
    /// How many tables it has.
    pub tables: Option<u64>,
}
