//! Stand-ins that only tests and benchmarks need: providers besides Heroku. Behind the feature
//! `testing`. The network with faults is [`network`].

pub mod neon;
pub mod render;

pub use crate::network;
