//! Far more instances than the database has connections for: through poolers, and directly.
//!
//! Each of these wants the machine for itself, so they take turns, and are a binary of
//! their own, which cargo runs when the others are done. They print what they measure:
//! `cargo test --package stagelink-tests --test load -- --nocapture`.

mod answers;
mod direct;
mod figures;
mod instance;
mod load_fixture;
mod pooled;
mod processes;
mod sessions;
mod simulated;
