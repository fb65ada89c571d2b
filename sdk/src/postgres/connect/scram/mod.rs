//! SCRAM-SHA-256, the client's side: the exchange, its keys, and where these are kept.

mod client;
mod key_cache;

pub(super) use self::client::*;
pub(in crate::postgres) use self::key_cache::ScramKeyCache;
