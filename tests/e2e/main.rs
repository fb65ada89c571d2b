//! End to end: real processes, a real Postgres, real HTTP.

mod aliases;
mod concurrent;
mod conformance;
mod deadline;
mod dev;
mod events;
mod guestbook;
mod health;
mod identity;
mod link;
mod load;
mod new;
mod previews;
mod providers;
mod refusals;
mod rotation;
mod round_trips;
mod router;
mod sealed;
mod snapstart;
mod stages;
mod streaming;
mod survival;
mod tls;
mod warm;
mod work;
