//! Netlify's site on this machine: deploys by host name, their files, redirects and functions.
//!
//! # Behaviour
//!
//! The site handles a request in Netlify's order:
//!
//! 1. `/.netlify/functions/<name>[/rest]` invokes the function; an unknown name is a 404.
//! 2. The first redirect of netlify.toml whose `from` matches is the rule of this request. With
//!    `force` it applies at once.
//! 3. A published file is sent (for GET and HEAD; other methods get a 405).
//! 4. The rule of step 2 applies.
//! 5. 404, with the deploy's own `404.html` if it has one.
//!
//! A function gets an API Gateway (v1) event, as on Netlify, and keeps running when the client
//! disconnects. Proxying to other sites, conditions, edge functions, blobs, identity and images are
//! not implemented; the configuration has a warning for each that netlify.toml asks for.
//!
//! Dropping a [`Site`] closes its sockets at once; [`Site::stop`] waits for running requests.

mod body;
mod config;
mod deploy;
mod event;
mod files;
mod headers;
mod hosts;
mod invoke;
mod pattern;
mod redirects;
mod response;
mod site;
#[cfg(test)]
mod tests;

pub use config::SiteConfig;
pub use deploy::Deploy;
pub use headers::HeaderRule;
pub use invoke::{InvocationFuture, Invoke};
pub use redirects::Redirect;
pub use site::Site;
