//! What the end-to-end tests stand on.
//!
//! Every test has a database of its own on one Postgres that the whole run
//! shares, a Heroku of its own, and functions as real processes. Nothing has a
//! fixed port or name, so two runs at the same time do not meet.
//!
//! All passwords hold [`CANARY`]. Whatever a function logs or answers is searched
//! for it, and for the token, as it is read: a test in which a secret leaks fails.

mod canary;
mod client;
mod heard;
mod identity;
mod load;
mod mitm;
mod own;
mod place;
mod postgres;
mod programs;
mod rig;
mod scene;
mod site;
mod stub;
mod tally;
mod target;
mod wire;

pub use crate::canary::CANARY;
pub use crate::canary::Record;
pub use crate::client::Answer;
pub use crate::client::send;
pub use crate::heard::Heard;
pub use crate::identity::Authority;
pub use crate::identity::Identity;
pub use crate::identity::pin;
pub use crate::load::Count;
pub use crate::load::Load;
pub use crate::load::Plan;
pub use crate::mitm::Middle;
pub use crate::mitm::Mitm;
pub use crate::own::Auth;
pub use crate::own::OwnServer;
pub use crate::own::pooled;
pub use crate::place::Cloud;
pub use crate::place::Place;
pub use crate::postgres::as_superuser;
pub use crate::postgres::at;
pub use crate::postgres::database;
pub use crate::postgres::end_sessions;
pub use crate::postgres::proxy;
pub use crate::postgres::server;
pub use crate::postgres::through;
pub use crate::programs::artifacts_target;
pub use crate::programs::built_artifacts;
pub use crate::programs::functions;
pub use crate::programs::migrate;
pub use crate::programs::root;
pub use crate::programs::sdk_example;
pub use crate::programs::stagelink_command;
pub use crate::rig::Rig;
pub use crate::scene::Scene;
pub use crate::site::site;
pub use crate::stub::Stub;
pub use crate::stub::StubServer;
pub use crate::tally::Kept;
pub use crate::tally::Outcome;
pub use crate::tally::Tally;
pub use crate::target::Target;
pub use crate::wire::Passed;
pub use crate::wire::Wire;
