//! Netlify's site on this machine: deploys by host name, their files, redirects and functions.
//!
//! # Behaviour
//!
//! The site handles a request in Netlify's order:
//!
//! 1. `/.netlify/functions/<name>[/rest]` invokes the function; an unknown name is a 404.
//! 2. The first redirect that matches is the rule of this request: those of `_redirects` in the
//!    published folder come before those of netlify.toml. With `force` it applies at once.
//! 3. A published file is sent (for GET and HEAD; other methods get a 405).
//! 4. The rule of step 2 applies.
//! 5. 404, with the deploy's own `404.html` if it has one.
//!
//! A function gets an API Gateway (v1) event, as on Netlify, and keeps running when the client
//! disconnects. Proxying to other sites, roles, signed rules, edge functions, blobs, identity and
//! images are not implemented; the configuration has a warning for each that its files ask for.
//!
//! Dropping a [`Site`] closes its sockets at once; [`Site::stop`] waits for running requests.

mod body;
mod config;
mod deploy;
mod event;
mod files;
mod header_pattern;
mod headers;
mod hosts;
mod invoke;
mod path;
mod pattern;
mod query;
mod redirects;
mod response;
mod rules;
mod run;
mod sample;
mod schedule;
mod site;
#[cfg(test)]
mod tests;
mod visitor;

pub use config::SiteConfig;
#[cfg(feature = "testing")]
pub use config::{MergedRules, merged_rules};
pub use deploy::Deploy;
pub(crate) use deploy::ServedDeploy;
#[cfg(feature = "netlify-api")]
pub(crate) use files::{ResponseBody, page_response, text_response};
pub use headers::HeaderRule;
#[cfg(feature = "netlify-api")]
pub(crate) use hosts::DeployOrResponse;
pub(crate) use hosts::{FindDeploy, FoundDeploy};
pub use invoke::{InvocationFuture, Invoke};
pub use redirects::Redirect;
#[cfg(feature = "testing")]
pub use redirects::engine_answer;
pub use rules::{HeaderBlock, RedirectRule, RuleError, parse_headers_file, parse_redirects_file};
pub(crate) use sample::{route_of, sample_event};
pub use schedule::Schedule;
pub(crate) use schedule::{function_path, scheduled_event};
pub use site::Site;
pub(crate) use site::{BoundSite, Timeouts, new_request_id};
