//! Postgres: from a database URL to a pooled, authenticated connection.

mod attempt;
mod cancel;
mod client;
mod connect;
mod connections;
mod driver;
mod failure;
mod generation;
mod habits;
mod identity;
mod policy;
mod pool;
mod session;
mod statements;
mod tap;
mod tcp;
mod tidying;
mod tls;
mod told;
mod trust;
mod url;
mod watch;

pub(crate) use self::failure::{Says, of_query};
pub(crate) use self::pool::{Pool, read_only};
pub(crate) use self::session::ScramKeys;
pub(crate) use self::session::terms::of_transaction;
#[cfg(feature = "testing")]
pub(crate) use self::session::{PASSWORD, rehearse};
pub(crate) use self::tap::{Fate, Mark, Tap};

pub use self::client::Client;
pub use self::client::Transaction;
pub use self::identity::StageMark;
pub use self::policy::Proof;
pub use self::url::DatabaseUrl;
