//! Postgres: from a database URL to a pooled, authenticated connection.

mod client;
mod connect;
mod pool;
mod protocol;
#[cfg(test)]
mod query_server;
mod sqlstate;
mod stage_mark;

pub(crate) use self::connect::startup::session_params::for_transaction;
#[cfg(feature = "testing")]
pub(crate) use self::connect::startup::{PASSWORD, run_script};
pub(crate) use self::pool::health::Event;
pub(crate) use self::pool::{Pool, read_only};
pub(crate) use self::protocol::{Checkpoint, Tap, WriteOutcome};
#[cfg(feature = "testing")]
pub(crate) use self::protocol::{rehearse_client_statements, rehearse_tap};
pub(crate) use self::sqlstate::{Cause, cause_in_session, ended};
#[cfg(feature = "lambda")]
pub(crate) use self::stage_mark::version_and_settings_query;

pub use self::client::Client;
pub use self::client::DetachedClient;
pub use self::client::Transaction;
pub use self::connect::server_auth::ServerAuth;
pub use self::connect::timings::ConnectTimings;
pub use self::pool::inspect::DatabaseInfo;
pub use self::stage_mark::StageMark;
