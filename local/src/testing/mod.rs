//! Stand-ins that only tests and benchmarks need: providers besides Heroku, and a network with
//! faults. Behind the feature `testing`.

pub mod neon;
pub mod network;
pub mod render;
