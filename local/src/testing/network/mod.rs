//! A network between a client and a server that counts what passes and has the faults of real ones.

mod conditions;
mod proxy;
mod relay;

#[cfg(test)]
mod tests;

pub use conditions::Direction;
pub use proxy::Proxy;
