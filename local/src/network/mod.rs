//! A network between a client and a server that counts round trips and can have faults.

mod conditions;
mod proxy;
mod relay;

#[cfg(test)]
mod tests;

pub use conditions::Direction;
pub use proxy::Proxy;
