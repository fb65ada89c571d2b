//! The real Netlify tools, on a machine that reaches nothing but itself: what they make of this
//! project's artifacts, what they upload, and what that answers once it is deployed.
//!
//! Each test runs in a network of its own, with nothing in it but loopback, so that no test can
//! ask the real Netlify anything. They want `unshare` (Debian's util-linux), `ip` (iproute2),
//! node with npm, and an installed Postgres, and fetch the Netlify CLI once.

mod artifacts;
mod built;
mod by_hand;
mod dev;
mod loopback;
mod project;
mod script;
mod serve;
mod server;
mod source;
mod stages;
mod tools;
