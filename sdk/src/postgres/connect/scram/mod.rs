//! SCRAM-SHA-256, the client's side: the exchange, and a cache of its keys.

mod client;
mod key_cache;

pub(super) use self::client::{Binding, ClientFirst};
pub(in crate::postgres) use self::key_cache::ScramKeyCache;
