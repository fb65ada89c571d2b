//! Load tests with far more instances than the database has connections: through poolers, and
//! directly.
//!
//! Each test needs the whole machine, so they run one at a time, in a binary of their own, which
//! cargo runs after the others. They print what they measure: `cargo test --package stagelink-tests
//! --test load -- --nocapture`.

mod burst;
mod direct;
mod figures;
mod instance;
mod load_fixture;
mod pooled;
mod processes;
mod sessions;
mod simulated;
