//! The clouds on one machine: real Postgres, the APIs of Heroku, Neon and Render, the Lambda
//! runtime and Netlify's routes.
//!
//! These are stand-ins that a person runs with `stagelink dev` and that tests
//! use as a library. They answer as the real services document it and depend on
//! nothing of the SDK, so that a mistake there is not repeated here.

pub mod api;
mod ask;
mod cloud;
mod error;
pub mod heroku;
pub mod lambda;
pub mod neon;
pub mod netlify;
pub mod netlify_api;
pub mod network;
mod owner;
mod port;
pub mod postgres;
pub mod render;

pub use crate::cloud::Cloud;
pub use crate::cloud::Plan;
pub use crate::cloud::StageSite;
pub use crate::error::Error;
pub use crate::error::ErrorKind;
pub use crate::port::check_port;
