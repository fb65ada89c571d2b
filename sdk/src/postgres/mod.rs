//! Postgres: from a database URL to a pooled, authenticated connection.

mod connect;
mod failure;
mod pool;
mod tls;
mod url;

pub(crate) use self::pool::Pool;

pub use self::pool::Client;
pub use self::url::DatabaseUrl;
