//! The clouds on one machine: Heroku's API, the Lambda runtime and Netlify's routes.
//!
//! These are stand-ins that a person runs with `stagelink dev` and that tests use as a library.
//! They answer as the real services document it and depend on nothing of the SDK, so that a mistake
//! there is not repeated here.
//!
//! # Features
//!
//! Both are off by default, so that the command line compiles neither.
//!
//! - `netlify-api`: the module `netlify_api`, Netlify's API with sites, variables and deploys.
//! - `testing`: the module `testing`, which has Neon's and Render's APIs.

pub mod api;
mod cloud;
mod cloud_update;
mod error;
pub mod faults;
mod function_site;
pub mod heroku;
mod http_client;
mod invoke_api;
pub mod lambda;
mod lock;
pub mod netlify;
#[cfg(feature = "netlify-api")]
pub mod netlify_api;
pub mod network;
mod port;
mod program_store;
mod project_databases;
mod requests;
mod scheduler;
mod stage_deployer;
mod stage_functions;
mod stage_services;
mod stage_site;
#[cfg(feature = "testing")]
pub mod testing;

pub use crate::cloud::Cloud;
pub use crate::cloud::CloudConfig;
pub use crate::cloud::StageConfig;
pub use crate::cloud_update::CloudUpdate;
pub use crate::error::Error;
pub use crate::error::ErrorKind;
pub use crate::function_site::FunctionSite;
pub use crate::function_site::FunctionSiteConfig;
pub use crate::function_site::FunctionSiteView;
pub use crate::http_client::LocalResponse;
pub use crate::http_client::send_request;
pub use crate::invoke_api::InvokeClient;
pub use crate::invoke_api::InvokeReply;
pub use crate::port::check_port;
pub use crate::requests::RequestEvent;
pub use crate::requests::RequestLog;
pub use crate::requests::RequestRecord;
pub use crate::requests::Trigger;
pub use crate::stage_deployer::StagePromotion;
pub use crate::stage_site::StageSite;
