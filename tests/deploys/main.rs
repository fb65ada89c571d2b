//! The real Netlify tools without internet access: how they treat this project's artifacts, what
//! they upload, and what a deploy answers. And the real Heroku command line.
//!
//! Each test of the command line runs in a network of its own, with loopback only, so that no test
//! can reach the real Netlify. They need `unshare` (Debian's util-linux), `ip` (iproute2), node with npm, and an
//! installed Postgres with psql, and download the command lines once.

mod artifacts;
mod built;
mod by_hand;
mod deploy_variables;
mod dev;
mod gate;
mod heroku;
mod loopback;
mod printed;
mod project;
mod promotions;
mod rules;
mod serve;
mod server;
mod source;
mod stages;
mod tools;
mod workflows;
