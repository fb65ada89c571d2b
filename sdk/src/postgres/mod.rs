//! Postgres: from a database URL to a pooled, authenticated connection.

mod client;
mod connect;
mod failure;
mod generation;
mod habits;
mod identity;
mod policy;
mod pool;
mod session;
mod tap;
mod tcp;
mod tls;
mod trust;
mod url;
mod watch;

pub(crate) use self::failure::{Says, of_query};
pub(crate) use self::pool::{Pool, read_only};
#[cfg(feature = "testing")]
pub(crate) use self::session::{PASSWORD, rehearse};
pub(crate) use self::tap::{Fate, Mark, Tap};

pub use self::client::Client;
pub use self::client::Transaction;
pub use self::identity::StageMark;
pub use self::policy::Proof;
pub use self::url::DatabaseUrl;
