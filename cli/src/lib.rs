//! The parts of the command `stagelink`, for its binary, the end-to-end tests and the benchmarks.

pub mod args;
pub mod build;
pub mod completions;
pub mod credentials;
pub mod dev;
pub mod doctor;
mod environment;
pub mod functions;
pub mod link;
mod local_clouds;
mod login;
pub mod mark;
pub mod migrate;
mod missing;
pub mod new;
pub mod output;
mod postgres_source;
pub mod preview;
pub mod progress;
mod project;
mod stage_database;
pub mod status;
mod summary;
mod table;
pub mod target;
pub mod verbosity;
