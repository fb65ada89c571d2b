//! End to end: real processes, a real Postgres, real HTTP.

mod conformance;
mod deadline;
mod dev;
mod guestbook;
mod health;
mod identity;
mod load;
mod providers;
mod refusals;
mod rotation;
mod round_trips;
mod router;
mod sealed;
mod stages;
mod survival;
mod tls;
mod warm;
mod work;
