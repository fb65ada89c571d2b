//! Netlify's site on this machine: deploys by host name, their files, redirects and functions.
//!
//! # Behaviour
//!
//! A request is answered in Netlify's order:
//!
//! 1. `/.netlify/functions/<name>[/rest]` goes to the function; an unknown name is a 404.
//! 2. The first redirect of netlify.toml whose `from` matches is *the* rule of this request.
//!    With `force` it is applied at once.
//! 3. A published file answers (GET and HEAD; other methods get a 405).
//! 4. The rule of step 2 is applied.
//! 5. 404, with the deploy's own `404.html` if there is one.
//!
//! A function gets an API Gateway (v1) event, as Netlify's functions do, and keeps running
//! when the client goes away. What this stand-in does not do (proxying to other sites,
//! conditions, edge functions, blobs, identity, images) is reported as a warning when
//! netlify.toml asks for it.
//!
//! Dropping a [`Site`] closes its sockets at once; [`Site::stop`] lets requests end.

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
pub use invoke::{Invocation, Invoke};
pub use redirects::Redirect;
pub use site::Site;
